"""Long tables as CSV and Parquet files, one file for each table."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from sweep.base.text import make_inert
from sweep.export import folder, tidy


def write_csv(ds: xr.Dataset, metrics: Sequence[str], out: Path, say: Callable[[str], object]) -> None:
    """Write one CSV file for each table: a line of names, then numbers as text that reads back to the same bits.

    A word that a spreadsheet would read as a formula gets an apostrophe in front, see `inert_words`.

    Args:
        ds: results.
        metrics: names of the metrics.
        out: the folder to write. Units are in its manifest, `folder.MANIFEST`.
        say: called with a line for each file.

    Raises:
        SweepError: for too many rows.
    """
    for table, file in _files(ds, metrics, out, "csv", say):
        for number, frame in enumerate(tidy.frames(ds, table)):
            inert_words(frame).to_csv(file, mode="a", header=not number, index=False, lineterminator="\n")


def inert_words(frame: pd.DataFrame) -> pd.DataFrame:
    """Make a table safe for spreadsheets: words that begin like formulas (=, +, -, @) get an apostrophe in front.

    Args:
        frame: a table; its columns of numbers do not change.
    """
    textual = [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name].dtype)]
    return frame.assign(**{name: frame[name].map(_inert, na_action="ignore") for name in textual})


def _inert(value: Any) -> Any:
    return make_inert(value) if isinstance(value, str) else value


def write_parquet(ds: xr.Dataset, metrics: Sequence[str], out: Path, say: Callable[[str], object]) -> None:
    """Write one Parquet file for each table, with units and long name of each column in its metadata.

    Otherwise as `write_csv`.
    """
    import pyarrow as pa
    from pyarrow import parquet

    def labelled_schema(frame: pd.DataFrame, columns: dict[str, dict[str, str]]) -> pa.Schema:
        fields = pa.Schema.from_pandas(frame, preserve_index=False).remove_metadata()
        return pa.schema([field.with_metadata(columns[field.name]) for field in fields])

    for table, file in _files(ds, metrics, out, "parquet", say):
        parts = tidy.frames(ds, table)
        first = next(parts)
        schema = labelled_schema(first, tidy.columns(ds, table))
        with parquet.ParquetWriter(file, schema) as writer:
            for frame in chain([first], parts):
                writer.write_table(pa.Table.from_pandas(frame, schema, preserve_index=False))


def _files(
    ds: xr.Dataset, metrics: Sequence[str], out: Path, kind: str, say: Callable[[str], object]
) -> Iterator[tuple[tidy.Table, Path]]:
    """Give each table with the file to write it to, and write the manifest once all are written."""
    laid_out = tidy.tables(ds, metrics)
    out.mkdir()
    entries = {}
    for table in laid_out:
        file = f"{table.name}.{kind}"
        say(f"{file}: {table.rows:,} rows of {', '.join(table.values)}")
        entries[file] = {"rows": table.rows, "columns": tidy.columns(ds, table)}
        yield table, out / file
    folder.write_manifest(out, ds, kind, tables=entries)
