"""Usage in files: the edge where bytes become events, streamed in bounded memory.

One `UsageEvent` or `Rejection` per line or row: a bad line costs itself only. A file that cannot
be read at all, or whose columns do not fit, raises `UnreadableFile` before its first row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, NamedTuple, cast

import msgspec

from metering.domain.usage import Rejection, UsageEvent
from metering.files.call_parsers import (
    ANY_PROVIDER,
    CALL_FORMATS,
    FREE_NAMES,
    CallFormat,
    UnknownField,
    parser_of,
)
from metering.files.input_files import UnreadableInput, regular_size
from metering.files.usage_lines import TextFile, UnreadableText
from metering.files.usage_tables import CsvTable, ParquetTable, Table, UnreadableTable
from metering.formats import tabular

Format = CallFormat | Literal["csv", "parquet"]
FORMATS: Final[tuple[Format, ...]] = (*CALL_FORMATS, "csv", "parquet")

MAX_ARRAY: Final = 64 << 20
"""Bytes of a file that is one JSON array, which has to be in memory as a whole."""

_PARQUET: Final = b"PAR1"
_STREAMED: Final = re.compile(
    rb"(?:(?:event|id|retry): ?[^\r\n]*\r?\n|:[^\r\n]*\r?\n|\s)*data: ?[\[{]"
)
"""How a recorded stream begins: with fields of server-sent events, of which the data is JSON."""
_JSON: Final = (".jsonl", ".ndjson", ".json")
_TABLES: Final = ("csv", "parquet")
_MARKS: Final[tuple[tuple[bytes, CallFormat], ...]] = (
    (b'"totalTokens"', "opsmeter"),
    (b'"specversion"', "openmeter"),
    (b'"external_subscription_id"', "lago"),
    (b'"custom_llm_provider"', "litellm"),
    (b'"litellm_call_id"', "litellm"),
    (b'"choices"', "responses"),
    (b'"custom_id"', "responses"),
)
"""Names that only one format has. Where they stand too far back to be seen, --format says it."""
_NO_STREAM: Final = (
    "the file is a recorded stream (text/event-stream), whose lines are pieces of an answer and no"
    " calls. Import whole responses, one JSON object a line, with --format responses: of OpenAI's"
    " and Gemini's streams the data of the last chunk, which has the usage, is one; of Anthropic's"
    " the message that its SDK puts together"
)
_decode_array: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


class UnreadableFile(ValueError):
    """Nothing of the file can be imported. Names the file, the cause and the remedy."""


class Item(NamedTuple):
    """What one line, row or element became, and where it stands."""

    place: str
    item: UsageEvent | Rejection


class Unit(NamedTuple):
    """One line, row or element as it was read: to be parsed, or why it cannot be."""

    place: str
    content: bytes | Sequence[object] | Rejection


@dataclass(frozen=True)
class UnitParser:
    """Turns what was read into events. A value: a process beside the reader can do it as well."""

    format: Format
    source: str
    received_at: datetime
    columns: tabular.Columns | None = None
    names: tuple[tuple[str, str], ...] = ()
    provider: str = ""

    def __call__(self, unit: Unit) -> Item:
        place, content = unit
        if isinstance(content, Rejection):
            return Item(place, content)
        source, received_at = self.source, self.received_at
        if isinstance(content, bytes):
            parse = parser_of(cast("CallFormat", self.format), self.names, self.provider)
            return Item(place, parse(content, place=place, source=source, received_at=received_at))
        assert self.columns is not None, "a table's row without its columns"
        event = tabular.parse_row(
            content, self.columns, place=place, source=source, received_at=received_at
        )
        return Item(place, event)


@dataclass(frozen=True)
class UsageFile:
    """An open file that fits its format; `units` reads it, once.

    `size` and `position()` are bytes on disk; a Parquet file has no position. `ignored` are the
    columns of a table that carry no field.
    """

    format: Format
    units: Iterator[Unit]
    parse: UnitParser
    size: int
    position: Callable[[], int] | None = None
    ignored: tuple[str, ...] = ()

    @property
    def items(self) -> Iterator[Item]:
        return map(self.parse, self.units)


def open_usage(
    path: Path,
    *,
    source: str,
    received_at: datetime,
    format: Format | None = None,
    column_map: Mapping[str, str] | None = None,
    naive_utc: bool = False,
    provider: str = "",
) -> UsageFile:
    """Open the file and settle its format and columns; raises `UnreadableFile`.

    `received_at` (aware UTC) is the time of events that report none. `column_map` (field →
    column) is for tables, and for formats in which senders name what is theirs as they like.
    `naive_utc` reads a table's times without a zone as UTC. `provider` is whose models they are,
    in formats whose records need not say.
    """
    format = format or guess_format(path)
    parser = UnitParser(format, source, received_at, provider=provider)
    if format not in _TABLES:
        names = _names(path, cast("CallFormat", format), column_map or {}, provider)
        parser = replace(parser, names=names)
    elif provider:
        raise UnreadableFile(f"{path}: in {format} the provider is a column; map one to provider")

    def opened(table: Table) -> tuple[Iterator[Unit], UnitParser, tuple[str, ...]]:
        columns = tabular.plan_columns(table.names, column_map or {}, naive_utc=naive_utc)
        units = map(Unit._make, table.rows({column.name for column in columns.used}))
        return units, replace(parser, columns=columns), columns.ignored

    text: TextFile | None = None
    try:
        if format == "parquet":
            size = regular_size(path)
            units, by_columns, ignored = opened(ParquetTable(path))
            return UsageFile(format, units, by_columns, size, ignored=ignored)
        text = _no_stream(TextFile(path))
        if format == "csv":
            units, by_columns, ignored = opened(CsvTable(text))
            return UsageFile(format, units, by_columns, text.size, text.position, ignored)
        units = _elements(text) if text.head.startswith(b"[") else _lines(text)
        return UsageFile(format, units, parser, text.size, text.position)
    except (
        UnreadableInput,
        UnreadableText,
        UnreadableTable,
        tabular.UnfitColumns,
        OSError,
    ) as error:
        if text is not None:
            text.close()
        raise unreadable(path, error) from error


def _names(
    path: Path, format: CallFormat, column_map: Mapping[str, str], provider: str
) -> tuple[tuple[str, str], ...]:
    """The map as a parser takes it, once it is known to fit the format."""
    if column_map and format not in FREE_NAMES:
        raise UnreadableFile(
            f"{path}: a column map is for csv, parquet, {', '.join(FREE_NAMES)}, not for {format}"
        )
    if provider and format not in ANY_PROVIDER:
        raise UnreadableFile(f"{path}: records in {format} name their provider themselves")
    names = tuple(column_map.items())
    try:
        parser_of(format, names, provider)
    except UnknownField as error:
        raise UnreadableFile(f"{path}: {error}") from error
    return names


def unreadable(path: Path, error: Exception) -> UnreadableFile:
    """The error of reading the file, with the file's name."""
    if isinstance(error, UnreadableInput):  # names the path itself
        return UnreadableFile(str(error))
    if isinstance(error, OSError):
        return UnreadableFile(f"{path} cannot be read: {error.strerror or error}")
    return UnreadableFile(f"{path}: {error}")


