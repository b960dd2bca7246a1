"""Files are there whole or not at all; what a killed process left beside them goes, never what a live one writes."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from sweep import SweepError
from sweep.files import owners, whole_files

WRITER = """
import os, sys, time
from pathlib import Path
from sweep.files import whole_files
folder = Path(sys.argv[1])
with whole_files.beside(folder) as new, whole_files.writing(folder / "file") as file:
    (new / "half").write_text("half")
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    time.sleep(60)
"""


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def fail_half_way(path: Path) -> None:
    with whole_files.writing(path) as file:
        file.write(b"half")
        raise ValueError("half way")


def test_a_file_takes_its_place_whole(tmp_path):
    for content in (b"one", b"two"):
        with whole_files.writing(tmp_path / "file") as file:
            file.write(content)
        assert (tmp_path / "file").read_bytes() == content
    assert names(tmp_path) == ["file"]


def test_a_body_that_raises_changes_nothing(tmp_path):
    (tmp_path / "file").write_text("before")
    with pytest.raises(ValueError, match="half way"):
        fail_half_way(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "before"
    assert names(tmp_path) == ["file"]


def test_a_link_is_replaced_and_never_written_through(tmp_path):
    (tmp_path / "precious").write_text("precious")
    for name in ("one", "two"):
        (tmp_path / name).symlink_to(tmp_path / "precious")
    whole_files.write({tmp_path / "one": b"ours"})
    with whole_files.writing(tmp_path / "two") as file:
        file.write(b"ours")
    assert (tmp_path / "precious").read_text() == "precious"
    assert [(tmp_path / name).read_text() for name in ("one", "two")] == ["ours", "ours"]
    assert not (tmp_path / "one").is_symlink()


def test_of_several_files_none_changes_where_one_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("before")
    with pytest.raises(OSError, match="No such file") as refusal:
        whole_files.write({tmp_path / "file": b"after", tmp_path / "none" / "file": b"after"})
    assert refusal.value.filename == str(tmp_path / "none" / "file"), "the place, and not what lies beside it"
    assert (tmp_path / "file").read_text() == "before"
    assert names(tmp_path) == ["file"]


def test_of_several_files_nothing_is_left_where_one_is_made_and_not_opened(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(whole_files, "open", full, raising=False)
    with pytest.raises(OSError, match="No space left"):
        whole_files.write({tmp_path / "one": b"1", tmp_path / "two": b"2"})
    assert list(tmp_path.iterdir()) == []


def test_files_have_the_mode_that_the_user_asks_for(tmp_path):
    before = os.umask(0o027)
    try:
        whole_files.write({tmp_path / "file": b""})
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_what_a_killed_process_left_goes_and_what_a_live_one_writes_stays(tmp_path):
    (tmp_path / ".new-of-mine").touch()
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "writing\n"
    began = names(tmp_path)
    assert len(began) == 3
    whole_files.remove_abandoned(tmp_path)
    assert names(tmp_path) == began
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    whole_files.write({tmp_path / "other": b""})
    assert names(tmp_path) == [".new-of-mine", "other"]


def test_what_was_begun_elsewhere_stays_and_before_a_restart_goes_after_a_day(tmp_path, monkeypatch):
    here = owners.this_process()
    for number, owner in enumerate([replace(here, machine="0" * 8, boot="1" * 8), replace(here, boot="2" * 8)]):
        monkeypatch.setattr(whole_files, "this_process", lambda owner=owner: owner)
        (tmp_path / whole_files._new_name()).write_text(str(number))
    monkeypatch.undo()
    whole_files.remove_abandoned(tmp_path)
    assert len(names(tmp_path)) == 2
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0))
    whole_files.remove_abandoned(tmp_path)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["0"]


def test_a_number_that_another_process_has_by_now_is_no_owner():
    here = owners.this_process()
    assert here.is_gone() is False
    assert replace(here, started="1").is_gone() is True
    assert replace(here, space="0" * 8).is_gone() is None, "of another container"


def test_where_no_temporary_folder_can_be_written_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", list)
    with pytest.raises(SweepError, match="name one with TMPDIR=FOLDER"), whole_files.temporary():
        pass


def test_a_temporary_folder_is_empty_and_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with whole_files.temporary() as folder:
        assert folder.parent == tmp_path
        assert not list(folder.iterdir())
        (folder / "file").touch()
    assert not list(tmp_path.iterdir())
