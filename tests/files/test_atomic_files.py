"""Files are written atomically; temporary files of a killed process are removed, those of a running one never."""

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
from sweep.files import atomic_files, owners

WRITER = """
import os, sys, time
from pathlib import Path
from sweep.files import atomic_files
folder = Path(sys.argv[1])
with atomic_files.make_folder_beside(folder) as new, atomic_files.write_file(folder / "file") as file:
    (new / "half").write_text("half")
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    time.sleep(60)
"""


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def fail_half_way(path: Path) -> None:
    with atomic_files.write_file(path) as file:
        file.write(b"half")
        raise ValueError("half way")


def test_a_file_is_moved_to_its_place_when_it_is_complete(tmp_path):
    for content in (b"one", b"two"):
        with atomic_files.write_file(tmp_path / "file") as file:
            file.write(content)
        assert (tmp_path / "file").read_bytes() == content
    assert names(tmp_path) == ["file"]


def test_a_body_that_raises_changes_nothing(tmp_path):
    (tmp_path / "file").write_text("before")
    with pytest.raises(ValueError, match="half way"):
        fail_half_way(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "before"
    assert names(tmp_path) == ["file"]


def test_a_link_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "precious").write_text("precious")
    for name in ("one", "two"):
        (tmp_path / name).symlink_to(tmp_path / "precious")
    atomic_files.write_files({tmp_path / "one": b"own_content"})
    with atomic_files.write_file(tmp_path / "two") as file:
        file.write(b"own_content")
    assert (tmp_path / "precious").read_text() == "precious"
    assert [(tmp_path / name).read_text() for name in ("one", "two")] == ["own_content", "own_content"]
    assert not (tmp_path / "one").is_symlink()


def test_no_file_changes_if_one_of_several_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("before")
    with pytest.raises(OSError, match="No such file") as refusal:
        atomic_files.write_files({tmp_path / "file": b"after", tmp_path / "none" / "file": b"after"})
    assert refusal.value.filename == str(tmp_path / "none" / "file"), "the place, and not the temporary path"
    assert (tmp_path / "file").read_text() == "before"
    assert names(tmp_path) == ["file"]


def test_no_temporary_file_is_left_if_one_of_several_cannot_be_opened(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic_files, "open", full, raising=False)
    with pytest.raises(OSError, match="No space left"):
        atomic_files.write_files({tmp_path / "one": b"1", tmp_path / "two": b"2"})
    assert list(tmp_path.iterdir()) == []


def test_files_have_the_mode_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        atomic_files.write_files({tmp_path / "file": b""})
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_files_of_a_killed_process_are_removed_and_those_of_a_running_one_are_kept(tmp_path):
    (tmp_path / ".new-of-mine").touch()
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "writing\n"
    began = names(tmp_path)
    assert len(began) == 3
    atomic_files.remove_abandoned(tmp_path)
    assert names(tmp_path) == began
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    atomic_files.write_files({tmp_path / "other": b""})
    assert names(tmp_path) == [".new-of-mine", "other"]


def test_files_of_another_machine_are_kept_and_those_from_before_a_restart_removed_after_a_day(tmp_path, monkeypatch):
    here = owners.this_process()
    for number, owner in enumerate([replace(here, machine="0" * 8, boot="1" * 8), replace(here, boot="2" * 8)]):
        monkeypatch.setattr(atomic_files, "this_process", lambda owner=owner: owner)
        (tmp_path / atomic_files._new_name()).write_text(str(number))
    monkeypatch.undo()
    atomic_files.remove_abandoned(tmp_path)
    assert len(names(tmp_path)) == 2
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0))
    atomic_files.remove_abandoned(tmp_path)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["0"]


def test_a_process_number_that_was_given_to_a_new_process_identifies_no_owner():
    here = owners.this_process()
    assert here.is_gone() is False
    assert replace(here, started="1").is_gone() is True
    assert replace(here, space="0" * 8).is_gone() is None, "of another container"


def test_a_missing_temporary_folder_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", list)
    with pytest.raises(SweepError, match="name one with TMPDIR=FOLDER"), atomic_files.make_temporary_folder():
        pass


def test_a_temporary_folder_is_empty_and_removed_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with atomic_files.make_temporary_folder() as folder:
        assert folder.parent == tmp_path
        assert not list(folder.iterdir())
        (folder / "file").touch()
    assert not list(tmp_path.iterdir())
