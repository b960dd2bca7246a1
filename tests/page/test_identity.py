"""How the hash of a page depends on its functions: on their text, and on what of the page they use."""

import functools
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import tiny

from sweep.page.identity import (
    MODULES,
    SPECS,
    defaults,
    describe,
    differing_fields,
    fingerprint,
    fingerprint_of,
    source,
)
from sweep.page.load import load
from sweep.page.specs.knobs import Spec
from sweep.page.specs.optimizer import OPTIMIZERS, SCHEDULES
from sweep.specs import FromFunction, Optimizer, Sine

ROOT = Path(__file__).parents[2]

PAGE = """
import math
from functools import partial

import numpy as np

from sweep import MLP, Experiment, FromFunction, grid

K = 1.0
TABLE = np.array([1.0, 2.0])
NAMES = {{"a", "b", "c"}}

def helper(x):
    return DEEP * x

DEEP = 2.0

class Scale:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return K * self.factor * x

def made(factor):
    def inner(x):
        return factor * x
    return inner

{target}

experiment = Experiment(question="?", task=FromFunction(function=target), model=MLP(), axes=grid(seed=(0,)))
"""
TARGETS = {
    "constant": "def target(x):\n    return K * x",
    "constant in a function inside": "def target(x):\n    def inside(y):\n        return K * y\n    return inside(x)",
    "helper": "def target(x):\n    return helper(x)",
    "array": "def target(x):\n    return TABLE[0] * x",
    "default": "def target(x, k=K):\n    return k * x",
    "closure": "target = made(K)",
    "partial": "target = partial(lambda k, x: k * x, K)",
    "object": "target = Scale(1.0)",
    "method": "target = Scale(1.0).__call__",
}
CHANGES = {
    "constant": ("K = 1.0", "K = 1.5"),
    "constant in a function inside": ("K = 1.0", "K = 1.5"),
    "helper": ("DEEP = 2.0", "DEEP = 3.0"),
    "array": ("[1.0, 2.0]", "[1.0, 2.5]"),
    "default": ("K = 1.0", "K = 1.5"),
    "closure": ("K = 1.0", "K = 1.5"),
    "partial": ("K = 1.0", "K = 1.5"),
    "object": ("K = 1.0", "K = 1.5"),
    "method": ("return K * self.factor", "return K + self.factor"),
}


def code_of(folder: Path, text: str) -> str:
    page = folder / "page.py"
    page.write_text(text)
    return fingerprint(load(page))


@pytest.mark.parametrize("kind", TARGETS)
def test_the_hash_changes_only_with_what_a_function_uses(tmp_path: Path, kind: str) -> None:
    text = PAGE.format(target=TARGETS[kind])
    before = code_of(tmp_path, text)
    assert code_of(tmp_path, text) == before
    assert code_of(tmp_path, text.replace("import math", "import math\nUNUSED = 3")) == before
    assert code_of(tmp_path, text.replace(*CHANGES[kind])) != before


def test_the_hash_is_the_same_in_every_process(tmp_path: Path) -> None:
    target = (
        "OPEN = open\ndef target(x):\n    return K * x * len(NAMES) * helper(x) * Scale(made)(x) * (x in {'p', 'q'})"
    )
    (tmp_path / "page.py").write_text(PAGE.format(target=target))
    code = "from sweep import load; from sweep.page.identity import fingerprint; print(fingerprint(load('page.py')))"
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(seen) == 1


@pytest.mark.parametrize("target", [*TARGETS.values(), "class Own(Scale):\n    pass\ntarget = Own(made(Scale))"])
def test_the_hash_does_not_depend_on_the_folder_of_the_page(tmp_path: Path, target: str) -> None:
    codes = set()
    for folder in ("one", "another"):
        (tmp_path / folder).mkdir()
        codes.add(code_of(tmp_path / folder, PAGE.format(target=target)))
    assert len(codes) == 1


def test_functions_without_source_or_name_have_different_hashes() -> None:
    codes = set()
    for formula in ("x + 1", "x + 2", "x * 2"):
        names: dict = {}
        exec(f"def target(x):\n    return {formula}", names)
        codes.add(fingerprint(tiny(task=FromFunction(function=names["target"]))))
    for function in (np.sin, np.cos, abs, functools.partial(np.power, 2), functools.partial(np.power, 3)):
        codes.add(fingerprint(tiny(task=FromFunction(function=function))))
    assert len(codes) == 8


def test_recursive_helpers_end() -> None:
    def even(n):
        return n == 0 or odd(n - 1)

    def odd(n):
        return n != 0 and even(n - 1)

    assert source(even).count("return n == 0") == 1
    assert source(even).count("return n != 0") == 1


# What must not change.

