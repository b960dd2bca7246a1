"""Parts of a store: each is held by one process, all of it only by one where no part runs, and nothing is left over."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers import UNTIL_CLOSED, tiny

from sweep.base.errors import SweepError, SweepWarning
from sweep.files import locks
from sweep.files.locks import InUseError
from sweep.results import store as stores
from sweep.results.store import Part, sharing
from sweep.runs.layout import create
from sweep.runs.planning import plan_sweep

HOLDER = f"""
import sys
from dataclasses import replace
from pathlib import Path
from sweep.files import locks, owners
from sweep.results import store as stores
from sweep.base.errors import SweepError
here = owners.this_process()
if sys.argv[3:] == ["elsewhere"]:
    locks.this_process = lambda: replace(here, host="far", machine="f" * 8, boot="f" * 8)
with stores.hold_part(Path(sys.argv[1]), stores.Part.parse(sys.argv[2])) as lock:
{UNTIL_CLOSED}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "store"
    create(plan_sweep(tiny()), path)
    return path


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    return Path(subprocess.run(["cp", "-r", made, tmp_path / "store"], check=True) and tmp_path / "store")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "PATIENCE", 0.1)
    monkeypatch.setattr(sharing, "_PAUSE", 0.02)


@contextmanager
def holder(store: Path, part: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(store), part, *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()


def grow_old(store: Path, name: str) -> None:
    then = time.time() - locks.SILENT - 1
    os.utime(store / f"{name}.json", (then, then))


def test_parts_are_held_at_once_and_all_of_the_store_is_not(store: Path) -> None:
    with stores.hold_part(store, Part(1, 3)) as one, stores.hold_part(store, Part(3, 3)) as other:
        one.check()
        other.check()
        with pytest.raises(InUseError, match=f"in use by process {os.getpid()} on"), stores.hold(store):
            pass
        with pytest.raises(InUseError), stores.hold_at_end(store):
            pass
        one.check()
    with stores.hold(store):
        pass


@pytest.mark.usefixtures("impatient")
def test_a_part_is_held_once_and_not_while_the_store_is_held(store: Path) -> None:
    with stores.hold_part(store, Part(1, 2)), pytest.raises(InUseError), stores.hold_part(store, Part(1, 2)):
        pass
    with stores.hold(store) as lock:
        with pytest.raises(InUseError), stores.hold_part(store, Part(1, 2)):
            pass
        lock.check()
    with stores.hold_part(store, Part(1, 2)):
        pass


def test_parts_of_another_number_are_refused_as_long_as_one_runs(store: Path) -> None:
    with stores.hold_part(store, Part(1, 2)):
        words = r"is being filled by part 1/2, so there is no part 2/3: give the same number of parts"
        with pytest.raises(SweepError, match=words), stores.hold_part(store, Part(2, 3)):
            pass
        with stores.hold_part(store, Part(2, 2)):
            pass
    with stores.hold_part(store, Part(2, 3)):
        pass


def test_a_part_waits_for_one_that_begins_at_this_moment(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "_PAUSE", 0.02)
    with stores.hold(store):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(store), "1/2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        while not (store / "lock-part-1-of-2.json").exists():
            time.sleep(0.01)
        time.sleep(0.6)  # longer than taking a lock tries by itself
    assert process.communicate()[0] == "held\n"


def test_a_killed_part_holds_nothing_and_what_it_left_is_removed_by_the_next_that_is_alone(store: Path) -> None:
    partial = store / "loss" / f"c.{'0' * 32}.partial"
    with holder(store, "2/2") as process:
        partial.touch()
        with stores.hold_part(store, Part(1, 2)):
            assert partial.exists(), "a living part may be writing it"
        process.kill()
        process.wait()
        with stores.hold_part(store, Part(1, 2)):
            assert not partial.exists()
    with stores.hold(store):
        pass


@pytest.mark.usefixtures("impatient")
def test_a_part_elsewhere_is_waited_for_until_it_lives_or_was_silent_for_long(store: Path) -> None:
    with holder(store, "1/2", "elsewhere") as process:
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(InUseError, match=r"on far since"), stores.hold(store):
            pass
        seen, touched = [], []

        def sleep(seconds: float) -> None:
            seen.append(seconds)
            if len(seen) == 40 and not touched:  # it lives: a sign of life while we wait
                os.utime(store / "lock-part-1-of-2.json")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sharing, "PATIENCE", 0.0)
            patch.setattr(sharing.time, "sleep", sleep)
            with pytest.warns(SweepWarning, match=f"waiting, as .* is in use by process {process.pid} on far"):  # noqa: SIM117
                with pytest.raises(InUseError, match="on far since"), stores.hold_part(store, Part(1, 2)):
                    pass
        assert len(seen) >= 40, "no new sign of life may mean that it was killed"
        grow_old(store, "lock-part-1-of-2")
        with stores.hold_part(store, Part(1, 2)) as lock:
            process.send_signal(signal.SIGCONT)
            assert process.stdin is not None and process.stdout is not None  # noqa: PT018
            process.stdin.write("\n")
            process.stdin.flush()
            assert re.search(
                rf"was taken over by process {os.getpid()} on .* it stops writing", process.stdout.readline()
            )
            lock.check()


def test_a_silent_part_loses_its_lock_to_who_holds_all_of_the_store(store: Path) -> None:
    with holder(store, "1/2", "elsewhere") as process:
        process.send_signal(signal.SIGSTOP)
        grow_old(store, "lock-part-1-of-2")
        with stores.hold(store) as lock:
            process.send_signal(signal.SIGCONT)
            assert process.stdin is not None and process.stdout is not None  # noqa: PT018
            process.stdin.write("\n")
            process.stdin.flush()
            assert "was taken over while this process was suspended" in process.stdout.readline()
            lock.check()


@pytest.mark.parametrize("text", ["3", "a/b", "0/16", "17/16", "3/0", "-1/4", "1/-4", "1/2/3", "1.0/2", "", "1/100001"])
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(SweepError, match=r"^(--part takes NUMBER/OF, such as 3/16|there is no part [0-9]+/[0-9]+: )"):
        Part.parse(text)


def test_a_part_reads_as_it_is_written() -> None:
    assert Part.parse("3/16") == Part(3, 16)
    assert str(Part(3, 16)) == "3/16"
