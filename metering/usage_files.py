"""Usage in files: the edge where bytes become events, streamed in bounded memory.

One `UsageEvent` or `Rejection` per line or row: a bad line costs itself only. A file that cannot
be read at all, or whose columns do not fit, raises `UnreadableFile` before its first row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

import msgspec

from metering.domain.usage import Rejection, UsageEvent
from metering.formats import native, opsmeter, tabular
from metering.usage_lines import TextFile, UnreadableText
from metering.usage_tables import CsvTable, ParquetTable, Table, UnreadableTable

Format = Literal["native", "opsmeter", "csv", "parquet"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)

MAX_ARRAY: Final = 64 << 20
"""Bytes of a file that is one JSON array, which has to be in memory as a whole."""

_PARQUET: Final = b"PAR1"
_JSON: Final = (".jsonl", ".ndjson", ".json")
_TABLES: Final = ("csv", "parquet")
_decode_array: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode

Parser = Callable[[bytes, str], UsageEvent | Rejection]


class UnreadableFile(ValueError):
    """Nothing of the file can be imported. Names the file, the cause and the remedy."""


class Item(NamedTuple):
    """What one line, row or element became, and where it stands."""

    place: str
    item: UsageEvent | Rejection


@dataclass(frozen=True)
class UsageFile:
    """An open file that fits its format; `items` reads it, once.

    `size` and `position()` are bytes on disk; a Parquet file has no position. `ignored` are the
    columns of a table that carry no field.
    """

    format: Format
    items: Iterator[Item]
    size: int
    position: Callable[[], int] | None = None
    ignored: tuple[str, ...] = ()


def parse_file(
    path: Path,
    *,
    source: str,
    received_at: datetime,
    format: Format | None = None,
    column_map: Mapping[str, str] | None = None,
    naive_utc: bool = False,
) -> Iterator[UsageEvent | Rejection]:
    """One event or rejection per line or row, in the file's order. Raises `UnreadableFile` at
    once, not at the first item. Arguments as `open_usage` has them."""
    opened = open_usage(
        path,
        source=source,
        received_at=received_at,
        format=format,
        column_map=column_map,
        naive_utc=naive_utc,
    )
    return (item for _, item in opened.items)


def open_usage(
    path: Path,
    *,
    source: str,
    received_at: datetime,
    format: Format | None = None,
    column_map: Mapping[str, str] | None = None,
    naive_utc: bool = False,
) -> UsageFile:
    """Open the file and settle its format and columns; raises `UnreadableFile`.

    `received_at` (aware UTC) is the time of events that report none. `column_map` (field →
    column) is for tables. `naive_utc` reads a table's times without a zone as UTC.
    """
    format = format or guess_format(path)
    if column_map and format not in _TABLES:
        raise UnreadableFile(f"{path}: a column map is for csv and parquet, not for {format}")

    def parse(payload: bytes, place: str) -> UsageEvent | Rejection:
        parser = opsmeter.parse if format == "opsmeter" else native.parse
        return parser(payload, place=place, source=source, received_at=received_at)

    def table_items(table: Table) -> tuple[Iterator[Item], tuple[str, ...]]:
        columns = tabular.plan_columns(table.names, column_map or {}, naive_utc=naive_utc)
        return _rows(table, columns, source, received_at), columns.ignored

    text: TextFile | None = None
    try:
        if format == "parquet":
            items, ignored = table_items(ParquetTable(path))
            return UsageFile(format, items, path.stat().st_size, ignored=ignored)
        text = TextFile(path)
        if format == "csv":
            items, ignored = table_items(CsvTable(text))
            return UsageFile(format, items, text.size, text.position, ignored)
        items = _elements(text, parse) if text.head.startswith(b"[") else _lines(text, parse)
        return UsageFile(format, items, text.size, text.position)
    except (UnreadableText, UnreadableTable, tabular.UnfitColumns, OSError) as error:
        if text is not None:
            text.close()
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> UnreadableFile:
    if isinstance(error, OSError):
        return UnreadableFile(f"{path} cannot be read: {error.strerror or error}")
    return UnreadableFile(f"{path}: {error}")


def guess_format(path: Path) -> Format:
    """The format that the file's content, or else its name, shows; raises `UnreadableFile`."""
    try:
        with path.open("rb") as raw:
            if raw.read(len(_PARQUET)) == _PARQUET:
                return "parquet"
        text = TextFile(path)
    except (UnreadableText, OSError) as error:
        raise _unreadable(path, error) from error
    text.close()
    name = path.name.lower().removesuffix(".gz")
    if text.head.startswith((b"{", b"[")):
        first = text.head.partition(b"\n")[0]
        return "opsmeter" if b'"totalTokens"' in first else "native"
    if name.endswith(_JSON):
        return "native"
    if name.endswith((".csv", ".txt")):
        return "csv"
    raise UnreadableFile(
        f"{path}: neither the file's name nor its content shows its format; "
        f"say it with --format ({', '.join(FORMATS)})"
    )


def _lines(text: TextFile, parse: Parser) -> Iterator[Item]:
    for number, content in text.lines():
        if isinstance(content, Rejection):
            yield Item(content.place, content)
        elif content and not content.isspace():
            place = f"line {number}"
            yield Item(place, parse(content, place))


def _elements(text: TextFile, parse: Parser) -> Iterator[Item]:
    """The events of a JSON array. The array as a whole must be JSON: where one event of a broken
    one ends cannot be known."""
    content = text.read(MAX_ARRAY)
    try:
        elements = _decode_array(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableText(
            f"the file is no whole JSON array ({error}); mend it, or write one object a line"
        ) from error
    text.close()
    return _parsed(elements, parse)


def _parsed(elements: list[msgspec.Raw], parse: Parser) -> Iterator[Item]:
    for index, element in enumerate(elements):
        place = f"index {index}"
        yield Item(place, parse(bytes(element), place))


def _rows(
    table: Table, columns: tabular.Columns, source: str, received_at: datetime
) -> Iterator[Item]:
    for place, cells in table.rows({column.name for column in columns.used}):
        if isinstance(cells, Rejection):
            yield Item(place, cells)
            continue
        yield Item(
            place,
            tabular.parse_row(cells, columns, place=place, source=source, received_at=received_at),
        )
