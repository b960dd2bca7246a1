"""Random pages, overrides and command lines: exit code 0 or 2, and an error is one line and changes nothing."""

import shlex
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from .stores import complete, copied, incomplete, write_page
from .trials import Campaign, Case, call, has, refusal, tree

PAGES, OVERRIDES, LINES = 500, 300, 700
TRAINED = 0.05  # share of pages that are trained as a smoke test, instead of `--plan`
SECONDS = 60.0  # a page of many structures compiles for some

ODD_NUMBERS = (
    "0", "-1", "1", "0.5", "-0.0", "1e-300", "1e300", "-1e300", "5e-324", "float('inf')", "float('nan')",
    "True", "None",
    "'three'", "10**30", "-(10**30)", "1j", "()", "(1, 2)", "[]", "{}", "1e-3", "1e-3", "0.1", "2", "3", "7", "64",
    "__import__('numpy').float32(0.1)", "__import__('numpy').int64(3)", "__import__('fractions').Fraction(1, 3)",
    "__import__('decimal').Decimal('0.1')", "object()", "lambda x: x", "b'x'", "'1e-3'",
)  # fmt: skip
COUNTS = (
    "1", "2", "3", "4", "5", "8", "16", "0", "-1", "2.5", "True", "None", "'8'", "10**30", "1e300", "float('nan')",
)  # fmt: skip
ODD_WORDS = (
    "''", "' '", "'$x_$'", "'a\\nb'", "'\\x1b[31mred'", "'\\ud800'", "'\\0'", "'<script>alert(1)</script>'", "'%s{x}'",
    "'x' * 300", "'é∑'", "'../up'", "'a/b'", "'a@b'", "'[bold]'", "'[/bold]'", "3", "None", "'tanh'", "'adam'", "b'x'",
    "'\\u202eabc'", "'=1+1'", "'nan'", "'seed'", "'loss'", "'epoch'",
)  # fmt: skip
ACTIVATIONS = ("'tanh'", "'relu'", "'sine'", "'gelu'", "'identity'")
LOSSES = ("'mean_squared'", "'summed_squared'", "'mean_absolute'")
KNOBS = (
    "seed", "data_seed", "learning_rate", "width", "depth", "activation", "noise", "initial_scale", "loss_function",
)  # fmt: skip
OTHERS = (
    "momentum", "optimizer", "batch_size", "points", "omega0", "schedule", "bias", "hidden", "epoch", "x",
    "low", "lane",
)  # fmt: skip
FIGURES = (
    "frequency_epoch", "learning_rate_epoch", "metric_epoch", "epochs_to_converge", "outcome", "share", "curves",
    "loss_curves", "metric_curves", "fits", "growth", "space_epoch", "heatmap", "heatmap_film", "pie",
)  # fmt: skip
HEAD = """\
from sweep import *
from sweep.axes import log_uniform, uniform
from sweep.specs import *
"""


