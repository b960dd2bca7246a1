"""What an array of a store may be: its type, shape, chunks, codecs and labels, and the files of its chunks."""

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from math import ceil, isfinite, prod
from pathlib import Path
from typing import Any, Final

from sweep.base.labels import DIMENSIONS, METRICS, RECORDED, STATUS
from sweep.base.text import has_hidden_characters
from sweep.files.bounded_json import parse
from sweep.files.places import ROOT
from sweep.files.safe_files import read_beginning, read_regular
from sweep.page.axes import MOST_LANES

Meta = dict[str, Any]

MOST_METADATA_BYTES: Final = 2**24  # of the file that describes an array
MOST_ALONG: Final = 2**24  # entries along any other dimension
MOST_DIMENSIONS: Final = 5  # of an array
MOST_CHUNK_BYTES: Final = 2**32
MOST_CHUNKS: Final = 2**20  # of an array
MOST_WORDS: Final = 2**15  # of a knob that holds words: codes are int16
MOST_LETTERS: Final = 1_000  # of a word, a unit or a long name
PACKING: Final = 32_768  # bytes that one byte of a zstd frame can become: a block of 128 KiB in four bytes

LANE: Final = "lane"
OF_A_LANE: Final = {"status": "int8", "first_bad_epoch": "float64", "stop_epoch": "float64"}
_MOMENTS: Final = ("epoch", "snapshot_epoch")
_INNER: Final = ("frequency", "x", "layer")
_SIZES: Final = {
    "bool": 1, "int8": 1, "int16": 2, "int32": 4, "int64": 8, "uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8,
    "float32": 4, "float64": 8,
}  # fmt: skip
_FLOATS: Final = ("float32", "float64")
# As zarr writes numbers, packed or not, with a checksum or without one.
_CODECS: Final = (
    ("bytes",), ("bytes", "zstd"), ("bytes", "crc32c"), ("bytes", "zstd", "crc32c"), ("bytes", "crc32c", "zstd"),
)  # fmt: skip
_NAN: Final = "AAAAAAAA+H8="  # as xarray writes it among attributes
_FOREIGN: Final = (  # by which xarray would turn values into others
    "scale_factor", "add_offset", "missing_value", "calendar", "dtype", "_Unsigned", "_Encoding", "grid_mapping",
    "bounds",
)  # fmt: skip
_CHUNK: Final = re.compile(r"([^/]+)/c/([0-9/]+)")
_CHECKSUM: Final = 4  # bytes
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_ZSTD_HEADER: Final = 18  # bytes at most


@dataclass(frozen=True)
class Array:
    """What the metadata of an array says.

    Args:
        name: its name.
        dims: its dimensions.
        shape: entries along each.
        dtype: name of its type.
        chunks: the shape of a chunk.
        codecs: names of what its chunks went through.
        attributes: of the array.
    """

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    chunks: tuple[int, ...]
    codecs: tuple[str, ...]
    attributes: Meta

    @property
    def grid(self) -> tuple[int, ...]:
        """How many chunks there are along each dimension."""
        return tuple(ceil(size / chunk) for size, chunk in zip(self.shape, self.chunks, strict=True))

    @property
    def chunk_bytes(self) -> int:
        """What a chunk holds, unpacked."""
        return prod(self.chunks) * _SIZES[self.dtype]


def read_array(path: Path, name: str) -> Array:
    """Read the metadata of an array and check it.

    Args:
        path: the store.
        name: of the array; a plain one.

    Raises:
        OSError: where it can't be read.
        ValueError: for one that no store of sweep has.
    """
    try:
        found = parse(read_regular(path / name / ROOT, MOST_METADATA_BYTES).decode())
        return _array(name, found)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        told = error if isinstance(error, ValueError) else f"its metadata lack {error}"
        raise ValueError(f"array {name}: {told}") from error


