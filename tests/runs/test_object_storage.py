"""Stores in object storage, against a local S3 server: the same files and bits as in a folder, whatever breaks."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from helpers import tiny
from object_storage import Way, request, serve

from sweep import MLP, Halving, Ray, Record, grid, linear_spaced, open_results, run_sweep, trained
from sweep.base.errors import SweepError, SweepWarning
from sweep.base.labels import RUNNING
from sweep.base.signals import Terminated
from sweep.check import main as check_main
from sweep.cli.command import run_guarded
from sweep.engine.plan import Fixed
from sweep.files import addresses, bucket_locks, buckets, locks, owners
from sweep.files.addresses import parse_address
from sweep.files.bucket_client import CREDENTIALS
from sweep.files.buckets import Bucket
from sweep.merge import main as merge_main
from sweep.plot import main as plot_main
from sweep.plots.gallery import default_directory
from sweep.results import store as stores
from sweep.results.store import working_copies
from sweep.results.store.working_copies import WorkingCopy
from sweep.runs import wave_writer
from sweep.runs.executors import local

EXPERIMENT = tiny(
    axes=grid(seed=range(4)),
    model=MLP(width=4, depth=1),
    record=Record(("loss",), at=linear_spaced(3), snapshots=0, keep="parameters"),
)
WITH_DATES = {"zarr.json", "digests/layout.json"}  # these also hold when the store was made, and seconds


@pytest.fixture(scope="module")
def server():
    """The server's port, with settings of the environment for it."""
    with serve() as port, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "somebody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "never-shown")
        patch.setenv("AWS_REGION", "us-east-1")
        patch.setattr(buckets, "FIRST_PAUSE", 0.05)
        yield port


@pytest.fixture
def way(server, monkeypatch):
    """The way to the server, which a test cuts."""
    found = Way(server)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{found.port}")
    yield found
    found.close()


_NUMBERS = iter(range(1, 1000))


def new_address(server):
    bucket = f"bucket-{next(_NUMBERS)}"
    assert request(server, "PUT", f"/{bucket}") == 200
    return f"s3://{bucket}/some/store"


@pytest.fixture
def address(server):
    """The address of a store that is not there yet, in a bucket of its own."""
    return new_address(server)


@pytest.fixture(scope="module", autouse=True)
def small_waves():
    """Plan two waves of two lanes, and save at every record."""
    plan = local.plan_sweep

    def planned(experiment, memory=None, fixed=Fixed(), **options):
        return plan(experiment, memory, replace(fixed, wave_lanes=2), **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "plan_sweep", planned)
        patch.setattr(wave_writer, "SAVE_SECONDS", 0.0)
        patch.setattr(wave_writer, "MOST_SAVE_SECONDS", 0.0)
        yield


@pytest.fixture(scope="module")
def whole(small_waves, tmp_path_factory):
    """The store of the same sweep in a folder."""
    path = tmp_path_factory.mktemp("whole") / "store"
    run_sweep(EXPERIMENT, out=path)
    return path


@pytest.fixture(scope="module")
def stored(server, small_waves):
    """The address of a complete store, which tests only read; and how many requests of its run wrote something."""
    place = new_address(server)
    with kill_at(10**6) as sent:
        run_sweep(EXPERIMENT, out=place)
    return place, next(sent) - 1


def objects(address):
    """Read all objects of a store, by name."""
    bucket = Bucket(parse_address(address))
    return {name: bucket.read(name, 2**30).content for name in bucket.versions()}


def files(folder):
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if name != "lock"}  # which only a folder needs


def assert_same_store(address, folder):
    found, expected = objects(address), files(folder)
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name] and name not in WITH_DATES] == []


@contextmanager
def hosts():
    """Let each process that takes a lock within the block be one on another host."""
    here, number = owners.this_process(), iter(range(1, 1000))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locks, "this_process", lambda: replace(here, host="far", boot=f"{next(number):08x}"))
        yield


class KilledError(BaseException):
    """A simulated end of the process."""


