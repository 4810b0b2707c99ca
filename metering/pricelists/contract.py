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
| `when` | for these calls only: `service_tier=priority`, `processing=batch`, `region=eu`, |
| | `endpoint=regional` (any region but `global`), `speed=fast`; several apart by `;` |
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
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from io import StringIO
from typing import Final, NamedTuple

from metering.domain.capacity import UNIT as CAPACITY
from metering.domain.commitments import Commitment, InvalidCommitment
from metering.domain.contract_terms import InvalidTerm, Term
from metering.domain.money import UnknownCurrency, minor_digits
from metering.domain.prices import Conditions, InvalidPrice, Tier, UnitPrice
from metering.domain.unit_prices import Allowance, Volume
from metering.domain.units import UNITS, unit_named
from metering.pricelists.parsed import UnreadablePriceList

COLUMNS: Final = (
    *("provider", "model", "valid_from", "valid_to", "discount_percent", "price_of"),
    *("price_of_provider", "unit", "price", "per", "currency", "above_input_tokens", "when"),
    *("free_units", "free_every", "free_group", "above_month_units"),
    *("reserved_units", "monthly_minimum"),
)
MAX_ROWS: Final = 100_000
WHEN: Final = ("service_tier", "processing", "region", "endpoint", "speed")
_REQUIRED: Final = ("provider", "model", "valid_from")
_DAY: Final = len("2026-10-01")


class _Line(NamedTuple):
    place: str
    row: Mapping[str, str]


class Contract(NamedTuple):
    """What a file says: terms on what calls cost, and what is owed for time."""

    terms: tuple[Term, ...]
    commitments: tuple[Commitment, ...]


def parse_contract(text: str) -> Contract:
    """What the file says. Raises `UnreadablePriceList` naming the line and what to mend; a contract
    is taken whole or not at all."""
    reader = csv.DictReader(StringIO(text, newline=""), strict=True)
    try:
        lines = [
            _Line(f"line {reader.line_num}", {k: (v or "").strip() for k, v in row.items() if k})
            for row in reader
        ]
    except csv.Error as error:
        raise UnreadablePriceList(f"line {reader.line_num}: no CSV: {error}") from error
    known = set(reader.fieldnames or ())
    if missing := [name for name in _REQUIRED if name not in known]:
        raise UnreadablePriceList(
            f"the file has no column {', '.join(missing)}; its columns are among "
            + ", ".join(COLUMNS)
        )
    if unknown := known - set(COLUMNS):
        raise UnreadablePriceList(
            f"column {min(map(str, unknown))!r} is not known; known are {', '.join(COLUMNS)}"
        )
    if not lines or len(lines) > MAX_ROWS:
        raise UnreadablePriceList(f"the file has {len(lines)} rows; it may have 1 to {MAX_ROWS}")
    groups: dict[tuple[str, ...], list[_Line]] = {}
    commitments = []
    for line in lines:
        if line.row.get("reserved_units") or line.row.get("monthly_minimum"):
            commitments.append(_commitment(line))
            continue
        key = tuple(line.row.get(name, "") for name in ("provider", "model", "valid_from"))
        groups.setdefault((key[0].lower(), key[1].lower(), key[2]), []).append(line)
    return Contract(tuple(_term(group) for group in groups.values()), tuple(commitments))


def _commitment(line: _Line) -> Commitment:
    place, row = line
    for name in ("provider", "valid_from", "currency"):
        if not row.get(name):
            raise UnreadablePriceList(f"{place}: {name} is empty")
    minimum, reserved = row.get("monthly_minimum", ""), row.get("reserved_units", "")
    if minimum and reserved:
        raise UnreadablePriceList(f"{place}: a minimum and reserved capacity: give each a row")
    others = ("discount_percent", "price_of", "above_input_tokens", "when", "free_units")
    if given := [name for name in (*others, "above_month_units") if row.get(name)]:
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
            units=_whole(reserved, "reserved_units", place) if reserved else 1,
            price=_number(minimum, "monthly_minimum", place)
            if minimum
            else _number(row.get("price", ""), "price", place),
            currency=_currency([line]),
            valid_from=_instant(row["valid_from"], place),
            valid_to=_instant(ends, place) if ends else None,
        )
    except InvalidCommitment as error:
        raise UnreadablePriceList(f"{place}: {error}") from error


def _term(lines: list[_Line]) -> Term:
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
    if not own and len(lines) > 1:
        raise UnreadablePriceList(f"{lines[1].place}: the same model and date as in {place}")
    ends = row.get("valid_to", "")
    try:
        return Term(
            provider=row["provider"],
            model=row["model"],
            valid_from=_instant(row["valid_from"], place),
            valid_to=_instant(ends, place) if ends else None,
            discount_percent=None if own else _discount(row, place),
            price_of=None if own else _price_of(row),
            currency=_currency(own) if own else "",
            own=_own(own) if own else None,
        )
    except (InvalidTerm, InvalidPrice) as error:
        raise UnreadablePriceList(f"{place}: {error}") from error


def _discount(row: Mapping[str, str], place: str) -> Decimal:
    said = row.get("discount_percent", "")
    if said:
        return _number(said, "discount_percent", place)
    if not row.get("price_of"):
        raise UnreadablePriceList(
            f"{place}: nothing is said of {row['provider']}/{row['model']}: give a "
            "discount_percent, a price_of, or unit, price, per and currency"
        )
    return Decimal(0)


