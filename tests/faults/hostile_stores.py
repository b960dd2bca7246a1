"""Stores as a stranger may make them: a good one, changed in one place that commands read.

Each kind of change is a function of the store's copy and a generator of random numbers, which says in a few words what
it has changed. What comes out need not be wrong: a command may refuse it in one line or work, and nothing else.
"""

import json
import os
import shutil
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import zarr
from numpy.random import Generator

from sweep.results import digests

ROOT: Final = "zarr.json"
Change = Callable[[Path, Generator], str]

ESCAPES: Final = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202eesrever\x00"
VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    0,
    -1,
    10**12,
    2**63,
    10**40,
    -0.5,
    1e308,
    float("nan"),
    float("inf"),
    "",
    " ",
    "x" * 5000,
    ESCAPES,
    "[bold red]bold[/] [link=file:///etc/passwd]here[/link]",
    "=cmd|' /C calc'!A0",
    "../../evil",
    "/etc/passwd",
    "a/b",
    "..",
    "\ud800",
    "days since 2000-01-01",
    "seconds",
    [],
    {},
    [[]],
    [None],
    [1, 2, 3],
    ["a", "b"],
    {"a": {"b": {}}},
    [[[[[[[[0]]]]]]]],
    "[" * 3000 + "]" * 3000,
    "{}",
    "[]",
    "null",
    "NaN",
    "-Infinity",
    "1e999",
    '{"path": "/etc"}',
    '[["seed", 1000000000000, ["seed"]]]',
)
BAD_NAMES: Final = (
    "../s/evil",
    "/tmp/evil",
    "..",
    ".",
    "",
    "a//b",
    "a/../../b",
    "nul\x00l",
    "a\nb",
    "\x1b[31mred",
    "x" * 300,
    "x/" * 600,
    "page@../../x",
    "C:\\evil",
    "~/evil",
    "evil.py",
    "\ud800",
)


def hostile(store: Path, copy: Path, number: int, seed: int) -> str:
    """Make a changed copy of a store; kinds take turns with the number, and within a kind chance decides.

    As a stranger would, most get digests that fit what they hold; each third has none, as older stores.

    Args:
        store: a small good store, which is only read.
        copy: where to make it.
        number: which one; the same number and seed give the same.
        seed: of chance.

    Returns:
        What was changed.
    """
    shutil.copytree(store, copy, symlinks=True)
    change = kind(number)(copy, np.random.default_rng([seed, number]))
    (age if number % 3 == 2 else sign)(copy)
    return change


def kind(number: int) -> Change:
    """Give the kind of change that a number stands for."""
    return KINDS[number % len(KINDS)]


def sign(store: Path) -> None:
    """Give a store the digests of what it holds now, as whoever changed it on purpose would."""
    for place in (store / "digests").glob("*.json"):
        with suppress(OSError, ValueError, KeyError):
            content = json.loads(_text(place))
            for name in ("files", "chunks"):
                for file in content.get(name, ()):
                    found = _digest(store / file)
                    content[name][file] = [found] if name == "files" else found
            if "root" in content:
                content["root"] = _text(store / ROOT)
            place.write_text(json.dumps(content))


def age(store: Path) -> None:
    """Make a store one of before there were digests."""
    shutil.rmtree(store / "digests", ignore_errors=True)
    with suppress(OSError, ValueError):  # as text, since it may be nested too deeply to be read
        (store / ROOT).write_text(_text(store / ROOT).replace('"schema": 2', '"schema": 1'))


def _text(path: Path) -> str:
    """Read a file, and nothing that would be waited for."""
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise OSError("no regular file")
    return path.read_text()


def _digest(path: Path) -> str | None:
    try:  # what is larger than a chunk can be is refused before its digest is asked for
        return "0" * 32 if os.lstat(path).st_size > 2**30 else digests.hash_file(path)
    except OSError:
        return None