class Writer:
    """Writes the text of a page: valid, with an odd part here and there.

    Args:
        random: where all choices come from.
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self.oddness = random.choice((0.0, 0.02, 0.05))  # some forty parts are chosen for a page

    def one(self, *sound: str, odd: Sequence[str] = ODD_NUMBERS) -> str:
        """Choose one of the sound texts, or an odd one."""
        return self.random.choice(odd if self.random.random() < self.oddness else sound)

    def some(self, options: dict[str, str], odd: Sequence[str] = ODD_NUMBERS) -> list[str]:
        """Write a few of the options as keywords."""
        names = self.random.sample(sorted(options), self.random.randint(0, min(3, len(options))))
        return [f"{name}={self.one(options[name], odd=odd)}" for name in names]

    def task(self) -> str:
        """Write a task."""
        given = self.some({"points": "16", "low": "-1.0", "high": "2", "noise": "0.1"})
        given += self.some({"inputs": "'as_is'", "placement": "'grid_with_end'"}, odd=ODD_WORDS)
        name = self.random.choice(("SumOfSines", "SumOfSines", "Sine", "Linear", "FromFunction", "XOR", "Table"))
        if name == "XOR":
            return "XOR"
        if name == "Table":
            return f"Table(rows={self.one('((0,), (1,), (2,))')}, targets={self.one('(0, 1, 0)')}, inputs='as_is')"
        given += {
            "SumOfSines": [f"frequencies={self.one('(1, 2)', '(1,)')}", *self.some({"amplitudes": "0.5"})],
            "Sine": self.some({"target_frequency": "2", "phase": "0.5", "amplitude": "2"}),
            "Linear": self.some({"slopes": "(1.0,)", "intercept": "0"}),
            "FromFunction": [f"function={self.one('lambda x: x * x', 'lambda x: 1 / x', 'abs')}"],
        }[name]
        return f"{name}({', '.join(given)})"

    def model(self) -> str:
        """Write a model."""
        given = self.some({"width": "3", "depth": "1"}, odd=COUNTS)
        given += self.some({"bias": "False", "initial_scale": "2.0"})
        given += self.some({"activation": self.random.choice(ACTIVATIONS), "initializer": "'he_normal'"}, odd=ODD_WORDS)
        return f"MLP({', '.join(given)})"

    def optimizer(self, name: str) -> str:
        """Write an optimiser."""
        given = self.some({"learning_rate": "0.01"})
        given += self.some({"momentum": "0.9", "weight_decay": "1e-4"} if name == "'sgd'" else {})
        return f"Optimizer({', '.join([self.one(name, odd=ODD_WORDS), *given])})"

    def values(self, knob: str) -> str:
        """Write the values of an axis."""
        sound = {
            "activation": "('tanh', 'relu')", "loss_function": "('mean_squared', 'mean_absolute')",
            "learning_rate": "(1e-3, 1e-2)", "noise": "(0.0, 0.1)", "momentum": "(0.0, 0.9)", "width": "(2, 3)",
            "depth": "(1, 2)", "initial_scale": "(0.5, 1.0)", "final_fraction": "(0.1, 1.0)",
        }.get(knob, "(0, 1)")  # fmt: skip
        number, word = self.random.choice(ODD_NUMBERS), self.random.choice(ODD_WORDS)
        odd = (
            "()", "5", "'ab'", "(1, 1)", "(True, False)", "(None, 1)", f"({number}, 1)", f"({word}, 'b')", "range(0)",
            "(1e300, 1e-300)", "iter((1, 2))", "((8, 8), (4,))", "(10**30, 1)", f"({word},)", f"({number},)",
        )  # fmt: skip
        return self.one(sound, odd=odd)

    def axes(self, own: Sequence[str]) -> str:
        """Write axes: products and unions of grids, zips and samples."""
        knobs = self.random.sample(KNOBS, len(KNOBS))
        parts = []
        for _ in range(self.random.randint(1, 3)):
            names = [self.one(knobs.pop(), odd=OTHERS) for _ in range(self.random.randint(1, 2))]
            given = ", ".join(f"{name}={self.values(name)}" for name in names)
            parts.append(f"{self.random.choice(('grid', 'grid', 'zipped'))}({given})")
        if self.random.random() < 0.15:
            low, high = self.one("1e-3"), self.one("1e-1")
            parts[-1] = f"sampled({self.one('3', odd=COUNTS)}, {self.one(*own, odd=OTHERS)}=log_uniform({low}, {high}))"
        text = parts[0]
        for part in parts[1:]:
            text = f"{text} {self.one('*', '*', '+')} {part}"
        return text

    def record(self) -> str:
        """Write what is recorded."""
        given = [f"at={self.one('log_spaced', 'every', 'linear_spaced', odd=('max',))}({self.one('3', odd=COUNTS)})"]
        given += self.some({"snapshots": "2", "metrics": "('loss', 'parameter_norm')"}, odd=COUNTS)
        own = "(Metric('own', lambda m: m.prediction[0] * 0 / 0),)"
        given += self.some({"own": own}, odd=("(Metric('loss', abs),)", "3"))
        return f"Record({', '.join(given)})"

    def figures(self) -> str:
        """Write figures, named with what each needs."""
        wanted = self.random.choice(("'loss_curves'", "'outcome'", "'heatmap'", "'metric_curves'", "'metric_epoch'"))
        others = ("'loss_curves', {'x': 3}", "'heatmap', {'metric': 'status'}", *(f"'{name}'" for name in FIGURES))
        return self.random.choice(("", f"Figure({self.one(wanted, odd=(*ODD_WORDS, *others))}),"))

    def page(self) -> str:
        """Write a page."""
        optimizer = self.random.choice(("'sgd'", "'adam'", "'adam'", "'adamw'", "'rmsprop'"))
        odd_stops = ("Target(0.5, metric='accuracy')", "3", "Halving(2)")
        stop = self.one("None", "None", "Target(0.1)", "Halving()", odd=odd_stops)
        fields = [
            f"question={self.one(repr('Is it so?'), odd=ODD_WORDS)}", f"task={self.task()}", f"model={self.model()}",
            f"optimizer={self.optimizer(optimizer)}", f"axes={self.axes(('learning_rate', 'noise'))}",
            f"epochs={self.one('3', '5', odd=COUNTS)}", f"record={self.record()}", f"figures=({self.figures()})",
            f"stop={stop}", f"precision={self.one(repr('float32'), repr('float64'), odd=ODD_WORDS)}",
            f"loss={self.one(*LOSSES, odd=ODD_WORDS)}", f"batch_size={self.one('None', '3', odd=COUNTS)}",
        ]  # fmt: skip
        if self.random.random() < self.oddness:
            fields.append(self.random.choice(("nothing=1", "seed=-1", "name=3", "claims=3", "figures=None")))
        return f"{HEAD}experiment = Experiment({', '.join(fields)})\n"


def _page(number: int) -> Callable[[Path], tuple[str, str]]:
    def run(folder: Path) -> tuple[str, str]:
        random = Random(f"page {number}")
        text = Writer(random).page()
        (folder / "page.py").write_text(text, encoding="utf-8", errors="surrogatepass")
        how = ["--smoke", "--out", "store"] if random.random() < TRAINED else ["--plan"]
        return _judged("run", ["page.py", *how], folder, text.splitlines()[-1])

    return run


OPTIONS = {
    "--epochs": "3", "--seed": "7", "--batch-size": "4", "--precision": "float64", "--loss": "mean_absolute",
    "--task.points": "16", "--task.noise": "0.1", "--task.low": "-1", "--task.high": "2", "--task.placement": "random",
    "--task.frequencies": "1", "--task.phases": "random", "--model.width": "5", "--model.depth": "0",
    "--model.activation": "relu", "--model.bias": "False", "--model.hidden": "3", "--optimizer.name": "sgd",
    "--optimizer.momentum": "None", "--axes.learning-rate": "0.1", "--record.snapshots": "0",
    "--record.metrics": "loss",
    "--zoom": "learning_rate=1e-3:1e-2:3", "--memory": "1GiB", "--model.initial-scale": "0.5",
    "--model.output-activation": "tanh",
}  # fmt: skip
ARGUMENTS = (
    "1", "2", "3", "8", "0", "-1", "0.1", "1e-3", "1e300", "1e-300", "inf", "nan", "None", "True", "tanh",
    "sgd", "float64",
    "random", "loss", "", " ", "$x_$", "a\nb", "\x1b[31m", "é", "1 2 3", "1,2", "10000000000000000000000000000000",
    "learning_rate=1:1", "seed=0:3", "width=1:2:1000000000000", "1e999GB", "0b", "2KiB",
    "learning_rate=1:2:-3", "adam@",
    "--", "-", "=", "'", "x" * 300, "constant", "(1,2)", "{}", "1e-3 1e-2", "\ud800", "--nothing", "--full", "--smoke",
)  # fmt: skip


def _override(number: int) -> Callable[[Path], tuple[str, str]]:
    def run(folder: Path) -> tuple[str, str]:
        random = Random(f"override {number}")
        write_page(folder)
        args = ["experiments/page.py", "--plan"]
        for _ in range(random.randint(1, 3)):
            option = random.choice(list(OPTIONS))
            args += [option, random.choice(ARGUMENTS) if random.random() < 0.3 else OPTIONS[option]]
        return _judged("run", args, folder)

    return run


SOUND: dict[str, dict[str, tuple[str, ...]]] = {
    "run": {
        "--out": ("new",), "--figures-dir": ("drawn",), "--resume": (), "--fresh": (),
        "--lane": ("seed=1,learning_rate=0.001",),
        "--memory": ("1GiB",), "--smoke": (), "--zoom": ("seed=1:3:3",),
    },
    "plot": {"--out": ("drawn",), "--only": ("loss_curves", "fits"), "--form": ("print",), "--force": ()},
    "compare": {
        "--out": ("new",), "--metric": ("spectral_error",), "--epoch": ("0", "20"), "--rows": ("learning_rate",),
        "--columns": ("seed", "epoch"), "--by": ("learning_rate", "seed"), "--threshold": ("0.1",),
        "--force": (), "--check": (),
    },
    "report": {"--out": ("report.html",), "--force": (), "--claims": ("claims.json",)},
    "claims": {"--out": ("claims.json",), "--experiments": ("experiments",), "--answers": ("answers.md",)},
    "export": {"--to": ("csv", "parquet", "netcdf", "tensorboard"), "--out": ("new",), "--metric": ("loss",),
    "--force": ()},
    "check": {"--repair": ()},
}  # fmt: skip
PATHS = (
    "store", "store", "store", "store", "incomplete", "nowhere", "experiments/page.py", "experiments", ".",
    "..", "", " ",
    "store/loss", "store/zarr.json", "a\nb", "~/x", "x" * 300, "\ud800", "-", "new", "new/deep/er", "store/inside",
    "file.txt", "$HOME", "é", "[red]", "store/", "./store", "nowhere/../store", "loop", "\0",
)  # fmt: skip
WORDS = (
    "csv", "parquet", "netcdf", "tensorboard", "json", "loss", "spectral_error", "learning_rate", "seed",
    "epoch", "0", "1", "-1",
    "1e300", "nan", "print", "screen", "loss_curves", "pie", "seed=1", "seed=1,learning_rate=0.001", "width=3",
    "status", "x",
)  # fmt: skip


def _line(number: int, stores: dict[str, Path]) -> Callable[[Path], tuple[str, str]]:
    def run(folder: Path) -> tuple[str, str]:
        random = Random(f"line {number}")
        for name, store in stores.items():
            copied(store, folder / name)
        write_page(folder)
        (folder / "file.txt").write_text("precious")
        (folder / "loop").symlink_to("loop")
        command = random.choice([name for name in SOUND if has(name)])
        oddness = random.choice((0.0, 0.1, 0.3))

        def odd(sound: str) -> str:
            return random.choice((*PATHS, *WORDS, *ARGUMENTS)) if random.random() < oddness else sound

        read = random.choice(("store", "store", "incomplete"))
        args = [odd("experiments/page.py"), "--plan"] if command == "run" else [odd(read)]
        if command == "compare" and random.random() < 0.7:
            args.append(odd("store"))
        options = random.sample(sorted(SOUND[command]), random.randint(0, min(3, len(SOUND[command]))))
        for option in [*(["--to"] if command == "export" and "--to" not in options else []), *options]:
            args += [option, *([odd(random.choice(SOUND[command][option]))] if SOUND[command][option] else [])]
        if random.random() < oddness:
            args.append(random.choice(("--nothing", "--outt", "-x", "--help", "--out")))
        return _judged(command, args, folder)

    return run


def _judged(command: str, args: Sequence[str], folder: Path, text: str = "") -> tuple[str, str]:
    before = tree(folder)
    reply = call(command, args, cwd=folder, seconds=SECONDS)
    outcome, detail = refusal(reply, before, tree(folder)) or ("right", "")
    tried = ascii(f"{command} {shlex.join(args)} {text}".strip())
    return outcome, f"{detail} OF {tried}" if outcome != "right" else ""


def cases(folder: Path, random: Random) -> Sequence[Case]:
    """List pages, overrides and command lines, each the same whenever it is asked for."""
    page = write_page(folder)
    stores = {"store": complete(page, folder / "store"), "incomplete": incomplete(page, folder / "incomplete")}
    shutil.rmtree(folder / "figures", ignore_errors=True)
    return [
        *(Case(f"page {number}", _page(number)) for number in range(PAGES)),
        *(Case(f"override {number}", _override(number)) for number in range(OVERRIDES)),
        *(Case(f"line {number}", _line(number, stores)) for number in range(LINES)),
    ]


CAMPAIGN = Campaign(
    "generated", "generated pages, overrides and command lines of all commands", cases, quick=12, sample=300
)
