"""Budgets from a file: CSV with the columns `owner,key,month,amount,currency`, and if need be
`until,warn_share,book,reason`.

| column | holds |
|---|---|
| `owner`, `key` | `cost_centre` and code, `tenant` or `source` and key, `everything` without |
| `month` | the first month that it holds for, like 2026-10 |
| `amount`, `currency` | a month, like 2500.00 and USD |
| `until` | the last month; empty: until further notice |
| `warn_share` | from which share on it is warned; 0.8 if empty |
| `book` | `cost` if empty, or `charge` (of a tenant) |

A row that is there already is left. One that begins while another of its owner holds ends that one.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from io import StringIO
from pathlib import Path
from typing import Any, Final, cast

from django.db import IntegrityError, transaction
from django.db.models import F, Q

from metering.domain.budgets import BOOKS, Budget, InvalidBudget, Scope
from metering.domain.money import UnknownCurrency
from metering.domain.periods import InvalidPeriod, Month
from metering.files.input_files import text_of
from metering.models import BudgetRow, CostCentre, Tenant

MAX_ROWS: Final = 100_000
_COLUMNS: Final = ("owner", "key", "month", "amount", "currency")
_OWNERS: Final[Mapping[str, str]] = {
    "cost_centre": "cost_centre_id",
    "tenant": "tenant_id",
    "source": "source",
    "everything": "",
}
_WARN_SHARE: Final = "0.8"


class BudgetFileError(ValueError):
    """A row of the file cannot be taken; nothing of the file was stored."""


@dataclass(frozen=True)
class ImportedBudgets:
    """How many rows the file had, how many budgets are new, and how many these ended."""

    rows: int
    added: int
    ended: int


def import_file(path: Path) -> ImportedBudgets:
    """Store the file's budgets, all or none. Raises `BudgetFileError` naming the line and what to
    mend, or `UnreadableInput`."""
    reader = csv.DictReader(StringIO(text_of(path), newline=""))
    try:
        missing = set(_COLUMNS) - set(reader.fieldnames or ())
        if missing:
            raise BudgetFileError(f"{path.name}: no column {', '.join(sorted(missing))}")
        rows = added = ended = 0
        with transaction.atomic():
            for row in reader:
                rows += 1
                place = f"{path.name} line {reader.line_num}"
                if rows > MAX_ROWS:
                    raise BudgetFileError(f"{place}: more than {MAX_ROWS} rows; split the file")
                told = {name: (value or "").strip() for name, value in row.items() if name}
                new, old = _store(told, place)
                added, ended = added + new, ended + old
    except csv.Error as error:
        raise BudgetFileError(f"{path.name} is no CSV that can be read: {error}") from error
    return ImportedBudgets(rows, added, ended)


def add(told: Mapping[str, str], place: str) -> tuple[bool, BudgetRow]:
    """Store one budget, given as a row of the file: whether it is new, and as it stands. Within a
    transaction. Raises `BudgetFileError`."""
    missing = [name for name in _COLUMNS if name not in told]
    if missing:
        raise BudgetFileError(f"{place}: {', '.join(missing)} is missing")
    new, _ = _store(told, place)
    wanted = _row(told, place)
    rows = BudgetRow.objects.filter(**_identity(wanted), valid_from=wanted.valid_from)
    return bool(new), rows.exclude(valid_to=F("valid_from")).get()


def _store(told: Mapping[str, str], place: str) -> tuple[int, int]:
    """How many budgets are new, and how many ended."""
    wanted = _row(told, place)
    if _is_there(wanted):
        return 0, 0
    held = BudgetRow.objects.filter(
        Q(valid_to=None) | Q(valid_to__gt=wanted.valid_from),
        **_identity(wanted),
        valid_from__lte=wanted.valid_from,
    )
    ended = held.update(valid_to=wanted.valid_from)
    try:
        with transaction.atomic():
            wanted.save(force_insert=True)
    except IntegrityError as error:
        raise BudgetFileError(
            f"{place}: another budget of {told['owner']} {told['key']} begins before this one ends;"
            " give this one an end (`until`), or end the other first"
        ) from error
    return 1, ended


def _is_there(wanted: BudgetRow) -> bool:
    """Whether the budget stands as the file has it: without an end, or ended by the next one."""
    of_owner = BudgetRow.objects.filter(**_identity(wanted))
    standing = of_owner.filter(
        Q(valid_to=None) | Q(valid_to__gt=F("valid_from")), valid_from=wanted.valid_from
    ).first()
    if standing is None or _content(standing) != _content(wanted):
        return False
    if standing.valid_to == wanted.valid_to:
        return True
    end = standing.valid_to
    if wanted.valid_to is not None or end is None:
        return False
    return of_owner.filter(valid_from=end).exists()


def _identity(row: BudgetRow) -> dict[str, Any]:
    return {
        "tenant": row.tenant_id,
        "cost_centre": row.cost_centre_id,
        "source": row.source,
        "book": row.book,
    }


def _content(row: BudgetRow) -> tuple[object, ...]:
    return (row.amount, row.currency, row.warn_share)


def _row(told: Mapping[str, str], place: str) -> BudgetRow:
    owner, key, book = told["owner"], told["key"], told.get("book") or "cost"
    if owner not in _OWNERS:
        raise BudgetFileError(f"{place}: owner {owner!r:.80} is none of {', '.join(_OWNERS)}")
    if book not in BOOKS:
        raise BudgetFileError(f"{place}: book {book!r:.80} is none of {', '.join(BOOKS)}")
    try:
        budget = Budget(
            scope=cast("Scope", owner),
            key=key,
            book=book,
            amount=Decimal(told["amount"]),
            currency=told["currency"],
            warn_share=Decimal(told.get("warn_share") or _WARN_SHARE),
        )
        first = Month.parse(told["month"]).first_day()
        until = told.get("until")
        end: date | None = Month.parse(until).next().first_day() if until else None
    except (InvalidBudget, InvalidPeriod, UnknownCurrency) as error:
        raise BudgetFileError(f"{place}: {error}") from error
    except InvalidOperation as error:
        raise BudgetFileError(f"{place}: amounts and shares are numbers like 2500.00") from error
    if end is not None and end <= first:
        raise BudgetFileError(f"{place}: it ends with {until}, before it begins")
    _refuse_unknown(owner, key, place)
    return BudgetRow(
        **({_OWNERS[owner]: key} if _OWNERS[owner] else {}),
        book=budget.book,
        amount=budget.amount,
        currency=budget.currency,
        warn_share=budget.warn_share,
        valid_from=first,
        valid_to=end,
        reason=told.get("reason", ""),
    )


def _refuse_unknown(owner: str, key: str, place: str) -> None:
    known = {
        "cost_centre": CostCentre.objects.filter(code=key),
        "tenant": Tenant.objects.filter(key=key),
    }.get(owner)
    if known is not None and not known.exists():
        raise BudgetFileError(
            f"{place}: {owner.replace('_', ' ')} {key!r:.80} is not registered"
            " (manage.py import_owners FILE)"
        )
    if not key.isprintable():
        raise BudgetFileError(f"{place}: key {key!r:.80} holds a character that cannot be seen")