def pick(rng: Generator, values: Any) -> Any:
    """Choose one of some values, of any types."""
    listed = list(values)
    return listed[int(rng.integers(len(listed)))]


def load(file: Path) -> Any:
    return json.loads(file.read_text())


def dump(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value))


def arrays(store: Path) -> list[Path]:
    return sorted(file.parent for file in store.glob(f"*/{ROOT}"))


def chunks(store: Path) -> list[Path]:
    return sorted(file for file in store.glob("*/c/**/*") if file.is_file())


# Attributes.


def an_attribute(store: Path, rng: Generator) -> str:
    """Take an attribute away, or make it something else."""
    root = load(store / ROOT)
    name = pick(rng, sorted(root["attributes"]))
    if rng.random() < 0.3:
        del root["attributes"][name]
        dump(store / ROOT, root)
        return f"attribute {name} gone"
    value = root["attributes"][name] = pick(rng, VALUES)
    dump(store / ROOT, root)
    return f"attribute {name} is {value!r:.60}"


def inside_an_attribute(store: Path, rng: Generator) -> str:
    """Change one place in an attribute that is JSON as text."""
    root = load(store / ROOT)
    structured = {k: v for k, v in root["attributes"].items() if isinstance(v, str) and v[:1] in ("{", "[")}
    name = pick(rng, sorted(structured))
    value = json.loads(structured[name])
    change = somewhere(value, rng)
    root["attributes"][name] = json.dumps(value)
    dump(store / ROOT, root)
    return f"in {name}: {change}"


def somewhere(value: Any, rng: Generator) -> str:
    """Change one place, at any depth, in lists and objects."""
    here, where = value, ""
    while True:
        if not isinstance(here, dict | list) or not here:
            return f"{where} left alone"
        key = pick(rng, here if isinstance(here, dict) else range(len(here)))
        where += f".{key}"
        if isinstance(here[key], dict | list) and here[key] and rng.random() < 0.7:
            here = here[key]
        elif rng.random() < 0.2:
            del here[key]
            return f"{where} gone"
        else:
            here[key] = pick(rng, VALUES)
            return f"{where} is {here[key]!r:.60}"


def a_name(store: Path, rng: Generator) -> str:
    """Give the page a name that leads elsewhere."""
    name = pick(rng, BAD_NAMES)
    return set_attributes(store, name=name)


def set_attributes(store: Path, **changed: Any) -> str:
    root = load(store / ROOT)
    root["attributes"].update(changed)
    dump(store / ROOT, root)
    return ", ".join(f"{name} is {value!r:.60}" for name, value in changed.items())


def dimensions(store: Path, rng: Generator) -> str:
    """State dimensions that do not fit."""
    found = json.loads(load(store / ROOT)["attributes"]["dimensions"])
    size, knob = found[0][1], found[0][2][0]
    value = pick(
        rng,
        (
            [],
            [*found, ["more", 2, []]],
            [[found[0][0], size + 1, found[0][2]], *found[1:]],
            [["seed", -1, ["seed"]]],
            [["seed", 10**12, ["seed"]]],
            [[knob, 1, []]] * 200,
            [*found, found[0]],
            [["loss", size, [knob]], *found[1:]],
            [["epoch", size, [knob]], *found[1:]],
            [["lane", size, [knob]], *found[1:]],
            [[found[0][0], size, []], *found[1:]],
            [[found[0][0], size, ["status"]], *found[1:]],
            [[found[0][0], size, ["nobody"]], *found[1:]],
            list(reversed(found)),
            [[found[0][0], size, [knob, knob]], *found[1:]],
            [["a/b", size, [knob]], *found[1:]],
            [[ESCAPES, size, [knob]], *found[1:]],
            [["", size, [knob]], *found[1:]],
            [[found[0][0], str(size), found[0][2]], *found[1:]],
            found[1:],
        ),
    )
    return set_attributes(store, dimensions=json.dumps(value))


