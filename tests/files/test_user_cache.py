"""The user's cache folder: where it is, and that it is not used if others could write there."""

from pathlib import Path

import pytest

from sweep.files.user_cache import is_private, user_cache_folder


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_it_is_made_in_the_home_folder_for_this_user_only(home):
    assert user_cache_folder() == user_cache_folder() == home / ".cache/sweep"
    assert (home / ".cache/sweep").stat().st_mode & 0o777 == 0o700


def test_the_variable_of_the_standard_moves_it(home, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "elsewhere"))
    assert user_cache_folder() == home / "elsewhere/sweep"
    assert not (home / ".cache").exists()


@pytest.mark.parametrize("value", ["", "relative/path"])
def test_the_standard_ignores_what_is_no_absolute_path(home, monkeypatch, value):
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert user_cache_folder() == home / ".cache/sweep"


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_that_others_can_write_to_is_not_used(home, mode):
    folder = home / ".cache/sweep"
    folder.mkdir(parents=True)
    folder.chmod(mode)
    assert not is_private(folder)
    assert user_cache_folder() is None


def test_a_folder_of_another_user_is_not_used(home, monkeypatch):
    monkeypatch.setattr("os.getuid", lambda: 12345)
    assert user_cache_folder() is None


def test_there_may_be_no_place_for_it(home):
    (home / ".cache").write_text("in the way")
    assert user_cache_folder() is None
