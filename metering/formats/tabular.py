"""A row of a table (CSV, Parquet) and a map of its columns → `UsageEvent` or `Rejection`.

A column carries the native field it is mapped to, or the one it is named after; `tags.team` and
`units.web_search` address one entry of those two. Cells are converted exactly or refused, and an
empty cell is an absent value. The row is then read as the native event that it spells out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from metering.domain.usage import Rejection, UsageEvent
from metering.formats import native
from metering.formats.malformed import UNDECODABLE
from metering.formats.problems import PRIVATE
from metering.providers.counts import whole

_INTEGER: Final = re.compile(r"[+-]?\d{1,30}(\.0+)?", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?", re.ASCII)
_EXACT_FLOAT: Final = 2**53
_KEYS: Final = ("eventId", "externalRequestId")
_REQUIRED: Final = ("externalRequestId", "provider", "model")
_USAGE: Final = (
    *("inputTokens", "cachedInputTokens", "cacheWriteTokens", "cacheWrite1hTokens"),
    *("outputTokens", "reasoningTokens", "audioInputTokens", "audioOutputTokens"),
    *("imageInputTokens", "imageOutputTokens", "units", "usage"),
)
_COUNTS: Final = frozenset({*_USAGE[:10], "attempt", "latencyMs"})
_OBJECTS: Final = frozenset({"usage", "tags", "shares", "units"})
_ENTRIES: Final = ("tags", "units")

_decode_json: Final = msgspec.json.Decoder(float_hook=Decimal).decode
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


class UnfitColumns(ValueError):
    """The table's columns and the column map do not make events; no row can be read."""


class _UnfitCell(ValueError):
    """What a cell holds cannot be converted exactly."""


class Column(NamedTuple):
    """Which native field a column carries; `entry` is the key within `tags` or `units`."""

    position: int
    name: str
    field: str
    entry: str
    convert: Callable[[object], object]


class Columns(NamedTuple):
    """How the table's columns are read, and which of them are not used at all."""

    used: tuple[Column, ...]
    ignored: tuple[str, ...]


def plan_columns(
    names: Sequence[str], column_map: Mapping[str, str], *, naive_utc: bool = False
) -> Columns:
    """Settle once per table which column carries which field (`column_map`: field → column).

    Raises `UnfitColumns` naming the column and the columns that exist: for a repeated name, a
    mapped column that is missing, a field that is none, or a required field without a column.
    `naive_utc` reads times without a zone as UTC; otherwise they are refused row by row.
    """
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UnfitColumns(f"the column {repeated[0]!r} is there more than once; rename one")
    positions = {name: position for position, name in enumerate(names)}
    used = []
    for field, name in column_map.items():
        if name not in positions:
            raise UnfitColumns(
                f"the column {name!r}, mapped to {field}, is not in the file; {_existing(names)}"
            )
        used.append(_column(positions[name], name, field, naive_utc=naive_utc))
    taken = set(column_map.values())
    for name, position in positions.items():
        head, _, entry = name.partition(".")
        if name in taken or name in column_map:
            continue
        if name in native.FIELDS or (head in _ENTRIES and entry):
            used.append(_column(position, name, name, naive_utc=naive_utc))
            taken.add(name)
    fields = {column.field for column in used}
    for field in _REQUIRED:
        if field not in fields:
            raise UnfitColumns(
                f"no column carries the required {field}; "
                f"map one with --map {field}=COLUMN; {_existing(names)}"
            )
    if fields.isdisjoint(_USAGE):
        raise UnfitColumns(
            "no column carries any usage; map at least inputTokens or outputTokens with --map; "
            + _existing(names)
        )
    # The key first, so that a refusal can name it; a whole object before its entries.
    used.sort(key=lambda column: (column.field not in _KEYS, column.entry != ""))
    return Columns(tuple(used), tuple(name for name in names if name not in taken))


def _existing(names: Sequence[str]) -> str:
    hint = ""
    if len(names) == 1 and (";" in names[0] or "\t" in names[0]):
        hint = " (it is separated by something other than commas; save it with commas)"
    return f"columns are {', '.join(map(repr, names))}{hint}"


def _column(position: int, name: str, field: str, *, naive_utc: bool) -> Column:
    head, _, entry = field.partition(".")
    if not (field in native.FIELDS or (head in _ENTRIES and entry)):
        raise UnfitColumns(
            f"{field!r} is no field of an event; fields are {', '.join(native.FIELDS)}, "
            "tags.NAME and units.NAME"
        )
    convert: Callable[[object], object]
    if entry:
        convert = _number if head == "units" else _text
    elif head in _COUNTS:
        convert = _whole
    elif head in _OBJECTS:
        convert = _object
    elif head == "batch":
        convert = _truth
    elif head == "occurredAt":
        convert = _instant_utc if naive_utc else _instant
    else:
        convert = _text
    return Column(position, name, head, entry, convert)