NO_TASK = {"points": 1, "low": 0.0, "high": 1.0, "placement": "grid", "inputs": "scaled", "noise": 0.0}
DEFAULTS = {
    "Axes": {"factors": []},
    "Cadence": {},
    "Experiment": {
        "task": {"kind": "NoTask", **NO_TASK}, "model": {"kind": "NoModel"}, "training": None,
        "optimizer": {"kind": "Optimizer"}, "epochs": 1000, "loss": "mean_squared", "batch_size": None, "seed": 0,
        "data_seed": 0, "precision": "float32", "record": {"kind": "Record"}, "stop": None, "figures": [],
        "claims": [], "name": "experiment",
    },
    "Data": {
        "points": 128, "low": 0.0, "high": 1.0, "placement": "grid", "noise": 0.0, "validation": 0.0,
        "standardise": "nothing", "input_names": [], "target_names": [], "classes": [],
    },
    "Factor": {},
    "FromFunction": {
        "points": 128, "low": 0.0, "high": 1.0, "placement": "grid", "inputs": "scaled", "noise": 0.0,
        "parameters": {}, "frequencies": [], "features": 1, "outputs": [],
    },
    "FromModule": {"width": 64, "initial_scale": 1.0, "numbers": {}, "static": []},
    "FromOptax": {"numbers": {}},
    "FromTraining": {"metrics": [], "numbers": {}, "static": []},
    "Halving": {"keep": 0.5, "first": 0.1, "by": "median", "within": [], "metric": "loss"},
    "Linear": {
        "points": 128, "low": 0.0, "high": 1.0, "placement": "grid", "inputs": "scaled", "noise": 0.0,
        "slopes": [2.0], "intercept": 1.0,
    },
    "Loss": {},
    "MLP": {
        "hidden": None, "width": 64, "depth": 3, "activation": "tanh", "output_activation": "identity", "bias": True,
        "output_bias": True, "initializer": "lecun_normal", "bias_initializer": "zeros", "initial_scale": 1.0,
        "bias_scale": 1.0, "omega0": 1.0, "frozen": [], "parametrisation": "standard", "base_width": 64,
        "layer_norm": False, "residual": False, "dropout": None,
        "fourier_features": None, "fourier_scale": 1.0, "hidden_omega": None, "pairs": False,
    },
    "Dimension": {"units": "1", "long_name": ""},
    "Metric": {"function": None, "dims": [], "units": "1", "long_name": "", "better": None},
    "Optimizer": {
        "name": "adam", "learning_rate": 0.001, "momentum": None, "weight_decay": None, "beta1": None, "beta2": None,
        "epsilon": None, "decay": None, "schedule": "constant", "final_fraction": None, "rho": None,
        "memory_size": None, "initial_fraction": None, "boundaries": None, "boundary_factor": None, "warmup": None,
        "clip_norm": None, "coupled_decay": None, "decoupled_decay": None, "decay_biases": True, "layer_rates": None,
        "accumulate": 1, "average": None,
    },
    "Plateau": {"metric": "loss", "min_improvement": 1e-4},
    "Record": {"metrics": None, "own": [], "at": {"kind": "Cadence", "form": "log", "value": 50}, "x": None,
               "snapshots": 5, "keep": None},
    "Sine": {
        "points": 128, "low": 0.0, "high": 1.0, "placement": "grid", "inputs": "scaled", "noise": 0.0,
        "target_frequency": 1.0, "amplitude": 1.0, "phase": 0.0,
    },
    "SumOfSines": {
        "points": 128, "low": 0.0, "high": 1.0, "placement": "grid", "inputs": "scaled", "noise": 0.0,
        "frequencies": [1.0], "amplitudes": 1.0, "phases": "random",
    },
    "Table": {
        "points": 128, "low": 0.0, "high": 1.0, "placement": "grid", "inputs": "scaled", "noise": 0.0,
        "rows": [], "targets": [],
    },
    "Target": {"value": None, "metric": "loss", "at_least": None, "at_most": None},
    "Window": {"points": 200, "end": True},
}  # fmt: skip
# Defaults of the numbers that are None in Optimizer; they depend on the optimiser or the schedule.
NUMBERS = {
    "sgd": {"momentum": 0.0, "weight_decay": 0.0},
    "adam": {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
    "adamw": {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weight_decay": 1e-4},
    "nadam": {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
    "rmsprop": {"decay": 0.9, "epsilon": 1e-8},
    "adagrad": {"epsilon": 1e-7},
    "lion": {"beta1": 0.9, "beta2": 0.99, "weight_decay": 1e-3},
    "nesterov": {"momentum": 0.9, "weight_decay": 0.0},
    "adamax": {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
    "radam": {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
    "amsgrad": {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
    "adadelta": {"decay": 0.9, "epsilon": 1e-6},
    "yogi": {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-3},
    "lamb": {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-6, "weight_decay": 0.0},
    "muon": {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "momentum": 0.95, "weight_decay": 0.0},
    "schedule_free_adamw": {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weight_decay": 0.0},
    "sam": {"momentum": 0.0, "rho": 0.05, "weight_decay": 0.0},
    "lbfgs": {},
    "constant": {},
    "linear": {"final_fraction": 0.0},
    "cosine": {"final_fraction": 0.0},
    "exponential": {"final_fraction": 0.01},
    "warmup_cosine": {"final_fraction": 0.0},
    "piecewise": {"boundary_factor": 0.1},
    "one_cycle": {"warmup": 0.3, "initial_fraction": 0.04, "final_fraction": 4e-6},
}
# Every name that a module or a package has had: it is left out of hashes for good.
MODULE_NAMES = """
__main__ absent activation addresses agreement alignment answers array_checks array_schema arrays atomic_files
attribute_checks attributes axes base best blocks bokeh_models bounded_json bucket_client bucket_locks buckets capacity
cells check checkpoints checks chunk_files chunks claim claims cli command compare comparing comparison compile_cache
compiler_check compiler_options completeness composing connection continuing convergence coordinator cores cost crash
creation crew curvature curve_records curves damage data dataset devices differences differing digests dimension
dimensions distance document drawing elementwise engine epoch_maps errors estimate events exchange execute executor
executors experiment export exporting failures figure figures files filling film folder formats fourier frameworks
gallery given growing growth_checks hashes heartbeat heatmaps hierarchy html identity initial initializer inputs
intervals keeping keys knobs labels lane_choice lane_tables lanes layers layout leases lines load local locking locks
long loss losses mailbox maps masks matching measures memory merge merge_checks merging messages metric metrics model
models modules moment netcdf networks numerics older_stores on_ray operations optim optimizer optimizers optional
outcomes outputs overrides own own_numbers owners packing page page_code page_differences page_figure page_training
pages pairs parametrisation parts perceptron permutation places plan plane planning plot plots prediction prepare
products program progress provenance quotients reading record refusals registry regression repair replay replaying
report reporting resolve restore restoring results rewriting rows rules run rungs runner runs safe_files samples
sampling scalars scale schedule schedules schema seats section seed_statistics seeds self_test session shape shares
sharing sheet signals sine skeleton spacing specs stats stop stopping store store_damages stores streams structured
style summary surfaces tables targets task tasks terminal text tidy trackers train trained training training_range
trees unbatched unions update_rule user_cache values variables variation verdict_tables verdicts verification version
view walk wave wave_damages wave_writer waves weights whole_files window worker workers working_copies writer written
zoom
"""
FINGERPRINTS = {
    "freq_principle": "8a463f078f9e669a",
    "linear_check": "13e1af7c041fe612",
    "bring_your_own": "9e12af44bc4d6763",
    "questions/larger_networks": "7fd557dd9f2bd2a6",  # a union
    "questions/linear_capacity": "ce71beeb1a7f102c",  # a metric of its own
    "questions/xor": "fb0f7f9d5968ef32",  # a table
}


def test_no_default_has_changed() -> None:
    """To change one changes what all stores say that leave it out: raise the schema. A new one is added here."""
    bare = {
        spec: {name: {"kind": value["kind"]} if (spec, name) in FULLER else value for name, value in fields.items()}
        for spec, fields in defaults().items()
    }
    assert bare == DEFAULTS
    assert {name: each.numbers for name, each in {**OPTIMIZERS, **SCHEDULES}.items()} == NUMBERS


FULLER = {("Experiment", "optimizer"), ("Experiment", "record")}  # whose own defaults the table has


def test_every_class_of_a_page_is_listed_with_its_defaults() -> None:
    """A spec that is not among `SPECS` would have its hash changed by every field that it gets."""
    inside = {each.__name__ for each in subclasses(Spec) if each.__module__.startswith("sweep.")}
    cosmetic_or_bare = {"Claim", "Criterion", "AtLeast", "AtMost", "Between", "Task", "Model", "UpdateRule"}
    cosmetic_or_bare |= {"OwnNumbers", "NoTask", "NoModel", "NoOptimizer"}  # in no description
    assert inside - cosmetic_or_bare <= {spec.__name__ for spec in SPECS}
    pages = [load(page) for page in sorted((ROOT / "experiments").rglob("*.py"))]
    kinds = {kind for page in pages for kind in kinds_of({**describe(page), "figures": [], "claims": []})}
    assert kinds - {"Values"} <= {spec.__name__ for spec in SPECS}  # which has no defaults


def subclasses(spec: type) -> set[type]:
    return {spec, *(below for each in spec.__subclasses__() for below in subclasses(each))} - {Spec}


def kinds_of(value: object) -> set[str]:
    if isinstance(value, dict):
        own = {value["kind"]} if isinstance(value.get("kind"), str) else set()
        return own.union(*map(kinds_of, value.values()))
    return set().union(*map(kinds_of, value)) if isinstance(value, list) else set()


def test_all_modules_are_listed_so_that_code_may_move() -> None:
    """If one is missing in the table, add its name; the name of a removed one goes to `identity._FORMER`."""
    assert sorted(MODULES - {*MODULE_NAMES.split()}) == []
    assert sorted({*MODULE_NAMES.split()} - MODULES) == []


@pytest.mark.parametrize("page", FINGERPRINTS)
def test_the_hashes_of_pages_have_not_changed(page: str) -> None:
    assert fingerprint(load(ROOT / f"experiments/{page}.py")) == FINGERPRINTS[page]


def test_a_new_field_at_its_default_changes_no_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    now = describe(tiny())
    before = json.loads(json.dumps(now))
    del before["model"]["omega0"], before["optimizer"]["decay"], before["record"]["snapshots"]
    before["record"]["snapshots"] = now["record"]["snapshots"]
    assert fingerprint_of(before) == fingerprint_of(now) == fingerprint(tiny())
    before["model"]["width"] += 1
    assert fingerprint_of(before) != fingerprint_of(now)


def test_a_value_other_than_the_default_changes_the_hash() -> None:
    codes = {fingerprint(tiny(optimizer=Optimizer("adam", beta1=beta1))) for beta1 in (None, 0.9, 0.8)}
    assert len(codes) == 3
    assert fingerprint(tiny(epochs=1000)) != fingerprint(tiny(epochs=1001))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("sweep.sine.sine sine", "sweep.engine.sine.sine sine"),
        ("    from sweep.sine import sine, LIMIT\n", "    from sweep.engine.sine import sine, LIMIT\n"),
        ("    import sweep.sine as s\n", "    import sweep.engine.sine as s\n"),
        ("return sweep.sine.sine(x)", "return sweep.engine.sine.sine(x)"),
        ("m: sweep.record.Moment Moment", "m: sweep.engine.metrics.Moment Moment"),
    ],
)
def test_the_module_that_code_is_in_does_not_change_a_hash(before: str, after: str) -> None:
    codes = {fingerprint_of({"task": {"kind": "FromFunction", "function": text}}) for text in (before, after)}
    assert len(codes) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sweep.sine.sine sine", "sweep.sine.cosine cosine"),
        ("return sweep.low.value", "return sweep.high.value"),  # an object of the page that is called sweep
        ("from sweeper.sine import sine", "from sweeper.models import sine"),
        ("return my.sweep.sine.sine(x)", "return my.sweep.models.sine(x)"),
        ("from sweep import sine", "from sweep import models"),
    ],
)
def test_the_names_that_are_used_change_a_hash(one: str, other: str) -> None:
    codes = {fingerprint_of({"task": {"kind": "FromFunction", "function": text}}) for text in (one, other)}
    assert len(codes) == 2


def test_a_spec_that_a_function_uses_is_described_without_its_defaults() -> None:
    task, build = Sine(points=64), FromFunction(function=lambda x: x + 1, points=32)

    def used(x):
        return x * task.points

    def other(x):
        return x * build.points

    assert source(used).endswith('\ntask: {"kind": "Sine", "points": 64}')
    assert '"points": 32' in source(other)
    assert "x + 1" in source(other)
    assert "placement" not in source(used) + source(other)


def test_a_function_of_sweep_is_named_and_its_source_is_not_read() -> None:
    from sweep.engine.regression.metrics import accuracy
    from sweep.engine.regression.sine import sine

    assert source(sine) == "sweep.engine.regression.sine.sine sine"
    assert source(accuracy) == "sweep.engine.regression.metrics.accuracy accuracy"
    assert (
        source(functools.partial(accuracy, 1)) == "partial of sweep.engine.regression.metrics.accuracy accuracy [1] {}"
    )


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"epochs": 13}, "epochs"),
        ({"name": "other", "question": "Else?"}, ""),
        ({"seed": 3, "epochs": 13}, "epochs, seed"),
    ],
)
def test_the_fields_in_which_a_store_differs_are_named(change: dict, named: str) -> None:
    attributes = {"experiment": json.dumps(describe(tiny()))}
    assert differing_fields(replace(tiny(), **change), attributes) == named


def test_a_field_that_only_one_of_the_two_has_is_named() -> None:
    described = describe(tiny()) | {"epochs": 1000, "mood": "good"}
    assert differing_fields(replace(tiny(), epochs=12), {"experiment": json.dumps(described)}) == "epochs, mood"
