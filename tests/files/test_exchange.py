"""Exchanging two folders."""

from pathlib import Path

import pytest

from sweep.files import exchange as exchanging
from sweep.files.exchange import exchange, undo


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    return tmp_path / "one", tmp_path / "other"


@pytest.mark.parametrize("at_once", [True, False])
def test_two_folders_are_exchanged(folders, monkeypatch, at_once: bool) -> None:
    if not at_once:
        monkeypatch.setattr(exchanging, "_exchange_at_once", lambda one, other: False)
    exchange(*folders)
    assert [(folder / "file").read_text() for folder in folders] == ["other", "one"]
    assert sorted(each.name for each in folders[0].parent.iterdir()) == ["one", "other"]


def test_what_a_process_left_that_was_killed_before_its_last_renaming_is_in_no_way(folders, monkeypatch) -> None:
    monkeypatch.setattr(exchanging, "_exchange_at_once", lambda one, other: False)
    (folders[1].with_name("other.exchanged") / "older").mkdir(parents=True)
    exchange(*folders)
    assert sorted(each.name for each in folders[0].parent.iterdir()) == ["one", "other"]


def test_linux_exchanges_them_in_one_step(folders, monkeypatch) -> None:
    def refuse(one: Path, other: Path) -> None:
        raise AssertionError

    monkeypatch.setattr(exchanging, "_exchange_by_renames", refuse)
    exchange(*folders)
    assert (folders[0] / "file").read_text() == "other"


def test_a_process_that_is_killed_between_two_renames_loses_nothing(folders, monkeypatch) -> None:
    monkeypatch.setattr(exchanging, "_exchange_at_once", lambda one, other: False)
    rename, calls = exchanging.os.rename, []

    def killed(one: Path, other: Path) -> None:
        calls.append(one)
        if len(calls) > 1:
            raise KeyboardInterrupt
        rename(one, other)

    with monkeypatch.context() as patch:
        patch.setattr(exchanging.os, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            exchange(*folders)
    assert not folders[1].exists()
    undo(folders[1])
    assert (folders[1] / "file").read_text() == "other"
    undo(folders[1])  # which changes nothing
    assert sorted(each.name for each in folders[1].parent.iterdir()) == ["one", "other"]


def test_a_folder_that_can_not_be_moved_leaves_both_as_they_were(folders, monkeypatch) -> None:
    monkeypatch.setattr(exchanging, "_exchange_at_once", lambda one, other: False)
    with pytest.raises(OSError, match="No such file"):
        exchange(folders[0].with_name("missing"), folders[1])
    assert (folders[1] / "file").read_text() == "other"