def _ask(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def _array(name: str, found: Any) -> Array:
    _ask(isinstance(found, dict) and found["node_type"] == "array" and found["zarr_format"] == 3, "no array of Zarr 3")
    dims, shape, dtype = found["dimension_names"], found["shape"], found["data_type"]
    known = (LANE, *_MOMENTS, *_INNER)
    plain = isinstance(dims, list) and 1 <= len(dims) <= MOST_DIMENSIONS and all(each in known for each in dims)
    _ask(plain and len(set(dims)) == len(dims), "it lies along dimensions that no results have")
    _ask(isinstance(dtype, str) and dtype in _SIZES, f"its type {str(dtype)[:40]!r} is none of sweep's")
    _ask(_are_counts(shape) and len(shape) == len(dims), "its shape is no list of sizes, one for each dimension")
    for dim, size in zip(dims, shape, strict=True):
        most = MOST_LANES if dim == LANE else MOST_ALONG
        _ask(size <= most, f"it has {size:,} along {dim}, and {most:,} is the most")
    array = Array(name, tuple(dims), tuple(shape), dtype, _chunks(found, len(dims)), _codecs(found), _labels(found))
    _ask(array.chunk_bytes <= MOST_CHUNK_BYTES, f"a chunk of it has more than {MOST_CHUNK_BYTES:,} bytes")
    _ask(prod(array.grid) <= MOST_CHUNKS, f"it has more than {MOST_CHUNKS:,} chunks")
    _check_filling(found, dtype)
    return array


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(each) is int and each >= 1 for each in values)


def _chunks(found: Meta, count: int) -> tuple[int, ...]:
    grid, keys = found["chunk_grid"], found["chunk_key_encoding"]
    _ask(grid["name"] == "regular", "its chunks are not of one shape")
    shape = grid["configuration"]["chunk_shape"]
    _ask(_are_counts(shape) and len(shape) == count, "its chunks have no size for each dimension")
    named = keys["name"] == "default" and keys.get("configuration", {}).get("separator", "/") == "/"
    _ask(named, "its chunks are not named as sweep names them")
    return tuple(shape)


def _codecs(found: Meta) -> tuple[str, ...]:
    names = tuple(each["name"] for each in found["codecs"])
    _ask(names in _CODECS, f"its codecs {str(names)[:80]} are none of sweep's")
    _ask(not found.get("storage_transformers"), "it has storage transformers")
    configuration = found["codecs"][0].get("configuration") or {}
    _ask(configuration.get("endian", "little") == "little", "its bytes are not little-endian")
    return names


def _check_filling(found: Meta, dtype: str) -> None:
    """What is not written must be NaN, or 0: "not run" of a status."""
    value = found["fill_value"]
    right = value == "NaN" if dtype in _FLOATS else type(value) in (int, bool) and value == 0
    _ask(right, f"it is filled with {str(value)[:40]!r}")
    own = found.get("attributes", {}).get("_FillValue", _NAN)
    _ask(own == _NAN and (dtype in _FLOATS or "_FillValue" not in found["attributes"]), "its _FillValue is not NaN")


def _labels(found: Meta) -> Meta:
    """Check the attributes of an array that commands, or xarray, read."""
    told = found.get("attributes", {})
    _ask(isinstance(told, dict), "its attributes are no object")
    if foreign := [name for name in _FOREIGN if name in told]:
        raise ValueError(f"its attribute {foreign[0]} would change its values")
    for name in ("units", "long_name"):
        _check_text(told.get(name, ""), name)
    for name in ("train_low", "train_high"):
        value = told.get(name, 0)
        _ask(isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value), f"its {name} is none")
    _ask(isinstance(told.get("coordinates", ""), str), "its coordinates are no text")
    if "flag_meanings" in told or "flag_values" in told:
        codes = list(range(len(words_of(told))))
        _ask(told.get("flag_values", codes) == codes, "its flag_values are not those of its words")
    return told


def _check_text(text: Any, what: str) -> None:
    _ask(isinstance(text, str) and len(text) <= MOST_LETTERS, f"its {what} is no text, or too long")
    _ask(not has_hidden_characters(text), f"its {what} holds control characters")


def words_of(attributes: Mapping[str, Any]) -> list[str]:
    """Give the words that an array's codes stand for: of a knob a JSON list, of the status words between spaces.

    Raises:
        ValueError: for anything else.
    """
    text = attributes.get("flag_meanings")
    _ask(isinstance(text, str), "its flag_meanings are no text")
    assert isinstance(text, str)
    words = parse(text) if text.startswith("[") else text.split()
    _ask(isinstance(words, list) and 1 <= len(words) <= MOST_WORDS, f"its words are none, or more than {MOST_WORDS:,}")
    for word in words:
        plain = isinstance(word, str) and len(word) <= MOST_LETTERS and (word == "" or word.isidentifier())
        _ask(plain, f"{str(word)[:40]!r} is no word that a knob takes")
    _ask(len(set(words)) == len(words), "a word is there twice")
    return words


