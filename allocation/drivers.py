"""Drivers of cost pools: what metering measures, and what is imported from outside usage."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal, InvalidOperation, localcontext
from typing import Final, NamedTuple, TextIO

from django.db import connection, transaction
from django.db.models import Q

from allocation.domain.rules import IMPORTED
from allocation.models import DriverValue
from metering.domain.cells import Owner
from metering.domain.drivers import DriverQuery
from metering.domain.money import EXACT, plain
from metering.domain.periods import Month
from metering.domain.spelling import meant
from metering.driver_readings import driver_readings
from metering.registered import cost_centres

COLUMNS: Final = ("driver", "cost_centre", "tenant", "value", "valid_from", "valid_to")
LARGEST: Final = Decimal(10) ** 15
DECIMALS: Final = 50
_DRIVERS_LOCK: Final = 0x44524956


class InvalidDrivers(ValueError):
    """A driver file cannot be taken in as it is; the message names the line and the remedy."""


class DatedValue(NamedTuple):
    """So much of a driver from a day until before another; no end: until further notice."""

    driver: str
    cost_centre: str
    tenant: str
    value: Decimal
    valid_from: date
    valid_to: date | None


class ImportedDrivers(NamedTuple):
    """What an import changed: values added, open ones that were given an end, known ones."""

    added: int
    ended: int
    unchanged: int


def readings(
    month: Month, queries: Iterable[DriverQuery]
) -> dict[DriverQuery, dict[tuple[Owner, str], Decimal]]:
    """What each query asks for over the month."""
    asked = list(queries)
    measured = [query for query in asked if not query.driver.startswith(IMPORTED)]
    found = driver_readings(month.period, measured)
    return {
        query: found[query]
        if query in found
        else imported_reading(month, query.driver.removeprefix(IMPORTED))
        for query in asked
    }


def imported_reading(month: Month, driver: str) -> dict[tuple[Owner, str], Decimal]:
    """An imported driver, in value x days of the month that it held for (seat days, head days):
    ten seats for half of the month weigh as much as five for the whole of it."""
    first, end = month.first_day(), month.next().first_day()
    held: defaultdict[tuple[Owner, str], Decimal] = defaultdict(Decimal)
    rows = DriverValue.objects.filter(driver=driver, valid_from__lt=end).filter(
        Q(valid_to=None) | Q(valid_to__gt=first)
    )
    with localcontext(EXACT):
        for row in rows.order_by("cost_centre", "tenant", "valid_from"):
            days = (min(row.valid_to or end, end) - max(row.valid_from, first)).days
            held[Owner(row.cost_centre, row.tenant), ""] += row.value * days
    return dict(held)


def read_driver_file(text: TextIO) -> Iterator[tuple[int, DatedValue]]:
    """The values of a CSV file with their line numbers.

    Raises `InvalidDrivers` at the first line that is wrong.
    """
    rows = csv.DictReader(text)
    missing = [column for column in COLUMNS[:5] if column not in (rows.fieldnames or ())]
    if missing:
        raise InvalidDrivers(
            f"line 1: column {', '.join(missing)} is missing; the columns are {', '.join(COLUMNS)}"
        )
    try:
        for row in rows:
            yield rows.line_num, _dated_value(rows.line_num, row)
    except csv.Error as error:
        raise InvalidDrivers(f"line {rows.line_num}: this is no row of CSV: {error}") from error
    except UnicodeDecodeError as error:
        raise InvalidDrivers(f"the file is not UTF-8 ({error}); save it as UTF-8") from error


def store_drivers(
    values: Iterable[tuple[int, DatedValue]], *, author: str, now: datetime
) -> ImportedDrivers:
    """Take in dated values, all or none.

    What is known already is left alone; a value that comes again with an (earlier) end is ended,
    or withdrawn, if it ends on the day it starts. Raises `InvalidDrivers` naming the line of a
    value that overlaps another of the same owner, or is of a cost centre that nobody registered.
    """
    added = ended = unchanged = 0
    registered = cost_centres()
    with transaction.atomic():
        _lock_drivers()
        for line, new in values:
            same = DriverValue.objects.filter(
                driver=new.driver, cost_centre=new.cost_centre, tenant=new.tenant
            )
            known = same.filter(valid_from=new.valid_from, value=new.value).last()
            if known is not None and known.valid_to == new.valid_to:
                unchanged += 1
            elif known is not None and _ends_earlier(new, known):
                known.valid_to = new.valid_to
                known.save(update_fields=["valid_to"])
                ended += 1
            elif new.valid_to == new.valid_from:
                raise InvalidDrivers(f"line {line}: there is no such value to withdraw")
            else:
                _refuse_unregistered(line, new.cost_centre, registered)
                _refuse_overlap(line, new, same)
                DriverValue.objects.create(**new._asdict(), author=author, created_at=now)
                added += 1
    return ImportedDrivers(added, ended, unchanged)


def _ends_earlier(new: DatedValue, known: DriverValue) -> bool:
    return new.valid_to is not None and (known.valid_to is None or new.valid_to < known.valid_to)


def _refuse_unregistered(line: int, centre: str, registered: Collection[str]) -> None:
    if centre not in registered:
        raise InvalidDrivers(
            f"line {line}: no cost centre {centre!r} is registered; import it first "
            f"(manage.py import_owners FILE){meant(centre, registered)}"
        )


def _refuse_overlap(line: int, new: DatedValue, same: Iterable[DriverValue]) -> None:
    for row in same:
        starts_before_end = row.valid_to is None or new.valid_from < row.valid_to
        ends_after_start = new.valid_to is None or row.valid_from < new.valid_to
        if starts_before_end and ends_after_start and row.valid_to != row.valid_from:
            last = "until further notice" if row.valid_to is None else f"until {row.valid_to}"
            raise InvalidDrivers(
                f"line {line}: {new.driver} of {new.cost_centre}/{new.tenant} is already "
                f"{row.value} from {row.valid_from} {last}; end that value first, by importing "
                "it again with a valid_to"
            )


def _dated_value(line: int, row: dict[str, str]) -> DatedValue:
    if None in row or None in row.values():
        raise InvalidDrivers(f"line {line}: as many fields are wanted as there are columns")
    cell = {name: (text or "").strip() for name, text in row.items()}
    for name, text in cell.items():
        if not text.isprintable():
            raise InvalidDrivers(
                f"line {line}: {name} {text!r:.80} holds a character that cannot be seen; remove it"
            )
    if not cell["driver"] or not cell["cost_centre"]:
        raise InvalidDrivers(f"line {line}: driver and cost_centre must be named")
    try:
        value = Decimal(cell["value"])
    except InvalidOperation as error:
        raise InvalidDrivers(f"line {line}: value {cell['value']!r} is no number") from error
    if not value.is_finite() or value < 0:
        raise InvalidDrivers(f"line {line}: value {value} must be zero or more")
    if value > LARGEST or int(value.as_tuple().exponent) < -DECIMALS:
        raise InvalidDrivers(
            f"line {line}: value {value} is out of all proportion; a driver is at most "
            f"{plain(LARGEST)} and has at most {DECIMALS} decimals"
        )
    valid_from = _day(line, "valid_from", cell["valid_from"])
    ends = cell.get("valid_to", "")
    valid_to = _day(line, "valid_to", ends) if ends else None
    if valid_to is not None and valid_to < valid_from:
        raise InvalidDrivers(
            f"line {line}: valid_to {valid_to} is before valid_from {valid_from}; it is the first "
            "day on which the value no longer holds"
        )
    return DatedValue(
        cell["driver"].removeprefix(IMPORTED),
        cell["cost_centre"],
        cell["tenant"],
        value,
        valid_from,
        valid_to,
    )


def _day(line: int, column: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidDrivers(
            f"line {line}: {column} {text!r} is no day; write it like 2026-10-01"
        ) from error


def _lock_drivers() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_DRIVERS_LOCK])