@contextmanager
def kill_at(number):
    """Let the process end at the n-th request that writes: it, and all later ones, are never sent."""
    with pytest.MonkeyPatch.context() as patch:
        count = iter(range(1, 100_000))
        send = {name: getattr(Bucket, name) for name in ("_put", "remove")}

        def dying(name):
            def write(self, *arguments):
                if next(count) >= number:
                    raise KilledError
                return send[name](self, *arguments)

            return write

        for name in send:
            patch.setattr(Bucket, name, dying(name))
        yield count


def forget_holder(address):
    """Remove the lock of a process that a test has only simulated."""
    Bucket(parse_address(address)).remove(bucket_locks.NAME)


def test_a_store_in_a_bucket_has_the_files_and_bits_of_one_in_a_folder(stored, whole):
    address, _ = stored
    assert_same_store(address, whole)
    ds, expected = open_results(address), open_results(whole)
    assert all(ds[name].values.tobytes() == expected[name].values.tobytes() for name in expected.variables)
    network, known = (trained(place, seed=2) for place in (address, whole))
    assert network.store == address
    assert network.parameters["layer_0"]["kernel"].tobytes() == known.parameters["layer_0"]["kernel"].tobytes()
    assert not working_copies._COPIES


@pytest.mark.parametrize("at", [0.4, 0.8, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 70))])
def test_what_a_killed_run_has_published_is_continued_from_another_folder(address, stored, whole, at):
    with kill_at(round(at * stored[1]) if isinstance(at, float) else at), suppress(KilledError):
        run_sweep(EXPERIMENT, out=address)
    forget_holder(address)
    run_sweep(EXPERIMENT, out=address, resume=True)
    assert_same_store(address, whole)


def test_a_run_that_is_killed_while_it_makes_its_store_leaves_none(address, whole):
    with kill_at(6), pytest.raises(KilledError):
        run_sweep(EXPERIMENT, out=address)
    left = objects(address)
    assert working_copies.UNFINISHED in left
    assert "zarr.json" not in left
    forget_holder(address)
    with pytest.raises(SweepError, match=rf"no store at {address}: run the page first"):
        open_results(address)
    run_sweep(EXPERIMENT, out=address)  # without `resume`
    assert_same_store(address, whole)


def test_a_run_that_was_stopped_is_continued(address, whole):
    def stop(progress):
        if progress.lane_steps > 12:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Terminated):
        run_sweep(EXPERIMENT, out=address, watch=stop)
    assert bucket_locks.NAME not in objects(address)
    assert RUNNING in open_results(address).status
    with pytest.raises(SweepError, match=rf"{address} is incomplete: --resume continues it"):
        run_sweep(EXPERIMENT, out=address)
    run_sweep(EXPERIMENT, out=address, resume=True)
    assert_same_store(address, whole)


def test_a_complete_store_is_not_trained_again(stored):
    before = objects(stored[0])
    ds = run_sweep(EXPERIMENT, out=stored[0], watch=never)
    assert ds.attrs["complete"]
    assert objects(stored[0]) == before


@pytest.mark.parametrize("before", ["nobody", "a silent holder"])
def test_of_several_that_take_a_lock_at_once_one_has_it_and_the_others_name_it(address, monkeypatch, before):
    bucket = Bucket(parse_address(address))
    took, refused, started = [], [], threading.Barrier(6)
    if before != "nobody":
        silent = {**asdict(locks.new_holder(flocked=False)), "token": before}
        bucket.put(bucket_locks.NAME, json.dumps(silent).encode().replace(b'"boot": "', b'"boot": "0'))
        monkeypatch.setattr(bucket_locks, "_age", lambda bucket, found: 1000.0 * (before.encode() in found.content))

    def take():
        try:
            started.wait(10)
            with bucket_locks.lock_bucket(bucket) as lock:
                took.append(lock.token)
                time.sleep(1)
        except SweepError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=take) for _ in range(6)]
    with hosts():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert (len(took), len(refused)) == (1, 5)
    assert f"{address} is in use by process {os.getpid()} on far since" in refused[0]
    assert "after 600 s without one the lock is taken over" in refused[0]
    assert bucket.versions() == {}


