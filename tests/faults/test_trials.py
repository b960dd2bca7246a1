"""The harness itself must detect what it is meant to detect."""

import os
import signal
import time
from pathlib import Path

import pytest

from sweep.base.errors import SweepError

from . import trials
from .crashes import CrashError, crash, watching
from .trials import call, refusal, tree


def answering(monkeypatch, main) -> None:
    monkeypatch.setattr(trials, "command", lambda name: main)


def refused(args):
    raise SweepError("no")


def broken(args):
    raise ZeroDivisionError("oh")


def noisy(args):
    import sys

    sys.stderr.write("and more\n")
    raise SweepError("no")


def littering(args):
    Path("left").write_text("x")
    raise SweepError("no")


def altering(args):
    Path("there").write_text("other")
    raise SweepError("no")


def waiting(args):
    time.sleep(60)


def piped(args):
    os.mkfifo("pipe")
    open("pipe").close()


def writing_two(folder: Path) -> None:
    (folder / "three").write_text("3")
    try:
        (folder / "four").write_text("4")
    finally:
        (folder / "three").unlink()


@pytest.mark.parametrize(
    ("main", "outcome"),
    [(refused, "refused"), (broken, "internal"), (noisy, "untidy"), (littering, "litter"), (altering, "litter"),
     (waiting, "hang"), (piped, "hang")],
)  # fmt: skip
def test_each_reply_has_the_right_outcome(monkeypatch, tmp_path: Path, main, outcome: str) -> None:
    answering(monkeypatch, main)
    (tmp_path / "there").write_text("precious")
    before = tree(tmp_path)
    reply = call("any", [], cwd=tmp_path, seconds=0.3)
    judged = refusal(reply, before, tree(tmp_path))
    assert judged is not None
    assert judged[0] == outcome


def test_a_success_is_not_judged(monkeypatch, tmp_path: Path) -> None:
    answering(monkeypatch, lambda args: None)
    assert refusal(call("any", [], cwd=tmp_path), {}, {"new": ()}) is None


def test_a_call_restores_the_folder_home_and_alarm(monkeypatch, tmp_path: Path) -> None:
    answering(monkeypatch, refused)
    before = os.getcwd(), os.environ.get("HOME"), signal.getsignal(signal.SIGALRM)
    call("any", [], cwd=tmp_path)
    assert (os.getcwd(), os.environ.get("HOME"), signal.getsignal(signal.SIGALRM)) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_crash_comes_at_its_event_and_nothing_is_cleaned_up_afterwards(tmp_path: Path) -> None:
    with watching(tmp_path) as watch:
        (tmp_path / "one").write_text("1")
        (tmp_path / "one").rename(tmp_path / "two")
        (tmp_path / "two").read_text()
    assert watch.count == 2
    with watching(tmp_path, 2, crash), pytest.raises(CrashError):
        writing_two(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["three", "two"]
