"""The script for the first minutes on an accelerator: here it runs small, on CPU, and its parts fail on purpose."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import tiny
from rich.console import Console

from benchmarks import (
    accelerator,
    accelerator_cells,
    accelerator_checks,
    accelerator_constants,
    accelerator_parts,
    accelerator_tests,
)
from benchmarks import accelerator_profile as profiles
from benchmarks.accelerator_child import is_broken, reason
from benchmarks.accelerator_parts import BEYOND_MEMORY, BEYOND_TIME, Part, run_part
from benchmarks.accelerator_report import problems, ratio, show
from benchmarks.accelerator_tests import MORE, NOT_HERE
from benchmarks.accelerator_tiles import with_tile
from benchmarks.accelerator_work import AGREEMENT, FULL, SMALL, Size, cells, largest_difference, tile_names
from benchmarks.cases import CHECK_STEPS
from benchmarks.handover import load
from sweep.engine.cost import tile_size
from sweep.engine.plan import pack
from sweep.engine.program import check_metrics
from sweep.engine.training import Cost
from sweep.page.axes import grid
from sweep.page.resolve import resolve

ROOT = Path(__file__).parents[1]
ONE_CELL = replace(SMALL, widths={"mixed": (3, 5)}, lanes=(8,), repeats=2)


class Told:
    """Stands for the report of a child process, and keeps what it is told."""

    def __init__(self, size: Size, folder: Path) -> None:
        self.size, self.folder = size, folder
        self.items: dict[str, dict[str, Any]] = {}

    def tell(self, item: str, **found: Any) -> None:
        self.items.setdefault(item, {}).update(json.loads(json.dumps(found)))

    def plan(self, items: Iterable[str]) -> None:
        self.planned = [*items]

    def do(self, item: str, action: Callable[[], Any]) -> None:
        action()


# ---------------------------------------------------------------------------------------------------------
# One part is one process.


def run_lines(*lines: str, seconds: float = 20, item_seconds: float = 20) -> tuple[Part, list[Part]]:
    """Run a process of these lines of Python, in which `say` prints a line of the protocol."""
    code = "import json, os, sys, time\ndef say(**said): print(json.dumps(said), flush=True)\n" + "\n".join(lines)
    saved: list[Part] = []
    part = run_part([sys.executable, "-c", code], dict(os.environ), seconds, item_seconds, saved.append)
    return part, saved


ITEM = """
def item(name):
    if name in sys.argv: return False
    say(begin=name)
    return True