def test_the_age_of_a_lock_is_by_the_clock_of_the_bucket(address, monkeypatch):
    bucket = Bucket(parse_address(address))
    bucket.put(bucket_locks.NAME, b"")
    found = bucket.read(bucket_locks.NAME, 10)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    time.sleep(1.1)
    assert 1 <= bucket_locks._age(bucket, found) <= 60
    assert bucket_locks._age(bucket, bucket.read(bucket_locks.NAME, 10)) >= 1
    assert [*bucket.versions()] == [bucket_locks.NAME]


def test_a_silent_holder_loses_the_lock_and_notices_before_it_publishes(address, monkeypatch, tmp_path):
    monkeypatch.setattr(working_copies, "FRESH", 0.0)
    copy = WorkingCopy(tmp_path, Bucket(parse_address(address)))
    (tmp_path / "file").write_bytes(b"of the first")
    with hosts(), copy.hold():
        (tmp_path / "file").write_bytes(b"of the first")
        copy.publish("file")
        with pytest.raises(locks.InUseError), bucket_locks.lock_bucket(copy.bucket):
            pass
        monkeypatch.setattr(locks, "SILENT", -1.0)
        with bucket_locks.lock_bucket(copy.bucket):
            (tmp_path / "file").write_bytes(b"late")
            with pytest.raises(
                SweepError, match=rf"{address} was taken over by process .* while this process was susp"
            ):
                copy.publish("file")
            assert objects(address)["file"] == b"of the first"


def test_signs_of_life_keep_a_lock_even_if_an_answer_is_lost(address, monkeypatch):
    bucket = Bucket(parse_address(address))
    with hosts(), bucket_locks.lock_bucket(bucket) as lock:
        before = bucket.versions()[bucket_locks.NAME]
        lock.touch()
        assert bucket.versions()[bucket_locks.NAME] != before
        lock._version = before  # as if the answer to the last one had not come
        lock.touch()
        lock.check()
        assert lock._version == bucket.versions()[bucket_locks.NAME]
    # a lock that was written without an answer is ours
    put = Bucket._put

    def lose_answer(self, *arguments):
        put(self, *arguments)
        monkeypatch.setattr(Bucket, "_put", put)
        return put(self, *arguments)

    monkeypatch.setattr(Bucket, "_put", lose_answer)
    with bucket_locks.lock_bucket(bucket) as lock:
        lock.check()
    assert bucket.versions() == {}


def test_who_holds_a_store_sees_what_others_have_changed_and_removed_since(address, tmp_path):
    bucket = Bucket(parse_address(address))
    for name in ("zarr.json", "older", "loss/c/0"):
        bucket.put(name, b"{}")
    with stores.in_folder(address) as folder:
        bucket.remove("older")
        bucket.put("loss/c/0", b"newer")
        bucket.put("loss/c/1", b"new")
        bucket.put(working_copies.UNFINISHED, b"")  # of a run that was killed just after its store was there
        with stores.hold(folder):
            assert files(folder) == {"zarr.json": b"{}", "loss/c/0": b"newer", "loss/c/1": b"new"}
        assert objects(address) == files(folder)


def test_a_service_that_ignores_conditions_is_refused(address, monkeypatch):
    put = Bucket._put
    monkeypatch.setattr(Bucket, "_put", lambda self, name, content, mode="overwrite": put(self, name, content))
    with pytest.raises(SweepError, match="ignores conditional writes"):
        run_sweep(EXPERIMENT, out=address, watch=never)
    assert objects(address) == {}


def test_the_lock_of_a_process_here_that_has_ended_is_taken_at_once(address):
    bucket = Bucket(parse_address(address))
    gone = replace(locks.new_holder(flocked=False), owner=replace(owners.this_process(), pid=2**22 - 1))
    bucket.put(bucket_locks.NAME, json.dumps(asdict(gone)).encode())
    with bucket_locks.lock_bucket(bucket) as lock:
        lock.check()


def test_a_bucket_that_does_not_answer_for_a_while_is_waited_for_and_that_is_said_once(address, way, whole):
    cuts = iter([True])

    def cut(progress):
        if progress.lane_steps > 12 and next(cuts, False):
            way.cut()
            threading.Timer(1.0, way.mend).start()

    with pytest.warns(SweepWarning, match=rf"waiting, as {address} does not answer \(no connection to 127") as noted:
        run_sweep(EXPERIMENT, out=address, watch=cut)
    assert len([each for each in noted if "waiting" in str(each.message)]) == 1
    assert_same_store(address, whole)


