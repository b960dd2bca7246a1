"""The ladder of compiler options: `python -m benchmarks.flags`, which `make bench-flags` runs.

Each case of the benchmark with one width is compiled by this process's jaxlib with each set of options, as a sweep
compiles its training program, and takes steps in turn with the program without options: none, options, options, none.
The table has the speed over that without options (the median, and the middle half of the repeats), in CPU seconds of
all devices, so that other work on the machine matters little; the CPU seconds of compiling; and how far training losses
after a few steps are from those without options.
"""

import json
import time
from collections.abc import Iterator
from typing import Any, Final

import jax
import numpy as np
import tyro
from jaxlib import version

from benchmarks.cases import CASES, CHECK_STEPS, Case
from benchmarks.compare import machine
from benchmarks.report import HERE, round_numbers, table
from benchmarks.side_sweep import make_plan
from sweep.engine.numerics import standard_settings
from sweep.engine.plan import Plan
from sweep.engine.prepare import names_of
from sweep.engine.program import array_shapes, compile_beginning, lower_training, sharding
from sweep.runs.devices import use_all_cores
from sweep.specs import log_spaced

NONE: Final = "none"
# What a step of a training might gain from, as jaxlib 0.10 and 0.12 know it. Options that let the compiler change what
# is computed (`xla_cpu_enable_fast_math` and those that belong to it) are left out: no speed would be worth them.
LADDER: Final[dict[str, dict[str, Any]]] = {
    NONE: {},
    "vectors of 128 bits": {"xla_cpu_prefer_vector_width": 128},
    "vectors of 256 bits": {"xla_cpu_prefer_vector_width": 256},
    "vectors of 512 bits": {"xla_cpu_prefer_vector_width": 512},
    "no YNN fusion": {"xla_cpu_experimental_ynn_fusion_type": ""},
    "YNN fusion of products": {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT"},
    "YNN fusion of sums": {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_REDUCE"},
    "XNN fusion of products": {"xla_cpu_experimental_xnn_fusion_type": "LIBRARY_FUSION_TYPE_DOT"},
    "oneDNN": {"xla_cpu_use_onednn": True},
    "products in one thread": {"xla_cpu_multi_thread_eigen": False},
    "copies by region": {"xla_cpu_copy_insertion_use_region_analysis": True},
    "concurrent schedule": {"xla_cpu_enable_concurrency_optimized_scheduler": True},
    "fast runtime": {"xla_cpu_opt_preset": "CPU_OPT_PRESET_FAST_RUNTIME"},
    "platform's own mathematics": {"xla_cpu_enable_platform_dependent_math": True},
    "no small denormals": {"xla_cpu_ftz": True},
    "fast minimum and maximum": {"xla_cpu_enable_fast_min_max": True},
    "tiling propagation": {"xla_cpu_experimental_enable_tiling_propagation": True},
    "xtile lowering": {"xla_cpu_use_new_xtile_lowering": True},
    "no fusion emitters": {"xla_cpu_use_fusion_emitters": False},
    "multi-output fusion": {"xla_cpu_use_multi_output_fusion": True},
    "AVX2": {"xla_cpu_max_isa": "AVX2"},
}
CASES_OF_ONE_WIDTH: Final = ("width16", "width64", "width128")
SECONDS: Final = 0.25  # CPU seconds of one measurement


class Trainer:
    """A training program that was compiled with some options, and its lanes.

    Args:
        plan: a plan of one block.
        lowered: its program before it is compiled.
        options: for the compiler.
    """

    def __init__(self, plan: Plan, lowered: Any, options: dict[str, Any]) -> None:
        begun = time.process_time()
        self._compiled = lowered.compile(compiler_options=options)
        self.compile_seconds = time.process_time() - begun
        devices, block = plan.devices.live(), plan.programs[0].blocks[0]
        place, names = sharding(devices), names_of(plan.programs[0])[0]
        shapes = array_shapes(block, devices, names).numbers
        self._numbers = {
            name: jax.device_put(np.resize(plan.programs[0].numbers[0][name], shape.shape).astype(shape.dtype), place)
            for name, shape in shapes.items()
        }
        self._lanes, self._data = compile_beginning(block, names, devices)(self._numbers, ())
        self._live = jax.device_put(np.full((len(devices), 1), block.tiles, np.int32), place)
        self._done = 0

    def train(self, steps: int) -> np.ndarray:
        """Take some steps, and return the loss of every lane after them."""
        counts = [np.array([count], np.int32) for count in (self._done, steps)]
        lanes, values, _ = self._compiled(
            [self._lanes], [self._data], [self._numbers], [], *counts, self._live, np.bool_(True)
        )
        self._lanes, self._done = lanes[0], self._done + steps
        return np.asarray(values[0]["loss"], float)

    def seconds(self, steps: int) -> float:
        """Take some steps, and return the CPU seconds that they took."""
        begun = time.process_time()
        self.train(steps)
        return time.process_time() - begun


def run_case(case: Case, repeats: int) -> dict[str, Any]:
    """Compile one case with every set of options that this jaxlib knows, and measure all of them in turn."""
    plan = make_plan(case, log_spaced(1))
    with standard_settings(plan.experiment.precision):
        lowered = lower_training(plan.programs[0].blocks, names_of(plan.programs[0]), plan.devices.live())
        trainers = dict(_compile_all(plan, lowered))
        losses = {name: trainer.train(CHECK_STEPS) for name, trainer in trainers.items()}
        none = trainers[NONE]
        steps = max(1, round(SECONDS / none.seconds(CHECK_STEPS) * CHECK_STEPS))
        speeds: dict[str, list[float]] = {name: [] for name in trainers}
        for _ in range(repeats):
            for name, trainer in trainers.items():
                speeds[name].append(_compare(none, trainer, steps))
    return {
        name: {
            "speed": speeds[name],
            "compile_seconds": trainer.compile_seconds,
            "difference": float(np.max(np.abs(losses[name] / losses[NONE] - 1))),
        }
        for name, trainer in trainers.items()
    }


def _compare(none: Trainer, trainer: Trainer, steps: int) -> float:
    """Give the speed of one program over that of another, which runs before and after it."""
    times = [each.seconds(steps) for each in (none, trainer, trainer, none)]
    return (times[0] + times[3]) / (times[1] + times[2])


def _compile_all(plan: Plan, lowered: Any) -> Iterator[tuple[str, Trainer]]:
    for name, options in LADDER.items():
        try:
            yield name, Trainer(plan, lowered, options)
        except jax.errors.JaxRuntimeError as error:
            if "No such compile option" not in str(error):
                raise


def words(cases: dict[str, dict[str, Any]]) -> str:
    """Format all measurements as a table in Markdown: an option in a row, a case in a column."""
    rows = [[name, *(_cell(case[name]) if name in case else "not known" for case in cases.values())] for name in LADDER]
    head = "options", *(CASES[name].title for name in cases)
    return table(head, rows)


def _cell(measured: dict[str, Any]) -> str:
    low, median, high = np.quantile(measured["speed"], (0.25, 0.5, 0.75))
    bits = "same losses" if measured["difference"] == 0 else f"{measured['difference']:.0e}"
    return f"{median:.2f} ({low:.2f}-{high:.2f}), {measured['compile_seconds']:.1f} s, {bits}"


def main(cases: tuple[str, ...] = CASES_OF_ONE_WIDTH, repeats: int = 8, write: bool = False) -> None:
    """Measure what options of the compiler do to the training program on CPU.

    Args:
        cases: names of cases of one width.
        repeats: how often each program is compared with that without options.
        write: keep the measurements in benchmarks/, in a file of this line of jaxlib.
    """
    use_all_cores()
    found = {"machine": machine(), "jaxlib": version.__version__, "repeats": repeats, "cases": {}}
    for name in cases:
        found["cases"][name] = run_case(CASES[name], repeats)
        print(f"{name}: {len(found['cases'][name])} of {len(LADDER)} sets of options", flush=True)
    print(f"\njaxlib {version.__version__}: speed over that without options, CPU seconds to compile, change of losses")
    print(words(found["cases"]))
    if write:
        line = ".".join(version.__version__.split(".")[:2])
        (HERE / f"flags-jax-{line}.json").write_text(json.dumps(round_numbers(found), indent=1) + "\n")


if __name__ == "__main__":
    tyro.cli(main)