"""


def test_a_part_keeps_what_its_process_prints_and_saves_after_each_line():
    part, saved = run_lines(
        "say(about={'card': 'abacus'})", "say(begin='a')", "say(item='a', found={'x': 1})",
        "say(item='a', found={'y': 2})", "say(done='a')",
    )  # fmt: skip
    assert part.items == {"a": {"x": 1, "y": 2}}
    assert part.about == {"card": "abacus"}
    assert part.failed == ""
    assert len(saved) == 5 + 1


def test_a_process_that_crashes_loses_one_item_and_another_one_does_the_rest():
    part, _ = run_lines(
        ITEM,
        "if item('a'): say(item='a', found={'x': 1}); say(done='a')",
        "if item('b'): say(item='b', found={'x': 2}); print('the card is on fire', file=sys.stderr); os.abort()",
        "if item('c'): say(item='c', found={'x': 3}); say(done='c')",
    )
    assert part.items["a"] == {"x": 1}
    assert part.items["b"] == {"x": 2, "failed": "ended with SIGABRT: the card is on fire"}
    assert part.items["c"] == {"x": 3}
    assert part.failed == ""


def test_an_item_that_hangs_is_ended_and_the_next_one_is_measured():
    part, _ = run_lines(
        ITEM, "if item('a'): time.sleep(600)", "if item('b'): say(done='b')", item_seconds=1.0
    )  # fmt: skip
    assert part.items == {"a": {"failed": BEYOND_TIME}, "b": {}}
    assert part.failed == ""
    assert part.seconds < 10


def test_a_part_that_hangs_is_ended_at_its_limit():
    part, _ = run_lines("say(begin='a')", "say(item='a', found={'x': 1})", "time.sleep(600)", seconds=1.0)
    assert part.items == {"a": {"x": 1, "failed": BEYOND_TIME}}
    assert part.seconds < 10


def test_what_there_was_no_time_for_says_so():
    part, _ = run_lines("say(plan=['a', 'b', 'c'])", "say(begin='a'); say(done='a')", "say(begin='b')",
                        "time.sleep(600)", seconds=1.0)  # fmt: skip
    assert part.items == {"a": {}, "b": {"failed": BEYOND_TIME}, "c": {"failed": BEYOND_TIME}}
    part, _ = run_lines("say(plan=['a', 'b'])", "sys.exit('no card')")
    assert {own["failed"] for own in part.items.values()} == {part.failed} == {"ended with exit code 1: no card"}


def test_a_process_that_fails_before_its_first_item_is_reported_for_the_part():
    part, _ = run_lines("sys.exit('no card')")
    assert part.items == {}
    assert part.failed == "ended with exit code 1: no card"


def test_processes_that_always_crash_are_not_started_for_ever(monkeypatch):
    monkeypatch.setattr(accelerator_parts, "_RESTARTS", 2)
    part, _ = run_lines(ITEM, "for name in 'abc':", "    if item(name): os.abort()")
    assert [*part.items] == ["a", "b"]
    assert part.failed == "ended 2 times before its end"


def test_lack_of_memory_and_a_broken_device_are_told_from_other_errors():
    full = RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 17 bytes.")
    assert reason(full) == BEYOND_MEMORY
    assert not is_broken(full)
    assert is_broken(RuntimeError("INTERNAL: CUDA_ERROR_ILLEGAL_ADDRESS"))
    assert reason(ValueError("one\n  line")) == "ValueError: one line"


# ---------------------------------------------------------------------------------------------------------
# The whole command, with parts that fail.


@pytest.fixture
def scripted(monkeypatch):
    """Replace the processes of parts by lines of Python."""

    def replace_parts(**scripts: str) -> None:
        begin = "import json, os, sys\ndef say(**said): print(json.dumps(said), flush=True)\n"
        made = {part: [sys.executable, "-c", begin + script] for part, script in scripts.items()}
        monkeypatch.setattr(accelerator, "command", lambda part, size, folder: made[part])

    return replace_parts


ABOUT = "say(about={'platform': 'gpu', 'card': 'NVIDIA H100 80GB HBM3'})\n"
GOOD = ABOUT + "say(begin='loop'); say(item='loop', found={'step_seconds': 1e-6}); say(done='loop')"


def test_a_part_that_crashes_is_reported_and_the_others_still_stand(scripted, tmp_path, capsys):
    scripted(
        limits=GOOD,
        checks=ABOUT + "if not sys.argv[1:]: say(begin='float32'); os.abort()",
        tiles="raise SystemExit('no tiles')",
    )
    out = tmp_path / "out.json"
    with pytest.raises(SystemExit) as ended:
        accelerator.main(("limits", "checks", "tiles"), small=True, out=out)
    told = str(ended.value).splitlines()
    assert told == ["wrong:", "tiles: ended with exit code 1: no tiles", "checks: float32: ended with SIGABRT: "]
    parts = json.loads(out.read_text())["parts"]
    assert parts["limits"]["items"] == {"loop": {"step_seconds": 1e-6}}
    assert parts["checks"]["items"]["float32"]["failed"].startswith("ended with SIGABRT")
    printed = capsys.readouterr().out
    assert "1 us" in printed
    assert "tiles: ended with exit code 1: no tiles" in printed


def test_the_file_is_named_by_the_card_and_a_rerun_of_some_parts_keeps_the_others(scripted, tmp_path, monkeypatch):
    monkeypatch.setattr(accelerator, "HERE", tmp_path)
    scripted(limits=GOOD, profile=ABOUT)
    accelerator.main(("limits",), small=True)
    (path,) = tmp_path.iterdir()
    assert path.name == "accelerator-nvidia-h100-80gb-hbm3.json"
    accelerator.main(("profile",), small=True)
    assert [*json.loads(path.read_text())["parts"]] == ["limits", "profile"]
    accelerator.main(("profile",), small=False)  # of another size, nothing is kept
    assert [*json.loads(path.read_text())["parts"]] == ["profile"]


def test_figures_of_a_cpu_are_written_only_where_one_asks_for_it(scripted, tmp_path, monkeypatch):
    monkeypatch.setattr(accelerator, "HERE", tmp_path)
    scripted(limits=GOOD.replace("gpu", "cpu"))
    accelerator.main(("limits",), small=True)
    assert not any(tmp_path.iterdir())


def test_wrong_arguments_are_refused_in_one_line(tmp_path):
    with pytest.raises(SystemExit, match=r"^unknown part plots: choose from limits, checks"):
        accelerator.main(("plots",))
    (tmp_path / "mine.json").write_text("[1, 2]")
    with pytest.raises(SystemExit, match=r"mine.json is not a file of this command: choose another --out$"):
        accelerator.main(out=tmp_path / "mine.json")


def test_all_parts_together_take_less_than_eight_minutes():
    assert set(FULL.seconds) == set(accelerator.PARTS)
    assert sum(FULL.seconds.values()) < 8 * 60
    assert all(FULL.item_seconds < FULL.seconds[part] or part == "torch" for part in accelerator.OF_ITEMS)


# ---------------------------------------------------------------------------------------------------------
# The work.


def test_every_cell_is_there_once_the_most_telling_first_with_steps_enough_for_the_comparison():
    found = cells(FULL)
    assert len(found) == 4 * 4
    assert [*found][:4] == ["width16/1024", "width64/1024", "width128/1024", "mixed/1024"]
    for name, case in found.items():
        assert case.lanes * len(case.widths) == int(name.split("/")[1])
        assert CHECK_STEPS < case.steps() <= 4096
    assert found["width16/128"].steps() > found["width128/8192"].steps()
    assert FULL.profiled in found
    assert tile_names(FULL)[:4] == ["width16/plan", "width64/plan", "width128/plan", "width16/1024"]


@pytest.fixture(scope="module")
def one_cell(tmp_path_factory):
    told = Told(ONE_CELL, tmp_path_factory.mktemp("cells"))
    accelerator_cells.measure(told)
    return told


def test_all_sides_of_a_cell_train_the_same_lanes_and_are_timed(one_cell):
    (cell,) = one_cell.items.values()
    sides = cell["sides"]
    assert [*sides] == ["sweep", "vmap", "vmap_by_width", "loop"]
    for name, side in sides.items():
        assert side["lanes"] == (2 if name == "loop" else 8)
        rates = [side["lanes"] * CHECK_STEPS / seconds for seconds in side["seconds"]]
        assert side["lane_steps_per_second"] == pytest.approx(rates)
        assert len(rates) == 2
        assert "failed" not in side
        if name != "sweep":
            assert side["largest_difference"] < 1e-5
            assert ratio(sides["sweep"], side) > 0
    assert sides["sweep"]["tiles"] == [32, 32]


def test_a_learning_rate_that_is_wrong_by_a_tenth_shows_in_the_losses(one_cell):
    (case,) = cells(ONE_CELL).values()
    handover = load(one_cell.folder / "mixed.npz", case.widths)
    wrong = accelerator_cells.make_vmap(replace(case, learning_rate=1.1e-3), handover, [handover.groups])
    reference = json.loads((one_cell.folder / "mixed.json").read_text())
    assert largest_difference(wrong.run(CHECK_STEPS)[1], reference) > AGREEMENT


def test_pytorch_finds_weights_and_losses_of_the_compared_lanes(one_cell):
    losses = json.loads((one_cell.folder / "mixed.json").read_text())
    assert [len(own) for own in losses] == [4, 4]
    with np.load(one_cell.folder / "mixed.npz") as file:
        assert file["3/target"].shape == (4, 128)
        assert file["5/layer_1/kernel"].shape == (4, 5, 5)


def test_a_side_whose_losses_differ_is_not_timed():
    sides = {
        "sweep": {"first_losses": [[1.0, 2.0]]}, "vmap": {"first_losses": [[1.0, 2.0001, 7.0]]},
        "loop": {"first_losses": [[1.01]]},
    }  # fmt: skip
    accelerator_cells.compare(sides)
    assert sides["vmap"]["largest_difference"] == pytest.approx(5e-5)
    assert "failed" not in sides["vmap"]
    assert sides["loop"]["failed"] == "its losses differ from those of sweep by 0.01 of these"
    cell = {"case": {}, "sides": sides}
    found = {"parts": {"cells": {"failed": "", "items": {"width16/128": cell}}}}
    assert problems(found) == ["cells: width16/128: loop: its losses differ from those of sweep by 0.01 of these"]


def test_losses_that_are_not_finite_do_not_agree():
    sides = {"sweep": {"first_losses": [[1.0]]}, "vmap": {"first_losses": [[float("nan")]]}}
    accelerator_cells.compare(sides)
    assert "differ" in sides["vmap"]["failed"]


# ---------------------------------------------------------------------------------------------------------
# Tiles, constants, profile, checks.


def test_another_tile_has_space_for_the_same_lanes():
    plan = pack(resolve(tiny(axes=grid(seed=range(100), width=(3, 5)))))
    for tile in (8, 64, 128):
        own = with_tile(plan, tile)
        for block, old in zip(own.programs[0].blocks, plan.programs[0].blocks, strict=True):
            assert block.tile == tile
            assert block.tiles * tile * plan.devices.count >= 100 > (block.tiles * plan.devices.count - 3) * tile
            assert block.training == old.training
            check_metrics(block, tuple(own.programs[0].numbers[0]))


def tile(size: int, rate: float, bytes_: float, flops: float = 1e6, activations: float = 1e3) -> dict[str, Any]:
    return {
        "tile": size, "chosen": 4096, "lane_steps_per_second": [rate, rate, rate],
        "cost": {"bytes": bytes_, "flops": flops, "activations": activations},
    }  # fmt: skip


def test_constants_give_the_best_tile_of_each_network():
    """Small networks are fastest in tiles of 1024, and large ones, with sixteen times the bytes, in those of 64."""
    rates = {64: (10.0, 9.0), 256: (30.0, 7.0), 1024: (50.0, 4.0), 4096: (45.0, 2.0)}
    items = {f"small/{size}": tile(size, own[0], 2.0**16) for size, own in rates.items()}
    items |= {f"large/{size}": tile(size, own[1], 2.0**20, 1e8) for size, own in rates.items()}
    found = accelerator_constants.wanted_constants({"tiles": {"items": items}})
    for bytes_, best in ((2.0**16, 1024), (2.0**20, 64)):
        wanted = found["TILE_BYTES_ACCELERATOR"] / bytes_
        assert min(found["TILE_LARGEST_ACCELERATOR"], wanted) == best
    best = accelerator_constants.best_tiles(items)
    assert (best["small"]["best"], best["large"]["best"]) == (1024, 64)
    assert best["small"]["share_of_best"] == pytest.approx(0.9)
    assert tile_size(Cost(1, 1, 2.0**16, 1), "gpu") in rates


def test_speeds_are_those_from_which_the_rates_were_made():
    flops, activations = 5e12, 2e11
    items = {}
    for name, (products, functions) in {"a": (1e6, 6e3), "b": (2e7, 2e4), "c": (1e8, 5e4)}.items():
        rate = 1 / (products / flops + functions / activations)
        items[f"{name}/64"] = tile(64, rate, 2.0**16, products, functions)
        items[f"{name}/8"] = tile(8, rate / 3, 2.0**16, products, functions)
    found = accelerator_constants.wanted_constants({"tiles": {"items": items}})
    assert found["FLOPS_ACCELERATOR"] == pytest.approx(flops, rel=0.05)
    assert found["ACTIVATIONS_ACCELERATOR"] == pytest.approx(activations, rel=0.05)


def test_waves_are_as_large_as_the_network_that_needs_the_most():
    def side(size: int, rate: float) -> dict[str, Any]:
        return {"sides": {"sweep": {"wave_bytes": size, "lane_steps_per_second": [rate]}}}

    cells = {
        "a/128": side(2**20, 1.0), "a/1024": side(2**23 - 5, 9.8), "a/8192": side(2**26, 10.0),
        "b/128": side(2**21, 10.0), "b/1024": side(2**24, 9.0), "b/8192": {"failed": BEYOND_TIME},
    }  # fmt: skip
    assert accelerator_constants.wanted_constants({"cells": {"items": cells}}) == {"WAVE_BYTES_ACCELERATOR": 2**23}


def test_operations_are_of_a_kind_by_their_names():
    kinds = {
        "gemm_fusion_dot_12": "products", "sm80_xmma_gemm_f32f32_f32f32": "products", "cutlass::Kernel2<x>": "products",
        "input_reduce_fusion_3": "reductions", "MemcpyD2D": "copies", "loop_transpose_fusion": "copies",
        "loop_dynamic_update_slice_fusion": "copies", "loop_tanh_fusion": "elementwise",
    }  # fmt: skip
    assert {name: profiles.kind_of(name) for name in kinds} == kinds


@pytest.mark.slow
def test_a_wave_that_does_not_fit_is_halved_and_no_bit_changes():
    found = accelerator_checks.check_out_of_memory(1024)
    assert found["ok"]
    assert found["said"] == [each for each in found["said"] if "compiling again for waves of 512" in each]


def test_products_have_the_precision_of_float32():
    found = accelerator_checks.check_products()
    assert found["ok"]
    assert 0 < found["error"] < 1e-6


@pytest.mark.parametrize("name", [*MORE, *NOT_HERE])
def test_the_tests_that_are_chosen_or_left_out_by_name_exist(name):
    file, function = name.split("::")
    (path,) = [path for folder in FULL.tests for path in (ROOT / folder).glob(file)]
    assert re.search(rf"^def {function}\(", path.read_text(), re.MULTILINE)


def test_pytest_keeps_core_tests_and_those_named_and_writes_each_outcome(tmp_path):
    chosen = next(name for name in MORE if name.startswith("test_train.py::")).partition("::")[2]
    (tmp_path / "test_train.py").write_text(
        "import pytest\n"
        "@pytest.mark.core\ndef test_good(): pass\n"
        "@pytest.mark.core\ndef test_bad(): assert 1 == 2\n"
        "@pytest.mark.core\n@pytest.mark.skip(reason='no card')\ndef test_skipped(): pass\n"
        f"def {chosen}(): pass\n"
        "def test_of_something_else(): raise SystemExit\n"
    )
    told = Told(replace(SMALL, tests=(str(tmp_path),)), tmp_path)
    accelerator_tests.measure(told)
    found = told.items["core"]
    assert found["passed"] == 2
    ((failed, why),) = found["failed_tests"].items()
    assert failed.endswith("test_train.py::test_bad")
    assert "assert 1 == 2" in why
    assert [*found["skipped"].values()] == ["Skipped: no card"]
    assert found["exit_code"] == 1


# ---------------------------------------------------------------------------------------------------------
# What is printed.


def test_every_rate_has_its_ratio_and_what_did_not_run_says_why(capsys):
    case = {"name": "width16/1024", "title": "", "widths": [16], "lanes": 1024, "epochs": 64}
    rates = {"products": 5e13, "activations": 1e12, "bytes": 3e12}
    cell = {"case": case, "sides": {
        "sweep": {"lane_steps_per_second": [3e7, 4e7, 5e7], "compile_seconds": 3.0},
        "vmap": {"lane_steps_per_second": [1e7, 2e7, 1e7], "largest_difference": 1e-6},
        "loop": {"failed": BEYOND_MEMORY},
    }}  # fmt: skip
    parts = {
        "limits": {"failed": "", "items": {"rates": rates}},
        "cells": {"failed": "", "items": {"width16/1024": cell, "width64/1024": {"failed": BEYOND_TIME}}},
        "torch": {"failed": "PyTorch is not installed", "items": {}},
    }
    show({"card": "abacus", "versions": {}, "parts": parts, "constants": {}}, Console(width=140))
    printed = capsys.readouterr().out
    for words in (
        "abacus",
        "40M",
        "3.00x",
        "beyond memory",
        "beyond time",
        "PyTorch is not installed",
        "wanted",
        "2x",
    ):
        assert words in printed, words
    assert problems({"parts": parts}) == []


# ---------------------------------------------------------------------------------------------------------
# All of it.


@pytest.mark.slow
def test_the_whole_script_runs_small_on_cpu(tmp_path):
    out = tmp_path / "out.json"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    before = {path.name for path in (ROOT / "benchmarks").glob("*.json")}
    command = [sys.executable, "-m", "benchmarks.accelerator", "--small", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.name for path in (ROOT / "benchmarks").glob("*.json")} == before
    found = json.loads(out.read_text())
    parts = found["parts"]
    assert found["platform"] == "cpu"
    assert [*parts] == [*accelerator.PARTS]
    assert all(parts["limits"]["items"]["rates"][name] > 0 for name in ("products", "activations", "bytes"))
    assert all(item["ok"] for item in parts["checks"]["items"].values())
    assert [*parts["checks"]["items"]] == ["float32", "replay, fixed", "out of memory", "replay, as it is"]
    flags = parts["checks"]["items"]["replay, fixed"]["arithmetic"]["settings"]
    assert "--xla_gpu_autotune_level=0" in flags  # part of the stored arithmetic
    assert [*parts["cells"]["items"]] == [*cells(SMALL)]
    for cell in parts["cells"]["items"].values():
        for name, side in cell["sides"].items():
            assert name == "sweep" or side["largest_difference"] < 1e-5
            assert ratio(cell["sides"]["sweep"], side) > 0
    tiles = parts["tiles"]["items"]
    assert [*tiles] == tile_names(SMALL)
    assert {item["chosen"] for item in tiles.values()} == {32}
    assert found["constants"]["TILE_LARGEST_ACCELERATOR"] <= 64
    (profile,) = parts["profile"]["items"].values()
    assert profile["steps"] > 0
    assert profile["busy_seconds"] == pytest.approx(sum(profile["kinds"].values()))
    assert parts["tests"]["items"]["core"]["passed"] > 5
    assert parts["tests"]["items"]["core"]["failed_tests"] == {}
    assert "jit(vmap)" in done.stdout
