"""The cache of compiled programs: whose folder it is, when it is off, and that it changes no bit."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sweep import open_results
from sweep.base.errors import SweepError
from sweep.files import user_cache
from sweep.runs import compile_cache
from sweep.runs.compile_cache import OFF

PAGE = """
from sweep import *
experiment = Experiment(
    question="Are the bits the same?", task=SumOfSines(frequencies=(1, 2), points=16), model=MLP(depth=1, width=8),
    optimizer=Optimizer("adam"), axes=grid(seed=(0, 1)), epochs=20,
    record=Record(metrics=("loss",), at=log_spaced(3), snapshots=0),
    figures=(Figure("loss_curves"),),
)
"""


def used(folder: Path | None, **environment: str) -> dict[str, str]:
    """Return what an environment has become."""
    compile_cache.use(folder, environment)
    return environment


def cache_of(environment: dict[str, str]) -> Path:
    """Return the folder of programs in an environment, without the part that names the processor."""
    assert environment["JAX_ENABLE_COMPILATION_CACHE"] == "true"
    return Path(environment["JAX_COMPILATION_CACHE_DIR"]).parent


def assert_off(environment: dict[str, str]) -> None:
    assert not any(name.startswith("JAX") for name in environment)


@pytest.mark.parametrize("where", ["XDG_CACHE_HOME", "HOME"])
def test_by_default_programs_are_in_the_cache_of_the_user_who_alone_can_read_them(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if where == "HOME":
        monkeypatch.setenv("HOME", str(tmp_path))
        expected, environment = tmp_path / ".cache" / "sweep", used(None, XDG_CACHE_HOME="relative")
    else:
        expected, environment = tmp_path / "sweep", used(None, XDG_CACHE_HOME=str(tmp_path))
    assert cache_of(environment) == expected
    for folder in (expected, Path(environment["JAX_COMPILATION_CACHE_DIR"])):
        assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("unsafe", ["sweep", "processor", "parent", "link"])
def test_by_default_nothing_is_kept_where_others_can_put_a_program(unsafe: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    inside = Path(used(None, XDG_CACHE_HOME=str(home))["JAX_COMPILATION_CACHE_DIR"])
    if unsafe == "link":
        (tmp_path / "open").mkdir()
        (tmp_path / "open").chmod(0o777)
        home.rename(tmp_path / "open" / "home")
        home.symlink_to(tmp_path / "open" / "home")
    else:
        {"sweep": inside.parent, "processor": inside, "parent": home}[unsafe].chmod(0o777)
    assert_off(used(None, XDG_CACHE_HOME=str(home)))


def test_a_folder_below_one_with_a_sticky_bit_is_safe(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    assert cache_of(used(None, XDG_CACHE_HOME=str(tmp_path))) == tmp_path / "sweep"


def test_without_a_home_or_where_no_folder_can_be_made_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    assert_off(used(None, XDG_CACHE_HOME=str(tmp_path / "file")))

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert_off(used(None))


@pytest.mark.parametrize("name", ["JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE"])
def test_settings_of_jax_in_the_environment_are_left_alone_unless_an_option_says_otherwise(
    name: str, tmp_path: Path
) -> None:
    assert used(None, **{name: "given"}) == {name: "given"}
    assert cache_of(used(tmp_path / "named", **{name: "given"})) == tmp_path / "named"
    assert used(OFF, **{name: "given"})["JAX_ENABLE_COMPILATION_CACHE"] == "false"


def test_a_folder_that_was_given_is_refused_if_it_can_not_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SweepError, match=r"can't use .*/file for --compile-cache: "):
        used(tmp_path / "file")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    for unsafe in (tmp_path / "open", tmp_path / "open" / "mine"):  # whoever can rename it can replace it
        with pytest.raises(SweepError, match=r"others can write to .*/open.*name a folder that only you can write to"):
            used(unsafe)


def test_another_kind_of_processor_has_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = used(tmp_path)["JAX_COMPILATION_CACHE_DIR"]
    (tmp_path / "cpuinfo").write_text("model name : another\nflags : fpu avx2\n\nprocessor : 1\n")
    monkeypatch.setattr(user_cache, "_PROCESSORS", tmp_path / "cpuinfo")
    user_cache.kind_of_processor.cache_clear()
    try:
        there = used(tmp_path)["JAX_COMPILATION_CACHE_DIR"]
    finally:
        user_cache.kind_of_processor.cache_clear()
    assert here != there
    assert Path(here).parent == Path(there).parent == tmp_path


def test_the_programs_that_were_not_used_for_longest_are_removed(tmp_path: Path, monkeypatch) -> None:
    folder = Path(used(tmp_path)["JAX_COMPILATION_CACHE_DIR"])
    (tmp_path / "diary-cache").write_bytes(bytes(100))
    for age in range(5):
        program = folder / f"jit_train-{age}-cache"
        program.write_bytes(bytes(100))
        os.utime(program, (time.time() - 60 * age,) * 2)
    monkeypatch.setattr(compile_cache, "MOST_BYTES", 300)
    used(tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == [f"jit_train-{age}-cache" for age in range(3)]
    assert (tmp_path / "diary-cache").exists()


def test_kept_programs_are_used_by_the_next_process_without_a_word_and_give_the_same_bits(tmp_path: Path) -> None:
    (tmp_path / "page.py").write_text(PAGE)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "TF_CPP_"))}
    environment |= {"JAX_PLATFORMS": "cpu", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    kept = []
    for store in ("cold", "warm"):
        done = subprocess.run(
            [sys.executable, "-c", LISTENING, "page.py", "--out", store], capture_output=True, text=True, check=False,
            cwd=tmp_path, env=environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        kept.append({path.name for path in tmp_path.glob("cache/sweep/*/jit_train-*-cache")})
        hits = int(done.stdout.rpartition(" hits")[0].split()[-1])
        assert hits == 0 if store == "cold" else hits > 0
    assert len(kept[0]) == 1
    assert kept[0] == kept[1]
    assert not list((tmp_path / "cold").glob("**/*-cache"))
    cold, warm = open_results(tmp_path / "cold"), open_results(tmp_path / "warm")
    for name in cold.variables:
        assert cold[name].values.tobytes() == warm[name].values.tobytes(), name


# Runs a page, and counts how often JAX took a program from its cache.
LISTENING = """
import atexit
from sweep import run
from sweep.runs import compile_cache
from sweep.cli.command import run_command
use = compile_cache.use
def use_and_listen(folder):
    use(folder)
    import jax.monitoring
    heard = []
    jax.monitoring.register_event_listener(lambda event, **_: heard.append(event))
    atexit.register(lambda: print(heard.count("/jax/compilation_cache/cache_hits"), "hits"))
compile_cache.use = use_and_listen
run_command(run.main)
"""