def parse_row(
    row: Sequence[object], columns: Columns, *, place: str, source: str, received_at: datetime
) -> UsageEvent | Rejection:
    """Read one row, its cells in the table's order. Nothing that they hold makes this raise."""
    sent: dict[str, object] = {}
    for column in columns.used:
        cell = row[column.position]
        if cell is None or cell == "":
            continue
        try:
            value = column.convert(cell)
        except (_UnfitCell, *UNDECODABLE, ArithmeticError) as error:
            shown = "unfit" if column.field in PRIVATE else f"{cell!r:.80}"
            return Rejection(
                place=place,
                reason="wrong_type",
                message=f"column {column.name!r} ({column.field}) is {shown}: {error}",
                key=_key(sent),
            )
        if value is None:
            continue
        if not column.entry:
            sent[column.field] = value
            continue
        entries = sent.setdefault(column.field, {})
        if isinstance(entries, dict):
            entries[column.entry] = value
    try:
        payload = _encode(sent)
    except (UnicodeEncodeError, ValueError, TypeError, RecursionError) as error:
        return Rejection(
            place=place,
            reason="invalid_utf8",
            message=f"the row holds text that is not UTF-8 ({error}); save the file as UTF-8",
        )
    return native.parse(payload, place=place, source=source, received_at=received_at)


def _key(sent: Mapping[str, object]) -> str | None:
    key = sent.get("eventId") or sent.get("externalRequestId")
    return key if isinstance(key, str) else None


def _text(cell: object) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, float | bytes | list | dict):
        raise _UnfitCell("text is expected; store the column as text")
    return str(cell)


def _whole(cell: object) -> int | None:
    """An integer. Tables write integers with gaps as 540.0; that is still exactly 540."""
    if isinstance(cell, str) and _INTEGER.fullmatch(cell.strip()):
        return int(cell.strip().partition(".")[0])
    if isinstance(cell, int) and not isinstance(cell, bool):
        return cell
    if isinstance(cell, float):
        if math.isnan(cell):
            return None
        if cell.is_integer() and abs(cell) <= _EXACT_FLOAT:
            return int(cell)
    if isinstance(cell, Decimal) and (found := whole(cell)) is not None:
        return found
    raise _UnfitCell("a whole number is expected, in digits only (no separators, no decimals)")


def _number(cell: object) -> Decimal | None:
    if isinstance(cell, str) and _NUMBER.fullmatch(cell.strip()):
        return Decimal(cell.strip())
    if isinstance(cell, Decimal):
        return cell
    if isinstance(cell, float) and math.isnan(cell):
        return None
    try:
        number = _whole(cell)
    except _UnfitCell:
        raise _UnfitCell(
            "an exact number is expected, like 1.5; store the column as text or DECIMAL"
        ) from None
    return None if number is None else Decimal(number)


def _truth(cell: object) -> bool:
    if isinstance(cell, bool):
        return cell
    truth = {"true": True, "1": True, "false": False, "0": False}.get(str(cell).strip().lower())
    if truth is None:
        raise _UnfitCell("true or false is expected")
    return truth


def _instant(cell: object) -> str:
    at = _moment(cell)
    if at.tzinfo is None:
        raise _UnfitCell(
            "the time has no zone; write one (2026-10-03T12:00:00Z), "
            "or say --naive-utc if the whole column is in UTC"
        )
    return at.isoformat()


def _instant_utc(cell: object) -> str:
    at = _moment(cell)
    return (at.replace(tzinfo=UTC) if at.tzinfo is None else at).isoformat()


def _moment(cell: object) -> datetime:
    if isinstance(cell, datetime):
        return cell
    if isinstance(cell, str) and len(cell.strip()) > len("2026-10-03"):
        try:
            return datetime.fromisoformat(cell.strip())
        except ValueError:
            pass
    raise _UnfitCell("a date and time in ISO 8601 is expected, like 2026-10-03T12:00:00Z")


def _object(cell: object) -> object:
    """JSON text, or what a nested Parquet column holds."""
    if isinstance(cell, str):
        return _decode_json(cell)
    if isinstance(cell, dict | list):
        return cell
    raise _UnfitCell("JSON text is expected")