def figures(store: Path, rng: Generator) -> str:
    """Ask for figures that are none, far too many, or have options of any kind."""
    names = (
        "loss_curves",
        "heatmap",
        "metric_epoch",
        "share",
        "outcome",
        "fits",
        "metric_curves",
        "epochs_to_converge",
    )
    name, words = (
        pick(rng, names),
        ("loss", "x", "epoch", "seed", "learning_rate", "spectral_error", "nobody", "status", "lane"),
    )
    options = {
        pick(
            rng,
            ("metric", "x", "y", "facet", "rows", "columns", "lines", "at_most", "threshold", "statistic", "reference"),
        ): pick(rng, (*words, *VALUES))
        for _ in range(int(rng.integers(4)))
    }
    value = pick(
        rng,
        (
            [{"name": name, "options": options}],
            [{"name": name, "options": options}],
            [{"name": name, "options": options}],
            [{"name": "loss_curves"}] * 5000,
            [{"options": {}}],
            [{"name": ["loss_curves"]}],
            [name],
            {"name": name},
            [[name, options]],
            [{"name": "../../evil", "options": {}}],
            [{"name": name, "options": {f"o{n}": n for n in range(10_000)}}],
            [{"name": "heatmap", "options": {"metric": "loss", "x": "epoch", "y": "learning_rate"}}, None],
        ),
    )
    return set_attributes(store, figures=json.dumps(value))


def a_list_of_arrays(store: Path, rng: Generator) -> str:
    """List arrays that are not there, twice, or elsewhere."""
    known = load(store / ROOT)["attributes"]["arrays"]
    name = pick(rng, known)
    return set_attributes(
        store,
        arrays=pick(
            rng,
            (
                [*known, "../other/loss"],
                [*known, "/etc"],
                [*known, ".."],
                [*known, "loss/c"],
                [*known, known[0]],
                [],
                known[:3],
                [each for each in known if each != name],
                [*known, 5],
                [*known, None],
                "loss",
                {"loss": 1},
                [known],
                [*known, "x\x00y"],
                [f"array{n}" for n in range(100_000)],
                [*known, ESCAPES],
            ),
        ),
    )


