"""Outputs replace older outputs of the same command atomically, and nothing else."""

import os

import pytest

from sweep.base.errors import SweepError
from sweep.files import outputs


def fail_half_way(out, error):
    with outputs.replace_output(out) as path:
        path.write_text("half")
        raise error


def made_by_us(path):
    return path.read_text().startswith("our output")


def test_a_free_place_and_an_older_output_are_accepted(tmp_path):
    outputs.check(tmp_path / "free", made_by_us, force=False)
    (tmp_path / "older").write_text("our output of yesterday")
    outputs.check(tmp_path / "older", made_by_us, force=False)


@pytest.mark.parametrize("kind", ["file", "binary", "folder", "dangling link"])
def test_anything_else_is_refused_unless_forced(tmp_path, kind):
    place = tmp_path / "there"
    if kind == "file":
        place.write_text("a thesis")
    elif kind == "binary":
        place.write_bytes(b"\xff\xfe\x00")
    elif kind == "folder":
        place.mkdir()
    else:
        place.symlink_to(tmp_path / "nowhere")
    with pytest.raises(SweepError, match=r"there holds something .* --force"):
        outputs.check(place, made_by_us, force=False)
    outputs.check(place, made_by_us, force=True)


def test_a_store_is_never_replaced(tmp_path):
    (tmp_path / "zarr.json").touch()
    with pytest.raises(SweepError, match=r"is a Zarr store, which only .sweep\.run. replaces"):
        outputs.check(tmp_path, lambda _: True, force=True)


def test_a_name_that_no_file_can_have_is_refused(tmp_path):
    with pytest.raises(SweepError, match=r"can.t write .*: File name too long"):
        outputs.check(tmp_path / ("a" * 300), made_by_us, force=True)


def test_a_file_is_written_with_its_parent_folders(tmp_path):
    out = tmp_path / "a" / "b.txt"
    for text in ("one", "two"):
        with outputs.replace_output(out) as path:
            path.write_text(text)
    assert out.read_text() == "two"
    assert os.listdir(out.parent) == ["b.txt"]


def test_a_folder_replaces_a_folder(tmp_path):
    out = tmp_path / "page"
    for name in ("one", "two"):
        with outputs.replace_output(out) as path:
            path.mkdir()
            (path / name).touch()
    assert os.listdir(out) == ["two"]
    assert os.listdir(tmp_path) == ["page"]


def test_the_older_output_is_kept_when_writing_the_new_one_fails(tmp_path):
    out = tmp_path / "b.txt"
    out.write_text("one")
    with pytest.raises(SweepError, match=r"can't write .*b.txt: No space left"):
        fail_half_way(out, OSError(28, "No space left on device"))
    assert out.read_text() == "one"
    assert os.listdir(tmp_path) == ["b.txt"]


def test_folders_made_for_a_failed_output_are_removed(tmp_path):
    with pytest.raises(ValueError, match="half"):
        fail_half_way(tmp_path / "a" / "b", ValueError("half way"))
    assert os.listdir(tmp_path) == []


def test_a_place_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SweepError, match="can't write"), outputs.replace_output(tmp_path / "file" / "b"):
        pass