def _price_of(row: Mapping[str, str]) -> tuple[str, str] | None:
    model = row.get("price_of", "")
    return (row.get("price_of_provider") or row["provider"], model) if model else None


def _currency(lines: Iterable[_Line]) -> str:
    found = {line.row.get("currency", ""): line.place for line in lines}
    [currency, *others] = found
    if others:
        raise UnreadablePriceList(f"{found[others[0]]}: one model is priced in one currency")
    try:
        minor_digits(currency)
    except UnknownCurrency as error:
        raise UnreadablePriceList(f"{found[currency]}: {error}") from error
    return currency


_Own = tuple[tuple[Conditions, dict[str, UnitPrice]], ...]
_On = tuple[tuple[str, str], ...]


class _ByPeriod(NamedTuple):
    """What hangs on the period in one unit's price, while it is being read."""

    allowances: list[Allowance]
    volumes: list[tuple[Decimal, Decimal]]


def _own(lines: Iterable[_Line]) -> _Own:
    amounts: dict[_On, dict[str, dict[int, Decimal]]] = {}
    by_period: dict[tuple[_On, str], _ByPeriod] = {}
    for place, row in lines:
        unit = unit_named(row.get("unit", ""))
        if unit is None:
            raise UnreadablePriceList(
                f"{place}: unit {row.get('unit', '')!r} is not known; known are " + ", ".join(UNITS)
            )
        per = row.get("per", "")
        if not (per.isascii() and per.isdigit()) or int(per) < 1:
            raise UnreadablePriceList(
                f"{place}: per {per!r}: say how many {unit.name} the price buys, like 1000000"
            )
        price = _number(row.get("price", ""), "price", place) * unit.per / int(per)
        on = tuple(_when(row, place).when.items())
        of_period = by_period.setdefault((on, unit.name), _ByPeriod([], []))
        if row.get("above_month_units"):
            of_period.volumes.append(
                (_number(row["above_month_units"], "above_month_units", place), price)
            )
            continue
        of_period.allowances.extend(_allowances(row, place))
        above = row.get("above_input_tokens", "") or "-1"
        if above != "-1" and not (above.isascii() and above.isdigit()):
            raise UnreadablePriceList(f"{place}: above_input_tokens {above!r} is no number")
        of_unit = amounts.setdefault(on, {}).setdefault(unit.name, {})
        if of_unit.setdefault(int(above), price) != price:
            raise UnreadablePriceList(f"{place}: a second price for {unit.name}")
    for on, unit_name in by_period:
        amounts.setdefault(on, {}).setdefault(unit_name, {})
    return tuple(
        (
            Conditions(dict(on)),
            {unit: _unit_price(unit, found, by_period[on, unit]) for unit, found in units.items()},
        )
        for on, units in amounts.items()
    )


def _unit_price(unit: str, found: Mapping[int, Decimal], of_period: _ByPeriod) -> UnitPrice:
    if -1 not in found:
        raise InvalidPrice(f"{unit} has a price above a threshold and none below it")
    if len(of_period.allowances) > 1:
        raise InvalidPrice(f"{unit} has two allowances; state one, beside its base price")
    return UnitPrice(
        UNITS[unit].per,
        found[-1],
        tuple(Tier(start, price) for start, price in sorted(found.items()) if start >= 0),
        allowance=next(iter(of_period.allowances), None),
        volumes=tuple(Volume(start, price) for start, price in sorted(of_period.volumes)),
    )


def _allowances(row: Mapping[str, str], place: str) -> list[Allowance]:
    """What of the row's units is free in a period: one allowance, or none."""
    if not row.get("free_units"):
        if row.get("free_every") or row.get("free_group"):
            raise UnreadablePriceList(f"{place}: how much is free? Give free_units")
        return []
    quantity = _number(row["free_units"], "free_units", place)
    every = row.get("free_every", "").lower()
    if every not in ("day", "month"):
        raise UnreadablePriceList(f"{place}: free_every {every!r}: it is day or month")
    return [Allowance(quantity, "day" if every == "day" else "month", row.get("free_group", ""))]


def _when(row: Mapping[str, str], place: str) -> Conditions:
    said = [part.strip() for part in row.get("when", "").split(";") if part.strip()]
    on = dict(part.lower().partition("=")[::2] for part in said)
    for key, value in on.items():
        if key not in WHEN or not value:
            raise UnreadablePriceList(
                f"{place}: when {key!r}: write one of {', '.join(WHEN)}, like service_tier=flex"
            )
    return Conditions(on)


def _number(text: str, column: str, place: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0 or abs(amount.adjusted()) > 40:  # noqa: PLR2004
        raise UnreadablePriceList(f"{place}: {column} {text!r} is no number of at least 0")
    return amount


def _whole(text: str, column: str, place: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 9:  # noqa: PLR2004
        raise UnreadablePriceList(f"{place}: {column} {text!r} is no whole number")
    return int(text)


def _instant(text: str, place: str) -> datetime:
    try:
        if len(text) == _DAY:
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise UnreadablePriceList(
            f"{place}: {text!r} is no date; write 2026-10-01 or 2026-10-01T00:00:00Z"
        ) from error
    if instant.tzinfo is None:
        raise UnreadablePriceList(f"{place}: {text!r} has no offset; add Z for UTC")
    return instant