@pytest.mark.slow
def test_parts_with_addresses_of_their_own_are_merged_into_another_one(address, whole):
    halves = [f"{address}-{number}" for number in (1, 2)]
    for number, half in enumerate(halves, 1):
        with pytest.warns(SweepWarning, match="missing: part"):
            run_sweep(EXPERIMENT, out=half, part=(number, 2))
    assert run_guarded(merge_main, [*halves, "--out", address]) == 0
    ds, expected = open_results(address), open_results(whole)
    assert ds.attrs["complete"]
    assert all(ds[name].values.tobytes() == expected[name].values.tobytes() for name in expected.variables)


PAGE = """
from sweep import MLP, Experiment, Figure, Optimizer, Record, SumOfSines, grid, linear_spaced
experiment = Experiment(
    question="Does a killed sweep come back from a bucket?",
    task=SumOfSines(frequencies=(1, 3), points=64),
    model=MLP(depth=1, width=8),
    optimizer=Optimizer("adam"),
    axes=grid(seed=range(16)),
    epochs=20_000,
    record=Record(metrics=("loss",), at=linear_spaced(40), snapshots=0),
    figures=(Figure("loss_curves"),),
)
"""


def start(page, *options):
    code = (
        "import sys, runpy, sweep.runs.wave_writer as s; s.SAVE_SECONDS = s.MOST_SAVE_SECONDS = 0.2; "
        "sys.argv = ['run', *sys.argv[1:]]; runpy.run_module('sweep.run', run_name='__main__')"
    )
    command = [sys.executable, "-c", code, str(page), *options]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=page.parent, env=environment, **pipes)


@pytest.mark.slow
def test_real_runs_that_are_killed_and_wait_for_half_a_minute_give_the_bits_of_one(address, way, tmp_path):
    page = tmp_path / "slowly.py"
    page.write_text(PAGE)
    assert start(page, "--out", str(tmp_path / "whole")).wait(300) == 0
    killed = start(page, "--out", address)
    bucket = Bucket(parse_address(address))
    while not any(name.startswith("checkpoint") for name in bucket.versions()):
        assert killed.poll() is None, killed.stdout.read()
        time.sleep(0.05)
    time.sleep(0.3)
    killed.kill()
    killed.wait()
    assert bucket_locks.NAME in bucket.versions()  # of a process here that has ended: it is taken over at once
    resumed = start(page, "--out", address, "--resume")
    while f'"pid": {resumed.pid}'.encode() not in objects(address).get(bucket_locks.NAME, b""):
        time.sleep(0.05)
    way.cut()
    time.sleep(30)
    way.mend()
    output, _ = resumed.communicate(timeout=300)
    assert resumed.returncode == 0, output
    assert output.count(f"waiting, as {address} does not answer") == 1
    expected = {name: content for name, content in files(tmp_path / "whole").items() if not name.startswith("figures")}
    found = objects(address)
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name] and name not in WITH_DATES] == []


@pytest.mark.filterwarnings("ignore:waiting")
def test_a_bucket_that_does_not_answer_any_more_ends_the_run_and_nothing_is_lost(
    address, way, whole, monkeypatch, capsys
):
    monkeypatch.setattr(buckets, "PATIENCE", 0.5)

    def cut(progress):
        if progress.lane_steps > 12:
            way.cut()

    assert run_guarded(lambda args: run_sweep(EXPERIMENT, out=address, watch=cut), ()) == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith(
        f"sweep: {address} has not answered for 1 s (no connection to 127.0.0.1:{way.port}): what is"
    )
    assert "--resume" in line
    way.mend()
    forget_holder(address)
    run_sweep(EXPERIMENT, out=address, resume=True)
    assert_same_store(address, whole)


def refusal(action):
    with pytest.raises(SweepError) as refused:
        action()
    line = str(refused.value)
    assert not [text for text in ("\n", "never-shown") if text in line]
    return line


def never(progress):
    raise AssertionError("it trains")


