"""Locks: the holder is named, a process that has ended holds none, one that lost its lock notices before it writes."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
from helpers import UNTIL_CLOSED, tiny

from sweep.base.errors import SweepError
from sweep.files import locks, owners
from sweep.runs.layout import create
from sweep.runs.planning import plan_sweep

HOLDER = f"""
import sys
from dataclasses import replace
from pathlib import Path
from sweep.files import locks, owners
from sweep.base.errors import SweepError
here = owners.this_process()
if sys.argv[2:] == ["elsewhere"]:
    locks.this_process = lambda: replace(here, host="far", machine="f" * 8, boot="f" * 8)
if sys.argv[2:] == ["no flock"]:
    locks._flock = lambda descriptor: None
with locks.lock_folder(Path(sys.argv[1])) as lock:
{UNTIL_CLOSED}
"""


@contextmanager
def holder(folder, *options):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()


def check_lock_of(process):
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def refusal(folder):
    with pytest.raises(SweepError) as refused, locks.lock_folder(folder):
        pass
    return str(refused.value)


def grow_old(folder):
    then = time.time() - locks.SILENT - 1
    os.utime(folder / "lock.json", (then, then))


def test_the_refusal_names_the_holder_and_the_time(tmp_path):
    with holder(tmp_path) as process:
        message = refusal(tmp_path)
    assert re.search(rf"in use by process {process.pid} on \S+ since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d: wait", message)


def test_this_process_is_refused_too_and_leaves_only_the_file_of_the_lock(tmp_path):
    with locks.lock_folder(tmp_path) as lock:
        assert f"in use by process {os.getpid()} on" in refusal(tmp_path)
        lock.check()
    assert os.listdir(tmp_path) == ["lock"]
    with locks.lock_folder(tmp_path):
        pass


def test_parts_of_one_folder_are_locked_separately(tmp_path):
    with locks.lock_folder(tmp_path, "wave-0") as one, locks.lock_folder(tmp_path, "wave-1") as other:
        one.check()
        other.check()


@pytest.mark.parametrize("options", [(), ("no flock",)])
def test_a_killed_holder_holds_nothing(tmp_path, options, monkeypatch):
    if options:
        monkeypatch.setattr(locks, "_flock", lambda descriptor: None)
    with holder(tmp_path, *options) as process:
        assert f"in use by process {process.pid} on" in refusal(tmp_path)
    with locks.lock_folder(tmp_path) as lock:
        lock.check()
        assert len(os.listdir(tmp_path)) == 2


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_locks_work_where_the_file_system_has_no_flock(tmp_path, monkeypatch, number):
    def missing(descriptor, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", missing)
    with locks.lock_folder(tmp_path) as lock:
        lock.check()
        assert f"in use by process {os.getpid()} on" in refusal(tmp_path)
    with locks.lock_folder(tmp_path) as lock:
        lock.check()


def test_a_holder_on_another_host_is_assumed_to_run_until_it_was_silent_for_long(tmp_path):
    with holder(tmp_path, "elsewhere") as process:
        message = refusal(tmp_path)
        assert re.search(rf"process {process.pid} on far since .* sign of life was \d s ago; after 600 s", message)
        process.kill()
        process.wait()
        assert "on far since" in refusal(tmp_path), "a free flock does not show that a holder on another host has ended"
        grow_old(tmp_path)
        with locks.lock_folder(tmp_path) as lock:
            lock.check()


def test_a_holder_on_another_host_that_was_suspended_notices_before_it_writes(tmp_path):
    with holder(tmp_path, "elsewhere") as process:
        assert check_lock_of(process) == "held"
        process.send_signal(signal.SIGSTOP)
        grow_old(tmp_path)
        with locks.lock_folder(tmp_path) as lock:
            process.send_signal(signal.SIGCONT)
            message = check_lock_of(process)
            assert re.search(rf"was taken over by process {os.getpid()} on .* it stops writing", message)
            process.stdin.close()
            assert process.wait() == 0
            lock.check()  # the other process has not released the lock of this one
            assert f"in use by process {os.getpid()}" in refusal(tmp_path)
    assert os.listdir(tmp_path) == ["lock"]


def test_the_holder_touches_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "BEAT", 0.01)
    with locks.lock_folder(tmp_path):
        grow_old(tmp_path)
        deadline = time.monotonic() + 30
        while locks._age(tmp_path / "lock.json") > 60 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert locks._age(tmp_path / "lock.json") < 60


def test_of_two_processes_that_take_over_at_once_only_one_succeeds(tmp_path, monkeypatch):
    here = owners.this_process()
    foreign = locks.Holder(replace(here, machine="f" * 8, boot="f" * 8), owners.new_token(), "then", False)
    quick = locks.Holder(here, owners.new_token(), "now", False)
    (tmp_path / "lock.json").write_text(json.dumps({**vars(quick), "owner": vars(here)}))
    assert not locks._remove_holder_file(tmp_path / "lock.json", foreign), (
        "another process has taken over since it was read"
    )
    assert locks._read_holder(tmp_path / "lock.json") == quick, "and still holds it"
    assert os.listdir(tmp_path) == ["lock.json"]


@pytest.mark.parametrize("text", ["", "[", "[]", '{"owner": 1}', "[" * 4000, '{"owner": {"host": "\\u001b[2J"}}'])
def test_an_unreadable_holder_file_holds_nothing(tmp_path, text):
    (tmp_path / "lock.json").write_text(text)
    with locks.lock_folder(tmp_path) as lock:
        lock.check()


def test_on_a_full_disk_no_lock_is_left(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(locks.json, "dump", full)
        with pytest.raises(OSError, match="No space left"), locks.lock_folder(tmp_path):
            pass
    assert [entry.name for entry in tmp_path.iterdir()] == [locks.LOCK]
    with locks.lock_folder(tmp_path):
        pass


def test_links_are_not_followed(tmp_path):
    (tmp_path / "lock.json").symlink_to(tmp_path / "victim")
    with locks.lock_folder(tmp_path):
        assert not (tmp_path / "lock.json").is_symlink()
    os.unlink(tmp_path / "lock")
    (tmp_path / "lock").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"), locks.lock_folder(tmp_path):
        pass
    assert not (tmp_path / "victim").exists()


def test_a_pipe_is_refused_and_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "lock")
    assert "is not a regular file" in refusal(tmp_path)


def test_a_folder_that_is_moved_stays_locked(tmp_path):
    (tmp_path / "a").mkdir()
    with locks.lock_folder(tmp_path / "a") as lock:
        os.rename(tmp_path / "a", tmp_path / "b")
        lock.set_folder(tmp_path / "b")
        lock.check()
        assert "in use by" in refusal(tmp_path / "b")
    assert os.listdir(tmp_path / "b") == ["lock"]


def test_the_refusal_of_a_store_below_a_file_does_not_say_that_it_is_in_use(tmp_path):
    (tmp_path / "file").write_text("content")
    for place in ("file/store", "file/folder/store"):
        with pytest.raises(SweepError, match=rf"^can't write .*{place}: Not a directory; name another place"):
            create(plan_sweep(tiny(), None), tmp_path / place)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "content"
