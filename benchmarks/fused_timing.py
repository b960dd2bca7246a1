"""What `python -m benchmarks.fused_kernel` does: the fused kernel against plain JAX and `sweep`, in one process.

All sides get the same initial weights and targets, drawn by `sweep`, and take the same steps of Adam at full batch:
three hidden tanh layers, 128 points. Losses are compared after a few steps; a side that does not agree with plain JAX
has no ratio.
Without a GPU the kernel is interpreted: a small case is compared, and nothing is timed.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import limit
from benchmarks.cases import CHECK_STEPS, Case
from benchmarks.fused_kernel import Kernel, begin, train_lanes
from benchmarks.handover import Handover, load
from benchmarks.side_jax import training
from benchmarks.side_sweep import Engine

TOLERANCE: Final = 1e-4  # of a loss, relative, as between the sides of benchmarks/compare.py
REPEATS: Final = 3
# (width, lanes, steps), the most telling first, since the time given may end before the last.
SIZES: Final = ((16, 1024, 500), (64, 1024, 300), (32, 1024, 500), (16, 8192, 200), (64, 8192, 100), (32, 8192, 200))
INTERPRETED: Final = ((16, 4, CHECK_STEPS),)
# Of each width those with the fewest instructions a step when compiled for an H100; docs/performance.md has the table.
KERNELS: Final = {
    16: (Kernel(points=64, warps=2), Kernel(points=64, warps=2, products="tf32x3")),
    32: (Kernel(points=32, warps=8), Kernel(points=64, warps=2, products="tf32x3")),
    64: (Kernel(points=32, warps=8), Kernel(points=32, warps=8, products="tf32x3")),
}
LIMITS: Final = {"H100": 66.9e12, "H200": 66.9e12}  # float32 operations a second outside of tensor cores, by data sheet


@dataclass(frozen=True)
class Row:
    """What one side did at one size.

    Args:
        width: neurons of each hidden layer.
        lanes: number of trainings.
        steps: steps of each in a timed run.
        flops: operations of the matrix products in a step of a lane.
        side: its name.
        compile_seconds: until its first few steps were done.
        seconds: of each timed run; none where nothing is timed.
        difference: largest relative difference of a lane's loss from plain JAX after `CHECK_STEPS` steps.
        failed: why there are no numbers.
    """

    width: int
    lanes: int
    steps: int
    flops: float
    side: str
    compile_seconds: float | None = None
    seconds: tuple[float, ...] = ()
    difference: float | None = None
    failed: str | None = None

    def rate(self) -> float | None:
        """Lane-steps a second, in the median run."""
        return self.lanes * self.steps / float(np.median(self.seconds)) if self.seconds else None


class Side(NamedTuple):
    """A way to train.

    Args:
        name: its name.
        train: maps a number of steps to the losses after them.
        arithmetic: JAX's settings while it runs.
    """

    name: str
    train: Callable[[int], Any]
    arithmetic: Callable[[], AbstractContextManager[Any]] = nullcontext


def run(seconds: float = 60.0, out: Path | None = None) -> None:
    """Compare the fused training kernel with plain JAX and with sweep.

    Args:
        seconds: begin no further size after this time; the last one may take half a minute more.
        out: write all numbers to this file, as JSON.
    """
    report = measure(seconds)
    for line in table(report):
        print(line)
    if out is not None:
        out.write_text(json.dumps(report, indent=1) + "\n")


def measure(seconds: float) -> dict[str, Any]:
    """Measure every size that there is time for, and describe device and versions."""
    begun, device, rows = time.perf_counter(), jax.devices()[0], []
    sizes = SIZES if device.platform == "gpu" else INTERPRETED
    for width, lanes, steps in sizes:
        if time.perf_counter() - begun > seconds:
            break
        rows += [asdict(row) | {"rate": row.rate()} for row in _measure_size(width, lanes, steps)]
    return {
        "device": device.device_kind, "platform": device.platform, "jax": jax.__version__, "seconds": seconds,
        "interpreted": device.platform != "gpu", "rows": rows,
    }  # fmt: skip


def _measure_size(width: int, lanes: int, steps: int) -> Iterator[Row]:
    """Measure all sides; one that fails says why, and the others go on."""
    case = Case("fused", "", (width,), lanes=lanes, epochs=steps)
    row = partial(Row, width, lanes, steps, limit.count(case, width)["products"])
    engine = Engine()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "handover.npz"
        begun = time.perf_counter()
        engine.open(asdict(case), str(path))
        opened, handover = time.perf_counter() - begun, load(path, case.widths)
    plain, *others = _sides(case, handover)
    wanted = np.asarray([])
    for name, run in (
        (plain.name, partial(_run_side, plain, steps)),
        ("sweep", partial(_run_engine, engine, opened)),
        *((side.name, partial(_run_side, side, steps)) for side in others),
    ):
        try:
            losses, seconds, compiled = run(REPEATS if jax.default_backend() == "gpu" else 0)
            wanted = losses if name == plain.name else wanted
            difference = float(np.max(np.abs(losses - wanted) / wanted))
        except Exception as error:  # a kernel that the GPU's compiler refuses is a finding, too
            yield row(name, failed=f"{type(error).__name__}: {error}".splitlines()[0][:200])
            continue
        yield row(name, compiled, tuple(seconds), difference)


def _sides(case: Case, handover: Handover) -> list[Side]:
    """List plain JAX in float32, which the others are compared with, plain JAX as it is by default, and the kernels."""
    (group,) = handover.groups
    inputs, parameters, targets = jnp.asarray(handover.inputs), jax.tree.map(jnp.asarray, group.trees), group.target
    targets = jnp.asarray(targets)
    keys = jax.random.split(jax.random.key(0), case.lanes)
    plain = jax.jit(jax.vmap(training(case, inputs), in_axes=(0, 0, 0, None, None)))
    rates = jnp.full(case.lanes, case.learning_rate, jnp.float32)

    def fused(kernel: Kernel, steps: int) -> Any:
        lanes = train_lanes(begin(parameters, kernel.optimizer), inputs.T, targets, rates, steps, kernel)
        return plain(lanes.parameters, targets, keys, None, 0)  # the losses, after no further step

    exact = partial(jax.default_matmul_precision, "highest")
    gpu = jax.default_backend() == "gpu"
    sides = [Side("plain, float32", lambda steps: plain(parameters, targets, keys, None, steps), exact)]
    if gpu:
        sides.append(Side("plain, default", sides[0].train))
    for kernel in KERNELS[case.widths[0]] if gpu else (Kernel(interpret=True),):
        name = f"fused, {kernel.products}, {kernel.points} points, {kernel.warps} warps"
        sides.append(Side(name, partial(fused, kernel), exact))
    return sides


def _run_side(side: Side, steps: int, repeats: int) -> tuple[np.ndarray, list[float], float]:
    """Give the losses to compare, the seconds of the timed runs, and those of the first few steps."""
    with side.arithmetic():
        begun = time.perf_counter()
        losses = np.asarray(side.train(CHECK_STEPS))
        compiled = time.perf_counter() - begun
        return losses, [_seconds(partial(side.train, steps)) for _ in range(repeats)], compiled


def _run_engine(engine: Engine, opened: float, repeats: int) -> tuple[np.ndarray, list[float], float]:
    """The same for `sweep`, which has compiled its program in the seconds in which it was opened."""
    begun = time.perf_counter()
    (losses,) = engine.train(check=True)["losses"]
    compiled = opened + time.perf_counter() - begun
    return np.asarray(losses), [engine.train(check=False)["seconds"] for _ in range(repeats)], compiled


def _seconds(train: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    jax.block_until_ready(train())
    return time.perf_counter() - begun


def table(report: dict[str, Any]) -> list[str]:
    """Write the numbers of `measure` as lines of a table."""
    lines = [f"{report['device']}, jax {report['jax']}"]
    if report["interpreted"]:
        lines.append("No GPU here: the kernel is interpreted, and nothing is timed.")
    lines.append("width  lanes  side                                 difference  lane-steps/s  over plain  of limit")
    peak = next((limit for name, limit in LIMITS.items() if name in report["device"]), None)
    plain = {(row["width"], row["lanes"]): row["rate"] for row in report["rows"] if row["side"] == "plain, float32"}
    for row in report["rows"]:
        begun = f"{row['width']:5d}  {row['lanes']:5d}  {row['side']:35s}"
        lines.append(f"{begun}  {row['failed'] or _numbers(row, plain[row['width'], row['lanes']], peak)}")
    return lines


def _numbers(row: dict[str, Any], plain: float | None, peak: float | None) -> str:
    """Write the numbers of a row; without agreement a rate says nothing."""
    difference, rate = f"{row['difference']:10.1e}", row["rate"]
    if row["difference"] > TOLERANCE:
        return f"{difference}  differs"
    if rate is None:
        return difference
    over = f"{rate / plain:.2f}" if plain else "-"
    share = f"{rate * row['flops'] / peak:.0%}" if peak else "-"
    return f"{difference}  {rate:12.4g}  {over:>10s}  {share:>8s}"