def test_what_is_wrong_with_a_bucket_is_said_at_once_and_before_anything_is_trained(address, server, monkeypatch):
    def run(out):
        return lambda: run_sweep(EXPERIMENT, out=out, watch=never)

    wrong = refusal(run("s3://wrong-bucket/store"))
    assert wrong.startswith("s3://wrong-bucket/store can't be used (NoSuchBucket: The specified bucket does not exist)")
    bucket = Bucket(parse_address(address))
    bucket.put("notes.txt", b"of somebody else")
    assert refusal(run(address)) == f"{address} is not a store of sweep: it has no zarr.json; name another place"
    assert objects(address) == {"notes.txt": b"of somebody else"}
    stored = f"{address}-2"
    Bucket(parse_address(stored)).put("zarr.json", b"{}")
    assert "lies in" in refusal(run(f"{stored}/inside"))
    for module in ("obstore", "obstore.exceptions", "obstore.store"):
        monkeypatch.setitem(sys.modules, module, None)
    missing = refusal(run(address))
    assert missing == f"{address} needs obstore, which is not installed: pip install 'sweep-lanes[cloud]'"


FORBIDDEN = b"""<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message>
<AWSAccessKeyId>somebody</AWSAccessKeyId></Error>"""


def test_a_forbidden_bucket_and_missing_credentials_are_said_at_once(address, monkeypatch):
    client = buckets.open_client(parse_address(address))

    class Answer(type(client)):
        def list(self, prefix):
            raise buckets_error(answer)

    from obstore.exceptions import GenericError, PermissionDeniedError

    def buckets_error(text):
        return (PermissionDeniedError if "403" in text and "169" not in text else GenericError)(text)

    monkeypatch.setattr(buckets, "open_client", lambda address: Answer("bucket"))
    answer = f"Server returned non-2xx status code: 403 Forbidden: {FORBIDDEN.decode()}"
    forbidden = refusal(lambda: open_results(address))
    assert forbidden.startswith(f"{address} can't be used (AccessDenied: Access Denied): check the bucket's name, your")
    assert "somebody" not in forbidden
    answer = "Error performing PUT http://169.254.169.254/latest/api/token in 1 ms - HTTP error: error sending request"
    assert refusal(lambda: open_results(address)).startswith(
        f"there are no credentials for {address}: set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("s3://", "names no bucket of S3: give s3://BUCKET/NAME"),
        ("s3://BUCKET/name", "names no bucket"),
        ("gs://b_u.cket", "names a bucket and no store in it"),
        ("s3://bucket/a/../b", "has an empty name, . or .. in it"),
        ("s3://bucket/a//b", "has an empty name"),
        ("s3://bucket/" + "n" * 250, "is too long"),
        ("s3://bucket/a\x1b[0m", "can't have the character"),
    ],
)
def test_an_address_that_no_store_can_have_is_refused(text, words):
    assert words in refusal(lambda: run_sweep(EXPERIMENT, out=text, watch=never))


@pytest.mark.parametrize("text", ["s3://bucket/some/name", "s3://bucket/some/name/", Path("s3://bucket/some/name")])
def test_an_address_is_one_as_text_and_as_a_path(text):
    address = parse_address(text)
    assert address == addresses.Address("s3", "bucket", "some/name")
    assert (str(address), address.name) == ("s3://bucket/some/name", "name")


def test_an_address_in_google_cloud_storage_has_googles_client(monkeypatch):
    from obstore.store import GCSStore

    monkeypatch.setenv("GOOGLE_SKIP_SIGNATURE", "true")
    client = buckets.open_client(parse_address("gs://a_bucket/name"))
    assert isinstance(client, GCSStore)
    assert client.config["bucket"] == "a_bucket"


def test_objects_with_names_that_lead_out_of_a_folder_are_refused(address, server, tmp_path):
    Bucket(parse_address(address)).put("zarr.json", b"{}")
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    assert request(server, "PUT", f"/{bucket}/{prefix}/%2E%2E/%2E%2E/out", b"x") == 200
    assert "has objects whose names no file can have" in refusal(lambda: open_results(address))
    assert not list(tmp_path.parent.glob("**/out"))