def a_root(store: Path, rng: Generator) -> str:
    """Make the root file no JSON object of a store: deep, large, foreign."""
    text = (store / ROOT).read_text()
    kinds = {
        "deep lists": "[" * 200_000 + "]" * 200_000,
        "deep objects": '{"a":' * 100_000 + "1" + "}" * 100_000,
        "a long number": text.replace('"schema": 1', f'"schema": {"9" * 6000}'),
        "no object": "5",
        "no attributes": '{"zarr_format": 3, "node_type": "group"}',
        "attributes that are a list": '{"zarr_format": 3, "node_type": "group", "attributes": [1]}',
        "an array": text.replace('"group"', '"array"'),
        "another format": text.replace('"zarr_format": 3', '"zarr_format": 2'),
        "bytes that are no text": text + "\udcff",
        "half": text[: len(text) // 2],
        "nothing": "",
        "spaces": text + " " * 2**27,
        "consolidated metadata": text.replace(
            '"zarr_format": 3', '"zarr_format": 3, "consolidated_metadata": {"kind": "inline", "metadata": {"x": {}}}'
        ),
        "backslashes": '{"attributes": "' + '\\"' * 300_000 + "\\",
    }
    name = pick(rng, kinds)
    (store / ROOT).write_bytes(kinds[name].encode("utf-8", "surrogateescape"))
    return f"root file: {name}"


# Arrays.


def array_metadata(store: Path, rng: Generator) -> str:
    """Describe an array as another one."""
    array = pick(rng, arrays(store))
    found = load(array / ROOT)
    size = len(found["shape"])
    key, value = pick(
        rng,
        (
            ("shape", [10**12] * size),
            ("shape", [10**7] * size),
            ("shape", [0] * size),
            ("shape", [1] * size),
            ("shape", [-1] * size),
            ("shape", []),
            ("shape", [4]),
            ("shape", [*found["shape"], 2]),
            ("shape", None),
            ("shape", [2.5] * size),
            ("shape", [True] * size),
            ("shape", [found["shape"][0] * 2, *found["shape"][1:]]),
            ("shape", [2**24, *found["shape"][1:]]),
            ("data_type", "string"),
            ("data_type", "int64"),
            ("data_type", "float64"),
            ("data_type", "complex128"),
            ("data_type", "bool"),
            ("data_type", "float16"),
            ("data_type", {"name": "numpy.datetime64", "configuration": {"unit": "s", "scale_factor": 1}}),
            ("data_type", 5),
            ("data_type", "variable_length_utf8"),
            ("data_type", {"name": "fixed_length_utf32", "configuration": {"length_bytes": 10**9}}),
            ("chunk_grid", {"name": "regular", "configuration": {"chunk_shape": [10**9] * size}}),
            ("chunk_grid", {"name": "regular", "configuration": {"chunk_shape": [1] * size}}),
            ("chunk_grid", {"name": "regular", "configuration": {"chunk_shape": [0] * size}}),
            ("chunk_grid", {"name": "regular", "configuration": {"chunk_shape": [3] * size}}),
            ("chunk_grid", {"name": "regular", "configuration": {}}),
            ("chunk_grid", {"name": "rectangular"}),
            ("chunk_grid", []),
            ("chunk_key_encoding", {"name": "v2"}),
            ("chunk_key_encoding", {"name": "default", "configuration": {"separator": "."}}),
            ("codecs", []),
            ("codecs", [{"name": "bytes"}]),
            ("codecs", [{"name": "bytes"}, {"name": "gzip", "configuration": {"level": 1}}]),
            (
                "codecs",
                [
                    {"name": "bytes", "configuration": {"endian": "big"}},
                    {"name": "zstd", "configuration": {"level": 0, "checksum": False}},
                ],
            ),
            ("codecs", [{"name": "transpose", "configuration": {"order": [0] * size}}, {"name": "bytes"}]),
            ("codecs", "bytes"),
            ("codecs", [{"name": "numcodecs.pickle"}]),
            ("codecs", [{"name": "sharding_indexed", "configuration": {}}]),
            ("codecs", [None]),
            ("fill_value", 2),
            ("fill_value", 1e9),
            ("fill_value", "Infinity"),
            ("fill_value", None),
            ("fill_value", [0]),
            ("fill_value", "x"),
            ("dimension_names", None),
            ("dimension_names", ["lane"] * size),
            ("dimension_names", ["epoch"] * size),
            ("dimension_names", ["a/b"] * size),
            ("dimension_names", list(reversed(found["dimension_names"]))),
            ("dimension_names", ["nobody"] * size),
            ("dimension_names", 7),
            ("zarr_format", 2),
            ("node_type", "group"),
            ("storage_transformers", [{"name": "x"}]),
            ("attributes", [1]),
            ("attributes", None),
            ("surprise", {"must_understand": True}),
        ),
    )
    found[key] = value
    dump(array / ROOT, found)
    return f"{array.name}: {key} is {value!r:.80}"


def array_attributes(store: Path, rng: Generator) -> str:
    """Label an array otherwise."""
    array = pick(rng, arrays(store))
    found = load(array / ROOT)
    name = pick(
        rng,
        (
            "units",
            "long_name",
            "flag_values",
            "flag_meanings",
            "coordinates",
            "_FillValue",
            "train_low",
            "train_high",
            "scale_factor",
            "add_offset",
            "missing_value",
            "dtype",
            "calendar",
            "_Unsigned",
            "standard_name",
            "better",
        ),
    )
    found["attributes"][name] = pick(
        rng, (*VALUES, "loss", "nobody seed", "[]", '["a", "a"]', '["a"]', list(range(100_000)))
    )
    dump(array / ROOT, found)
    return f"{array.name}: attribute {name} is {found['attributes'][name]!r:.60}"


def words(store: Path, rng: Generator) -> str:
    """Give a knob, or the status, words of any kind."""
    coded = [a for a in arrays(store) if "flag_meanings" in load(a / ROOT)["attributes"]]
    array = pick(rng, coded)
    found = load(array / ROOT)
    text = pick(
        rng,
        (
            '["tanh", "[bold]relu[/bold]"]',
            json.dumps(['=HYPERLINK("x")', "@SUM(1)"]),
            json.dumps([ESCAPES, "b"]),
            '["a"]',
            "[]",
            "not json",
            '["a", "a"]',
            "[1, 2]",
            '[["a"], ["b"]]',
            json.dumps(["x" * 100_000, "y"]),
            json.dumps([str(n) for n in range(40_000)]),
            "a b c",
            '["", "b"]',
            '["$x_$", "\\\\frac{"]',
            json.dumps(["\ud800", "b"]),
            json.dumps(["+1", "-1"]),
            "finished " * 7,
            '["a/b", "../c"]',
        ),
    )
    found["attributes"]["flag_meanings"] = text
    if rng.random() < 0.5:
        with suppress(ValueError, TypeError):
            found["attributes"]["flag_values"] = list(range(len(json.loads(text))))
    dump(array / ROOT, found)
    return f"{array.name}: words {text!r:.60}"


def an_array_file(store: Path, rng: Generator) -> str:
    """Make the file of an array's metadata no such thing, or put an array where none is listed."""
    array = pick(rng, arrays(store))
    kind = pick(rng, ("deep", "empty", "large", "unlisted", "gone", "another's", "nested"))
    if kind == "unlisted":
        shutil.copytree(array, store / "unlisted")
    elif kind == "nested":
        shutil.copytree(array, array / "nested")
    elif kind == "another's":
        shutil.copy(pick(rng, arrays(store)) / ROOT, array / ROOT)
    elif kind == "gone":
        shutil.rmtree(array)
    else:
        text = {"deep": "[" * 200_000, "empty": "", "large": '{"a": "' + "x" * 2**25 + '"}'}[kind]
        (array / ROOT).write_text(text)
    return f"{array.name}: metadata {kind}"


# Values.


def values(store: Path, rng: Generator) -> str:
    """Write other values into an array by which others are found, or which is drawn."""
    names = [each.name for each in arrays(store)]
    name = pick(
        rng, [n for n in names if n in ("lane", "status", "epoch", "snapshot_epoch", "x", "frequency", "step")] + names
    )
    array: Any = zarr.open_array(store / name, mode="r+")
    whole = array[...]
    kind = pick(rng, ("negative", "large", "equal", "reversed", "random", "nan", "inf", "tiny"))
    floats = whole.dtype.kind == "f"
    with np.errstate(all="ignore"):
        array[...] = {
            "negative": lambda: -whole - 1,
            "large": lambda: np.full_like(whole, np.finfo(whole.dtype).max if floats else np.iinfo(whole.dtype).max),
            "equal": lambda: np.full_like(whole, whole.flat[0]),
            "reversed": lambda: whole[::-1],
            "random": lambda: rng.integers(-100, 100, whole.shape).astype(whole.dtype),
            "nan": lambda: np.full_like(whole, np.nan) if floats else np.zeros_like(whole),
            "inf": lambda: np.full_like(whole, -np.inf) if floats else np.zeros_like(whole),
            "tiny": lambda: np.full_like(whole, 1e-320) if floats else np.ones_like(whole),
        }[kind]()
    return f"{name}: values {kind}"


def swapped_arrays(store: Path, rng: Generator) -> str:
    """Give an array the folder of another."""
    one, other = pick(rng, arrays(store)), pick(rng, arrays(store))
    if one != other:
        shutil.rmtree(one)
        shutil.copytree(other, one)
    return f"{one.name}: is {other.name}"


def a_chunk(store: Path, rng: Generator) -> str:
    """Make a chunk's file none of its array's: another length, a frame that claims or becomes too much."""
    chunk = pick(rng, chunks(store))
    content = chunk.read_bytes()
    kinds = {
        "empty": b"",
        "half": content[: len(content) // 2],
        "longer": content + content,
        "zeros": bytes(len(content)),
        "noise": rng.bytes(len(content)),
        "4 GiB claimed": b"\x28\xb5\x2f\xfd\xe0" + (2**32).to_bytes(8, "little") + b"\x01\x00\x00",
        "2**60 claimed": b"\x28\xb5\x2f\xfd\xe0" + (2**60).to_bytes(8, "little") + b"\x01\x00\x00",
        "a frame that claims nothing and becomes 8 GiB": b"\x28\xb5\x2f\xfd\x00\x70"
        + b"\x02\x00\x10\x00" * 65_536
        + b"\x03\x00\x10\x00",
        "nothing claimed": b"\x28\xb5\x2f\xfd\x20\x00" + b"\x02\x00\x10\x00" * 65_536,
    }
    kind = pick(rng, kinds)
    chunk.write_bytes(kinds[kind])
    return f"chunk {chunk.relative_to(store)}: {kind}"


def a_large_chunk(store: Path, rng: Generator) -> str:
    """Make a chunk's file large without taking space on the disk."""
    chunk = pick(rng, chunks(store))
    with chunk.open("r+b") as file:
        file.truncate(2**33)
    return f"chunk {chunk.relative_to(store)}: 8 GiB long"


# Files.


def not_a_file(store: Path, rng: Generator) -> str:
    """Put a link, a pipe, a socket, a device or a folder in the place of any file or folder."""
    places = [store / ROOT, *(a / ROOT for a in arrays(store)), *chunks(store), *arrays(store)]
    places += [
        store / name for name in ("figures", "heartbeat.json", "checkpoint.npz", "lock", "checkpoint.new", "extra")
    ]
    place = pick(rng, places)
    with suppress(FileNotFoundError):
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    kind = pick(rng, LINKS)
    LINKS[kind](place)
    return f"{place.relative_to(store)}: {kind}"


def _socket(place: Path) -> None:
    here = os.getcwd()
    os.chdir(place.parent)  # the path of a socket may have a hundred letters
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(place.name)
    finally:
        os.chdir(here)


def _device(place: Path) -> None:
    """Make a device that never ends, or where only root may, a link to one."""
    try:
        os.mknod(place, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except OSError:
        place.symlink_to("/dev/zero")


LINKS: Final[dict[str, Callable[[Path], object]]] = {
    "a pipe": os.mkfifo,
    "a socket": _socket,
    "a device": _device,
    "a folder": lambda place: place.mkdir(),
    "a link to /dev/zero": lambda place: place.symlink_to("/dev/zero"),
    "a link to a folder": lambda place: place.symlink_to("/etc"),
    "a link to itself": lambda place: place.symlink_to(place.name),
    "a link to nowhere": lambda place: place.symlink_to("/nowhere/at/all"),
    "a link within the store": lambda place: place.symlink_to("loss"),
}

KINDS: Final[tuple[Change, ...]] = (
    an_attribute,
    an_attribute,
    inside_an_attribute,
    inside_an_attribute,
    a_name,
    dimensions,
    dimensions,
    figures,
    figures,
    a_list_of_arrays,
    a_root,
    array_metadata,
    array_metadata,
    array_metadata,
    array_attributes,
    array_attributes,
    words,
    an_array_file,
    values,
    values,
    values,
    swapped_arrays,
    a_chunk,
    a_large_chunk,
    not_a_file,
    not_a_file,
)
