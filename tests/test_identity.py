"""What the hash of a page sees of the functions it brings: their text, and what of the page they use."""

import functools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import tiny

from sweep.identity import fingerprint, source
from sweep.pages import load
from sweep.specs import FromFunction

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
def test_the_hash_changes_with_what_a_function_uses_and_with_nothing_else(tmp_path: Path, kind: str) -> None:
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
    code = "from sweep import load; from sweep.identity import fingerprint; print(fingerprint(load('page.py')))"
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


def test_a_function_without_source_or_name_is_described_too() -> None:
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