def guess_format(path: Path) -> Format:
    """The format that the file's content, or else its name, shows; raises `UnreadableFile`."""
    try:
        regular_size(path)
        with path.open("rb") as raw:
            if raw.read(len(_PARQUET)) == _PARQUET:
                return "parquet"
        text = _no_stream(TextFile(path))
    except (UnreadableInput, UnreadableText, OSError) as error:
        raise unreadable(path, error) from error
    text.close()
    name = path.name.lower().removesuffix(".gz")
    if text.head.startswith((b"{", b"[")):
        first = text.head.partition(b"\n")[0]
        return next((format for mark, format in _MARKS if mark in first), "native")
    if name.endswith(_JSON):
        return "native"
    if name.endswith((".csv", ".txt")):
        return "csv"
    raise UnreadableFile(
        f"{path}: neither the file's name nor its content shows its format; "
        f"say it with --format ({', '.join(FORMATS)})"
    )


def _no_stream(text: TextFile) -> TextFile:
    """The file, unless it is a recorded stream: `UnreadableText`."""
    if _STREAMED.match(text.head):
        text.close()
        raise UnreadableText(_NO_STREAM)
    return text


def _lines(text: TextFile) -> Iterator[Unit]:
    for number, content in text.lines():
        if isinstance(content, Rejection):
            yield Unit(content.place, content)
        elif content and not content.isspace():
            yield Unit(f"line {number}", content)


def _elements(text: TextFile) -> Iterator[Unit]:
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
    return (Unit(f"index {index}", bytes(element)) for index, element in enumerate(elements))
