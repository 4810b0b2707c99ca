"""A price book of our own: what was agreed with a provider, or what a list leaves out, as CSV.

| column | says |
|---|---|
| `provider`, `model` | as calls name them; a model that ends with `*` means all that begin so |
| `valid_from` | the day (2026-10-01) or instant (with its offset) from which it holds |
| `valid_to` | the first that it no longer holds; empty: until further notice |
| `discount_percent` | so many per cent off the public price |
| `price_of` | another model whose price holds |
| `price_of_provider` | that model's provider, where it is another one |
| `unit`, `price`, `per`, `currency` | a price of its own: `input,2.50,1000000,USD` |
| `above_input_tokens` | that price holds for requests of more input tokens than this |
| `from_input_tokens` | likewise, for requests of so many input tokens or more |
| `above_units` | that price holds for what a request uses of the unit beyond so many |
| `least_units` | beside a price: a request that uses any of the unit pays for so many at least |
| `when` | for these calls only: `service_tier=priority`, `processing=batch`, `region=eu`, |
| | `endpoint=regional` (any region but `global`), `speed=fast`; several apart by `;` |
| `hours`, `weekdays` | at these hours only: `22:00-06:00`, `mon-fri;sun` |
| `zone` | whose clock that is: `Asia/Shanghai`; UTC if it is empty |
| `free_units`, `free_every` | beside a price: so many of every `day` or `month` (UTC) are free |
| `free_group` | prices of one group share one allowance |
| `above_month_units` | that price holds for what a UTC month uses beyond so many units |
| `reserved_units` | so much capacity of the model is held, at `price` for each of it an hour |
| `monthly_minimum` | at least this much, in `currency`, is paid for the provider in every month |

A model has a discount, a `price_of`, or prices of its own in as many rows as it has units. Prices
of its own are all that holds for the model then, so they name every class that the public list
prices apart. What a later file says of a model holds from the earliest date that it names; models
that it does not name keep what they have.

What hangs on the month is part of no call's cost: free units, volumes, minimums and reserved
capacity are applied where a month's bill is reconciled. Rows with `reserved_units` or a
`monthly_minimum` (which names no model) stand by themselves, beside whatever the calls cost.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from decimal import Decimal
from io import StringIO
from typing import Any, Final, NamedTuple

from metering.domain.capacity import UNIT as CAPACITY
from metering.domain.commitments import Commitment, InvalidCommitment
from metering.domain.contract_terms import InvalidTerm, Term
from metering.domain.prices import InvalidPrice
from metering.pricelists.contract_fields import Line, currency, instant, number, whole
from metering.pricelists.contract_own_prices import THRESHOLDS, own_prices
from metering.pricelists.parsed import UnreadablePriceList

_REQUIRED: Final = ("provider", "model", "valid_from")
_OF_OWN_PRICES: Final = (
    *("when", "hours", "weekdays", "zone", *THRESHOLDS, "least_units"),
    *("free_units", "free_every", "free_group"),
)
COLUMNS: Final = (
    *("provider", "model", "valid_from", "valid_to", "discount_percent", "price_of"),
    *("price_of_provider", "unit", "price", "per", "currency", *_OF_OWN_PRICES),
    *("reserved_units", "monthly_minimum"),
)
MAX_ROWS: Final = 100_000
_PERCENT_DIGITS: Final = 6


class Contract(NamedTuple):
    """What a file says: terms on what calls cost, and what is owed for time."""

    terms: tuple[Term, ...]
    commitments: tuple[Commitment, ...]


def parse_contract(text: str) -> Contract:
    """What the file says. Raises `UnreadablePriceList` naming the line and what to mend; a contract
    is taken whole or not at all."""
    reader = csv.DictReader(StringIO(text, newline=""), strict=True)
    try:
        _check_columns(reader.fieldnames or ())
        lines = [_line(f"line {reader.line_num}", row) for row in reader]
    except csv.Error as error:
        raise UnreadablePriceList(f"line {reader.line_num}: no CSV: {error}") from error
    if not lines or len(lines) > MAX_ROWS:
        raise UnreadablePriceList(f"the file has {len(lines)} rows; it may have 1 to {MAX_ROWS}")
    groups: dict[tuple[str, ...], list[Line]] = {}
    commitments = []
    for line in lines:
        if line.row.get("reserved_units") or line.row.get("monthly_minimum"):
            commitments.append(_commitment(line))
            continue
        key = tuple(line.row.get(name, "") for name in ("provider", "model", "valid_from"))
        groups.setdefault((key[0].lower(), key[1].lower(), key[2]), []).append(line)
    return Contract(tuple(_term(group) for group in groups.values()), tuple(commitments))


def _check_columns(names: Sequence[str]) -> None:
    if missing := [name for name in _REQUIRED if name not in names]:
        raise UnreadablePriceList(
            f"the file has no column {', '.join(missing)}; its columns are among "
            + ", ".join(COLUMNS)
        )
    if unknown := set(names) - set(COLUMNS):
        raise UnreadablePriceList(
            f"column {min(unknown)!r} is not known; known are {', '.join(COLUMNS)}"
        )
    if twice := [name for name in names if names.count(name) > 1]:
        raise UnreadablePriceList(f"column {twice[0]!r} is there twice")


def _line(place: str, row: Mapping[str | None, Any]) -> Line:
    if None in row:
        raise UnreadablePriceList(
            f"{place}: it has more fields than the file has columns; quote a field with a comma"
        )
    said = {str(name): (value or "").strip() for name, value in row.items()}
    if odd := next((name for name, value in said.items() if not value.isprintable()), None):
        raise UnreadablePriceList(f"{place}: {odd} holds a control character")
    return Line(place, said)


def _commitment(line: Line) -> Commitment:
    place, row = line
    for name in ("provider", "valid_from", "currency"):
        if not row.get(name):
            raise UnreadablePriceList(f"{place}: {name} is empty")
    minimum, reserved = row.get("monthly_minimum", ""), row.get("reserved_units", "")
    if minimum and reserved:
        raise UnreadablePriceList(f"{place}: a minimum and reserved capacity: give each a row")
    others = ("discount_percent", "price_of", *_OF_OWN_PRICES)
    if given := [name for name in others if row.get(name)]:
        raise UnreadablePriceList(
            f"{place}: {given[0]} is of what calls cost; what is owed for time has a row of its own"
        )
    if reserved and (row.get("unit") or CAPACITY) != CAPACITY:
        raise UnreadablePriceList(f"{place}: capacity is paid by the hour: leave the unit out")
    if reserved and row.get("per", "1") not in ("", "1"):
        raise UnreadablePriceList(f"{place}: per: the price is for one unit of capacity an hour")
    ends = row.get("valid_to", "")
    try:
        return Commitment(
            kind="monthly_minimum" if minimum else "reserved_capacity",
            provider=row["provider"],
            model="" if row.get("model", "") == "*" else row.get("model", ""),
            units=whole(reserved, "reserved_units", place) if reserved else 1,
            price=number(minimum, "monthly_minimum", place)
            if minimum
            else number(row.get("price", ""), "price", place),
            currency=currency([line]),
            valid_from=instant(row["valid_from"], place),
            valid_to=instant(ends, place) if ends else None,
        )
    except InvalidCommitment as error:
        raise UnreadablePriceList(f"{place}: {error}") from error


def _term(lines: list[Line]) -> Term:
    place, row = lines[0]
    for name in _REQUIRED:
        if not row.get(name):
            raise UnreadablePriceList(f"{place}: {name} is empty")
    for each in lines[1:]:
        if each.row.get("valid_to", "") != row.get("valid_to", ""):
            raise UnreadablePriceList(
                f"{each.place}: {row['provider']}/{row['model']} ends on another day in {place}"
            )
    own = [line for line in lines if line.row.get("unit") or line.row.get("price")]
    if own and len(own) < len(lines):
        raise UnreadablePriceList(
            f"{place}: {row['provider']}/{row['model']} has prices of its own and a discount"
        )
    for line in lines:
        _check_kind(line, is_own=bool(own))
    if not own and len(lines) > 1:
        raise UnreadablePriceList(f"{lines[1].place}: the same model and date as in {place}")
    ends = row.get("valid_to", "")
    try:
        return Term(
            provider=row["provider"],
            model=row["model"],
            valid_from=instant(row["valid_from"], place),
            valid_to=instant(ends, place) if ends else None,
            discount_percent=None if own else _discount(row, place),
            price_of=None if own else _price_of(row),
            currency=currency(own) if own else "",
            own=own_prices(own) if own else None,
        )
    except (InvalidTerm, InvalidPrice) as error:
        raise UnreadablePriceList(f"{place}: {error}") from error


def _check_kind(line: Line, *, is_own: bool) -> None:
    """A price of its own and a discount are two ways to say what a model costs."""
    others = ("discount_percent", "price_of") if is_own else _OF_OWN_PRICES
    for name in others:
        if line.said(name):
            raise UnreadablePriceList(
                f"{line.place}: a price of its own and {name}: give one of them"
                if is_own
                else f"{line.place}: {name} is of prices of its own; a discount is on all that "
                "the public price says"
            )


def _discount(row: Mapping[str, str], place: str) -> Decimal:
    said = row.get("discount_percent", "")
    if said:
        percent = number(said, "discount_percent", place)
        if percent != round(percent, _PERCENT_DIGITS):
            raise UnreadablePriceList(
                f"{place}: discount_percent {said}: it has at most {_PERCENT_DIGITS} decimals"
            )
        return percent
    if not row.get("price_of"):
        raise UnreadablePriceList(
            f"{place}: nothing is said of {row['provider']}/{row['model']}: give a "
            "discount_percent, a price_of, or unit, price, per and currency"
        )
    return Decimal(0)


def _price_of(row: Mapping[str, str]) -> tuple[str, str] | None:
    model = row.get("price_of", "")
    return (row.get("price_of_provider") or row["provider"], model) if model else None
