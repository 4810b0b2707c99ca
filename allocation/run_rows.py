"""A run's rows: written by COPY, in canonical order, and read back as the values they were.

The digest of a run's outputs is taken of the very text that is written, so that whoever reads the
rows again (an auditor, `verify`) can take it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple

import msgspec
from django.db import connection

from allocation.domain.allocations import (
    AllocatedLine,
    Allocation,
    BillTotal,
    OwnerSettlement,
    SourceLine,
)
from metering.domain.money import minor_digits, plain

OwnerColumn = Literal["cost_centre", "tenant"]


class _Table(NamedTuple):
    name: str
    columns: tuple[str, ...]


_BILLS: Final = _Table("allocation_bill", BillTotal._fields)
_SOURCES: Final = _Table("allocation_source", SourceLine._fields)
_LINES: Final = _Table("allocation_line", AllocatedLine._fields)
_SETTLEMENTS: Final = _Table("allocation_settlement", OwnerSettlement._fields)


def write_rows(run_id: int, allocation: Allocation) -> None:
    """Write everything of a run but the run itself, which must follow in the same transaction:
    it makes the database add these rows up, and lets none join them later."""
    _copy(
        _BILLS.name,
        ("run_id", "minor_digits", *_BILLS.columns),
        ((run_id, minor_digits(bill.currency), *bill) for bill in allocation.bills),
    )
    _copy(
        _SOURCES.name,
        ("run_id", *_SOURCES.columns),
        ((run_id, *source) for source in allocation.sources),
    )
    _copy(
        _LINES.name,
        ("run_id", "number", *_LINES.columns),
        ((run_id, number, *line) for number, line in enumerate(allocation.lines, start=1)),
    )
    _copy(
        _SETTLEMENTS.name,
        ("run_id", *_SETTLEMENTS.columns),
        ((run_id, *settlement) for settlement in allocation.settlements),
    )


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
    state = hashlib.sha256()
    encoder = msgspec.json.Encoder()
    for part in allocation:
        state.update(encoder.encode_lines([_texts(row) for row in part]))
        state.update(b"\n")
    return state.hexdigest()


def _texts(row: Iterable[object]) -> list[object]:
    return [
        value
        if type(value) in _AS_THEY_ARE
        else plain(value)
        if isinstance(value, Decimal)
        else _text(value)
        for value in row
    ]


def _text(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{value!r} has no text in a digest")


_AS_THEY_ARE: Final = frozenset({str, int, type(None)})


def _copy(table: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy,
    ):
        for row in rows:
            copy.write_row(row)


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
