"""The metadata of one array of a store: its type, shape, chunks, codecs, fill value and labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, prod
from pathlib import Path
from typing import Any, Final

from sweep.base.labels import NETWORK_DIMS
from sweep.files.bounded_json import parse
from sweep.files.places import ROOT
from sweep.files.safe_files import read_regular
from sweep.page.axes import MOST_LANES
from sweep.results.checks.scalars import MOST_NAME_LETTERS, check_text, is_number, require

Meta = dict[str, Any]

MOST_METADATA_BYTES: Final = 2**24  # of the file that describes an array
MOST_ALONG: Final = 2**24  # entries along any dimension except the lanes
MOST_DIMENSIONS: Final = 5  # of an array
MOST_CHUNK_BYTES: Final = 2**32
MOST_CHUNKS: Final = 2**20  # of an array
MOST_WORDS: Final = 2**15  # of a knob that holds words: codes are int16
MOST_LABEL_LETTERS: Final = 1_000  # of a word, a unit or a long name

LANE: Final = "lane"
MOMENTS: Final = ("epoch", "snapshot_epoch")
INNER: Final = ("frequency", "x", "x1", "x2", "layer", "output", "sample", "feature")
MOST_OF_A_NETWORK: Final = 2**36  # parameters, or bytes of a state, of one lane: they are read lane by lane
FLOATS: Final = ("float32", "float64")
SIZES: Final = {  # bytes of one entry
    "bool": 1, "int8": 1, "int16": 2, "int32": 4, "int64": 8, "uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8,
    "float32": 4, "float64": 8,
}  # fmt: skip
# How Zarr writes numbers: compressed or not, with a checksum or without one.
_CODECS: Final = (
    ("bytes",), ("bytes", "zstd"), ("bytes", "crc32c"), ("bytes", "zstd", "crc32c"), ("bytes", "crc32c", "zstd"),
)  # fmt: skip
_NAN: Final = "AAAAAAAA+H8="  # NaN as xarray writes it in attributes
_CONVERTING: Final = (  # attributes for which xarray changes the values that it reads
    "scale_factor", "add_offset", "missing_value", "calendar", "dtype", "_Unsigned", "_Encoding", "grid_mapping",
    "bounds",
)  # fmt: skip


@dataclass(frozen=True)
class Array:
    """The metadata of an array.

    Args:
        name: its name.
        dims: its dimensions.
        shape: number of entries along each dimension.
        dtype: name of its type.
        chunks: shape of a chunk.
        codecs: names of the codecs with which its chunks are written.
        attributes: its attributes.
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
        """The number of chunks along each dimension."""
        return tuple(ceil(size / chunk) for size, chunk in zip(self.shape, self.chunks, strict=True))

    @property
    def holds_networks(self) -> bool:
        """Whether its rows are networks, or states of their training."""
        return self.dims[-1] in NETWORK_DIMS

    @property
    def chunk_bytes(self) -> int:
        """The number of bytes of an uncompressed chunk."""
        return prod(self.chunks) * SIZES[self.dtype]


def read_array(path: Path, name: str) -> Array:
    """Read the metadata of an array and check them.

    Args:
        path: the store.
        name: name of the array, an identifier.

    Raises:
        OSError: if they can't be read.
        ValueError: if they are not those of an array that sweep writes.
    """
    try:
        return _parse_array(name, parse(read_regular(path / name / ROOT, MOST_METADATA_BYTES).decode()))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = error if isinstance(error, ValueError) else f"its metadata lack {error}"
        raise ValueError(f"array {name}: {reason}") from error


def _parse_array(name: str, found: Any) -> Array:
    is_array = isinstance(found, dict) and found["node_type"] == "array" and found["zarr_format"] == 3
    require(is_array, "it is not an array of Zarr 3")
    dims, shape, dtype = found["dimension_names"], found["shape"], found["data_type"]
    _check_dims(dims)
    known = isinstance(dtype, str) and dtype in SIZES
    require(known, f"its type {str(dtype)[:40]!r} is not one that sweep writes")
    _check_shape(shape, dims)
    chunks, attributes = _parse_chunks(found, len(dims)), _parse_attributes(found)
    array = Array(name, tuple(dims), tuple(shape), dtype, chunks, _parse_codecs(found), attributes)
    require(array.chunk_bytes <= MOST_CHUNK_BYTES, f"a chunk of it has more than {MOST_CHUNK_BYTES:,} bytes")
    require(prod(array.grid) <= MOST_CHUNKS, f"it has more than {MOST_CHUNKS:,} chunks")
    _check_fill_value(found["fill_value"], attributes, dtype)
    return array


