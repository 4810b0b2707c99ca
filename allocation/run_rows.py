"""A run's rows: written by COPY, in canonical order, and read back as the values they were.

The digest of a run's outputs is taken of the very text that is written, so that whoever reads the
rows again (an auditor, `verify`) can take it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import repeat
from typing import Any, Final, Literal, NamedTuple, cast, get_args, get_type_hints

import msgspec
from django.db import connection

from allocation.domain.allocations import (
    AllocatedLine,
    Allocation,
    BillTotal,
    OwnerSettlement,
    SourceLine,
)
from metering import bulk
from metering.domain.money import minor_digits, plain
from metering.event_rows import NULL

OwnerColumn = Literal["cost_centre", "tenant"]
_Row = BillTotal | SourceLine | AllocatedLine | OwnerSettlement


class _Table(NamedTuple):
    """A table, its columns but the run's, and where among them decimals stand."""

    name: str
    columns: tuple[str, ...]
    decimals: tuple[int, ...]


def _table(name: str, row: type[_Row]) -> _Table:
    kinds = enumerate(get_type_hints(row).values())
    return _Table(
        name, row._fields, tuple(i for i, kind in kinds if Decimal in (kind, *get_args(kind)))
    )


_BILLS: Final = _table("allocation_bill", BillTotal)
_SOURCES: Final = _table("allocation_source", SourceLine)
_LINES: Final = _table("allocation_line", AllocatedLine)
_SETTLEMENTS: Final = _table("allocation_settlement", OwnerSettlement)
_TABLES: Final = (_BILLS, _SOURCES, _LINES, _SETTLEMENTS)


def write_rows(run_id: int, allocation: Allocation) -> str:
    """Write everything of a run but the run itself, which must follow in the same transaction:
    it makes the database add these rows up, and lets none join them later. Gives the
    `outputs_digest` of what was written."""
    parts = _parts(allocation)
    for table, rows, columns in zip(_TABLES, allocation, parts, strict=True):
        texts = [
            [NULL if v is None else v for v in cast("Sequence[str | None]", column)]
            if place in table.decimals
            else _copied(column)
            for place, column in enumerate(columns)
        ]
        if table is _BILLS and rows:
            # Money keeps the decimals of its currency, which the digest's text leaves out.
            texts[table.columns.index("payable")] = [f"{b.payable:f}" for b in allocation.bills]
        more: dict[str, Iterable[str]] = {"run_id": repeat(str(run_id), len(rows))}
        if table is _BILLS:
            more["minor_digits"] = [str(minor_digits(b.currency)) for b in allocation.bills]
        if table is _LINES:
            more["number"] = map(str, range(1, len(rows) + 1))
        _copy(table.name, (*more, *table.columns), (*more.values(), *texts))
    return _digest(parts)


def read_allocation(run_id: int) -> Allocation:
    """What the run stored, in canonical order."""
    return Allocation(
        tuple(BillTotal(*row) for row in _read(_BILLS, run_id, "bill_id, currency")),
        tuple(SourceLine(*row) for row in _read(_SOURCES, run_id, "bill_id, currency, line_no")),
        tuple(read_lines(run_id)),
        tuple(
            OwnerSettlement(*row)
            for row in _read(_SETTLEMENTS, run_id, "bill_id, currency, cost_centre, tenant")
        ),
    )


def read_lines(
    run_id: int, any_of: Mapping[OwnerColumn, Sequence[str]] | None = None
) -> Iterator[AllocatedLine]:
    """The run's lines in canonical order; with `any_of`, those alone that one of the columns has
    one of the values named for it."""
    return (AllocatedLine(*row) for row in _read(_LINES, run_id, "number", any_of))


def outputs_digest(allocation: Allocation) -> str:
    """Hex SHA-256 over every bill, source, line and settlement of a run, a JSON array a line."""
    return _digest(_parts(allocation))


def _parts(allocation: Allocation) -> list[list[Sequence[object]]]:
    """The columns of each part, with decimals as the texts that are digested and written."""
    parts: tuple[Sequence[_Row], ...] = tuple(allocation)
    return [_columns(table, rows) for table, rows in zip(_TABLES, parts, strict=True)]


def _columns(table: _Table, rows: Sequence[_Row]) -> list[Sequence[object]]:
    columns: list[Sequence[object]] = list(zip(*rows, strict=True))
    for place in table.decimals if rows else ():
        columns[place] = [v if v is None else plain(cast("Decimal", v)) for v in columns[place]]
    return columns


def _digest(parts: Iterable[Sequence[Sequence[object]]]) -> str:
    state = hashlib.sha256()
    encoder = msgspec.json.Encoder()
    for columns in parts:
        state.update(encoder.encode_lines(list(zip(*columns, strict=True))))
        state.update(b"\n")
    return state.hexdigest()


def _copy(table: str, names: Sequence[str], columns: Iterable[Iterable[str]]) -> None:
    text = "\n".join(map("\t".join, zip(*columns, strict=True)))
    if text:
        bulk.copy_text(table, names, f"{text}\n")


def _copied(column: Iterable[object]) -> list[str]:
    """The column's values in COPY's text format: each of them once, since most come again."""
    values = list(column)
    texts = {value: _copied_text(value) for value in set(values)}
    return [texts[value] for value in values]


def _copied_text(value: object) -> str:
    """A value in COPY's text format."""
    if value is None:
        return NULL
    text = str(value)
    for character, written in _ESCAPES:
        if character in text:
            text = text.replace(character, written)
    return text


_ESCAPES: Final = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))


def _read(
    table: _Table,
    run_id: int,
    order: str,
    any_of: Mapping[OwnerColumn, Sequence[str]] | None = None,
) -> list[tuple[Any, ...]]:
    chosen = " OR ".join(f"{column} = ANY(%s)" for column in any_of or ())
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join(table.columns)} FROM {table.name}"
            f" WHERE run_id = %s{f' AND ({chosen})' if chosen else ''} ORDER BY {order}",
            [run_id, *(list(values) for values in (any_of or {}).values())],
        )
        return list(cursor.fetchall())