def check_kind(array: Array, *, knob: bool, coordinates: Set[str]) -> None:
    """Make sure that an array has the type and the dimensions that its name, or its part in the axes, asks for.

    Args:
        array: the array.
        knob: whether the axes name it.
        coordinates: the names that a coordinate may have.

    Raises:
        ValueError: naming it.
    """
    name, dims, dtype = array.name, array.dims, array.dtype
    apart = set(array.attributes.get("coordinates", "").split()) - coordinates
    _ask(not apart, f"array {name} takes {', '.join(sorted(apart))[:80]} for coordinates")
    right = f"array {name} is not over the dimensions, or of the type, that results have it"
    if knob:
        coded = "flag_meanings" in array.attributes
        _ask(dims == (LANE,) and (dtype == "int16" if coded else dtype in (*_FLOATS, "int64")), right)
    elif name in OF_A_LANE:
        _ask(dims == (LANE,) and dtype == OF_A_LANE[name], right)
        if name == "status" and "flag_meanings" in array.attributes:
            words = words_of(array.attributes)
            _ask(tuple(words) == STATUS[: len(words)], "the words of its status are not those of results")
    elif name in DIMENSIONS:
        _ask(dims == (name,) and dtype == ("int64" if name in (LANE, "layer") else "float64"), right)
    elif name == "step":
        _ask(dims == ("epoch",) and dtype == "int64", right)
    elif name == "target":
        _ask(dims == (LANE, "x") and dtype in _FLOATS, right)
    else:
        _ask(_is_metric(array), right)


def _is_metric(array: Array) -> bool:
    """Tell whether an array has the form of a metric, and of the metric whose name it has."""
    lane, moment, *inner = *array.dims, *[""] * (2 - len(array.dims))
    form = array.dtype in _FLOATS and lane == LANE and set(inner) <= set(_INNER)
    if array.name == "prediction":
        return form and moment == "snapshot_epoch" and tuple(inner) == RECORDED["prediction"].dims
    return form and moment == "epoch" and tuple(inner) == getattr(METRICS.get(array.name), "dims", tuple(inner))


# Chunks.


def list_chunks(files: Mapping[str, int]) -> dict[str, dict[tuple[int, ...], int]]:
    """Sort the files of chunks by array: their sizes by their places in the grid of chunks."""
    found: dict[str, dict[tuple[int, ...], int]] = {}
    for file, size in files.items():
        if match := _CHUNK.fullmatch(file):
            place = tuple(int(each) for each in match[2].split("/") if len(each) < 12)
            found.setdefault(match[1], {})[place] = size
    return found


def check_chunks(path: Path, array: Array, sizes: Mapping[tuple[int, ...], int]) -> int:
    """Make sure that no file of a chunk becomes more than a chunk is, and each can become one.

    Args:
        path: the store.
        array: the array.
        sizes: of the files of its chunks, by place.

    Returns:
        Bytes that chunks would have which are not there.

    Raises:
        OSError: where one can't be read.
        ValueError: for one that is too small or too large, naming it.
    """
    inside = {
        place: size
        for place, size in sizes.items()
        if len(place) == len(array.grid) and all(at < most for at, most in zip(place, array.grid, strict=True))
    }
    for place, size in inside.items():
        file = Path(array.name, "c", *map(str, place))
        _check_chunk(path / file, file.as_posix(), array, size)
    return (prod(array.grid) - len(inside)) * array.chunk_bytes


def _check_chunk(path: Path, name: str, array: Array, size: int) -> None:
    whole = array.chunk_bytes + _CHECKSUM * (array.codecs[1:2] == ("crc32c",))  # before it was packed
    if "zstd" not in array.codecs:
        _ask(size == whole, f"chunk {name} has {size:,} bytes and not {whole:,}")
        return
    _ask(whole <= size * PACKING, f"chunk {name} has {size:,} bytes, which can't become {whole:,}")
    most = 2 * whole + 1024  # more than zstd ever makes of so much
    try:
        head = read_beginning(path, _ZSTD_HEADER, most)
    except FileNotFoundError:  # replaced just now by a run that goes on
        return
    held = _unpacked_size(head)
    _ask(held == whole, f"chunk {name} would become {'nothing known' if held is None else f'{held:,} bytes'}")


def _unpacked_size(head: bytes) -> int | None:
    """Read in the header of a zstd frame how many bytes it becomes; None where it does not say."""
    if head[:4] != _ZSTD or len(head) < 6:
        return None
    flags = head[4]
    single = flags >> 5 & 1
    start = 5 + (1 - single) + (0, 1, 2, 4)[flags & 3]
    count = (single, 2, 4, 8)[flags >> 6]
    field = head[start : start + count]
    if not count or len(field) < count:
        return None
    return int.from_bytes(field, "little") + (256 if count == 2 else 0)