def _check_dims(dims: Any) -> None:
    plain = isinstance(dims, list) and 1 <= len(dims) <= MOST_DIMENSIONS and all(map(_is_name, dims))
    require(plain and len(set(dims)) == len(dims), "it lies along dimensions that results do not have")


def _is_name(dim: Any) -> bool:
    return isinstance(dim, str) and len(dim) <= MOST_NAME_LETTERS and dim.isidentifier()


def _check_shape(shape: Any, dims: list[str]) -> None:
    fits = _are_counts(shape) and len(shape) == len(dims)
    require(fits, "its shape is not a list of sizes, one for each dimension")
    for dim, size in zip(dims, shape, strict=True):
        most = MOST_LANES if dim == LANE else MOST_OF_A_NETWORK if dim in NETWORK_DIMS else MOST_ALONG
        require(size <= most, f"it has {size:,} entries along {dim}, and {most:,} is the most")


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(each) is int and each >= 1 for each in values)


def _parse_chunks(found: Meta, count: int) -> tuple[int, ...]:
    grid, keys = found["chunk_grid"], found["chunk_key_encoding"]
    require(grid["name"] == "regular", "its chunks are not of one shape")
    shape = grid["configuration"]["chunk_shape"]
    fits = _are_counts(shape) and len(shape) == count
    require(fits, "the shape of its chunks is not a list of sizes, one for each dimension")
    named = keys["name"] == "default" and keys.get("configuration", {}).get("separator", "/") == "/"
    require(named, "its chunks are not named as sweep names them")
    return tuple(shape)


def _parse_codecs(found: Meta) -> tuple[str, ...]:
    names = tuple(each["name"] for each in found["codecs"])
    require(names in _CODECS, f"its codecs {str(names)[:80]} are not those that sweep writes with")
    require(not found.get("storage_transformers"), "it has storage transformers")
    configuration = found["codecs"][0].get("configuration") or {}
    require(configuration.get("endian", "little") == "little", "its bytes are not little-endian")
    return names


def _check_fill_value(value: Any, attributes: Meta, dtype: str) -> None:
    """Make sure that chunks that are not written read as NaN, or as 0, which is "not run" in a status."""
    if dtype in FLOATS:
        require(value == "NaN", f"its fill value is {str(value)[:40]!r} and not NaN")
        require(attributes.get("_FillValue", _NAN) == _NAN, "its _FillValue is not NaN")
    else:
        require(type(value) in (int, bool) and value == 0, f"its fill value is {str(value)[:40]!r} and not 0")
        require("_FillValue" not in attributes, "it has a _FillValue, which only floating-point numbers may have")


def _parse_attributes(found: Meta) -> Meta:
    """Check the attributes of an array that commands or xarray read; return all of them."""
    attributes = found.get("attributes", {})
    require(isinstance(attributes, dict), "its attributes are not an object")
    if converting := [name for name in _CONVERTING if name in attributes]:
        raise ValueError(f"its attribute {converting[0]} would change its values")
    for name in ("units", "long_name"):
        check_text(attributes.get(name, ""), name, MOST_LABEL_LETTERS)
    for name in ("train_low", "train_high"):
        require(is_number(attributes.get(name, 0)), f"its {name} is not a finite number")
    require(isinstance(attributes.get("coordinates", ""), str), "its coordinates are not a text")
    if "flag_meanings" in attributes or "flag_values" in attributes:
        codes = list(range(len(words_of(attributes))))
        fits = attributes.get("flag_values", codes) == codes
        require(fits, "its flag_values are not the numbers of its words, from 0 on")
    return attributes


def words_of(attributes: Mapping[str, Any]) -> list[str]:
    """Give the words that an array's codes stand for.

    Args:
        attributes: those of the array. `flag_meanings` is a JSON list for a knob; for the status it is words separated
            by spaces.

    Raises:
        ValueError: for anything else.
    """
    text = attributes.get("flag_meanings")
    require(isinstance(text, str), "its flag_meanings are not a text")
    assert isinstance(text, str)
    words = parse(text) if text.startswith("[") else text.split()
    few = isinstance(words, list) and 1 <= len(words) <= MOST_WORDS
    require(few, f"its flag_meanings are not from 1 to {MOST_WORDS:,} words")
    for word in words:
        plain = isinstance(word, str) and len(word) <= MOST_LABEL_LETTERS and word.isprintable()
        require(plain, f"{str(word)[:40]!r} is not a word that a knob takes")
    require(len(set(words)) == len(words), "its flag_meanings hold a word twice")
    return words