def test_a_large_file_comes_back_as_it_was(address, tmp_path):
    content = np.random.default_rng(0).bytes(11 * 2**20)
    for name, data in (("large", content), ("empty", b"")):
        (tmp_path / name).write_bytes(data)
        Bucket(parse_address(address)).put(name, tmp_path / name)
        (tmp_path / name).unlink()
        Bucket(parse_address(address)).fetch(name, tmp_path / name)
        assert (tmp_path / name).read_bytes() == data


def test_a_worker_publishes_its_wave_and_the_holder_fetches_it(address, whole, monkeypatch):
    with pytest.raises(Terminated):
        run_sweep(EXPERIMENT, out=address, watch=lambda progress: signal.raise_signal(signal.SIGTERM))
    with stores.in_folder(address) as folder, stores.hold(folder) as lock:
        held = stores.Store(folder, lock)
        plan = local.LocalExecutor().plan(EXPERIMENT)
        missing = [number for number, wave in enumerate(plan.waves) if not held.stored_places()[wave.start]]
        assert missing
        for number in missing:
            wave = plan.waves[number]
            places = wave.start, wave.start + wave.places
            with stores.open_leased(held.place, lock.token, f"lease {number}") as store:
                assert store.path != folder
                assert not list(store.path.rglob("loss/c/*"))
                store.fetch_wave(*places)
                list(local.LocalExecutor().run(plan, store, [number], lambda: None))
                held.end_leases([f"lease {number}"])
                monkeypatch.setattr(working_copies, "FRESH", 0.0)
                with pytest.raises(SweepError, match="lease has ended"):
                    store.save_checkpoint(wave.start, {})
            held.fetch_wave(*places)
        assert held.stored_places().all()
        with pytest.raises(SweepError, match="was taken over"), stores.open_leased(held.place, "another", ""):
            pass
    run_sweep(EXPERIMENT, out=address, resume=True)
    assert_same_store(address, whole)


def test_what_object_storage_can_not_do_is_refused_with_a_way_out(stored, capsys):
    address, _ = stored
    before = objects(address)
    longer = replace(EXPERIMENT, epochs=24)
    assert "no store is moved away" in refusal(lambda: run_sweep(EXPERIMENT, out=address, fresh=True, watch=never))
    assert "copy it to a folder, let it grow" in refusal(lambda: run_sweep(longer, out=address, grow=True, watch=never))
    assert run_guarded(check_main, [address, "--repair"]) == 2
    assert f"sweep: {address} is in object storage, where nothing is repaired" in capsys.readouterr().err
    assert objects(address) == before


def test_commands_read_stores_by_their_address(address, stored, capsys):
    assert run_guarded(check_main, [stored[0]]) == 0
    assert capsys.readouterr().out == f"{stored[0]} is undamaged\n"
    assert run_guarded(plot_main, [stored[0], "--out", "s3://bucket/figures"]) == 2
    assert "s3://bucket/figures is in object storage, where only stores can be" in capsys.readouterr().err
    with stores.in_folder(stored[0]) as folder:
        assert default_directory(folder, "page", complete=True) == Path("store-figures")
    for name, content in objects(stored[0]).items():
        Bucket(parse_address(address)).put(name, content if name != "loss/c/0/0" else b"damaged")
    with pytest.raises(SystemExit):
        run_guarded(check_main, [address])
    assert f"1 file of {address} is damaged" in capsys.readouterr().out
    with pytest.raises(SweepError, match=rf"^{address} is damaged: loss/c/0/0"):
        open_results(address)
    assert not working_copies._COPIES


@pytest.mark.slow
def test_workers_on_ray_publish_their_waves(address, whole):
    """With Halving: they wait at rungs, at which the bucket's values are judged."""
    page = replace(EXPERIMENT, stop=Halving(first=0.3, keep=0.5))
    ds = run_sweep(page, out=address, ray=Ray(workers=2))
    expected = run_sweep(page)
    for name in expected.variables:
        assert ds[name].values.tobytes() == expected[name].values.tobytes(), name
    assert "lock.json" not in objects(address)


def test_the_variables_that_messages_name_are_documented():
    documented = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text()
    named = {name for words in CREDENTIALS.values() for name in re.findall(r"[A-Z][A-Z_]+", words)}
    assert len(named) >= 5
    assert [name for name in named if f"`{name}`" not in documented] == []
