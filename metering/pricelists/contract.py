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
| | `speed=fast`; several apart by `;` |

A model has a discount, a `price_of`, or prices of its own in as many rows as it has units. Prices
of its own are all that holds for the model then, so they name every class that the public list
prices apart. What a later file says of a model holds from the earliest date that it names; models
that it does not name keep what they have.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from io import StringIO
from typing import Final, NamedTuple

from metering.domain.contract_terms import InvalidTerm, Term
from metering.domain.money import UnknownCurrency, minor_digits
from metering.domain.prices import Conditions, InvalidPrice, Tier, UnitPrice
from metering.domain.units import UNITS, unit_named
from metering.pricelists.parsed import UnreadablePriceList

COLUMNS: Final = (
    *("provider", "model", "valid_from", "valid_to", "discount_percent", "price_of"),
    *("price_of_provider", "unit", "price", "per", "currency", "above_input_tokens", "when"),
)
MAX_ROWS: Final = 100_000
WHEN: Final = ("service_tier", "processing", "region", "speed")
_REQUIRED: Final = ("provider", "model", "valid_from")
_DAY: Final = len("2026-10-01")


class _Line(NamedTuple):
    place: str
    row: Mapping[str, str]


def parse_contract(text: str) -> tuple[Term, ...]:
    """The file's terms. Raises `UnreadablePriceList` naming the line and what to mend; a contract
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
    for line in lines:
        key = tuple(line.row.get(name, "") for name in ("provider", "model", "valid_from"))
        groups.setdefault((key[0].lower(), key[1].lower(), key[2]), []).append(line)
    return tuple(_term(group) for group in groups.values())


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


def _own(lines: Iterable[_Line]) -> _Own:
    amounts: dict[tuple[tuple[str, str], ...], dict[str, dict[int, Decimal]]] = {}
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
        above = row.get("above_input_tokens", "") or "-1"
        if above != "-1" and not (above.isascii() and above.isdigit()):
            raise UnreadablePriceList(f"{place}: above_input_tokens {above!r} is no number")
        of_unit = amounts.setdefault(tuple(_when(row, place).when.items()), {}).setdefault(
            unit.name, {}
        )
        if of_unit.setdefault(int(above), price) != price:
            raise UnreadablePriceList(f"{place}: a second price for {unit.name}")
    return tuple(
        (Conditions(dict(on)), {unit: _unit_price(unit, found) for unit, found in units.items()})
        for on, units in amounts.items()
    )


def _unit_price(unit: str, found: Mapping[int, Decimal]) -> UnitPrice:
    if -1 not in found:
        raise InvalidPrice(f"{unit} has a price above a threshold and none below it")
    tiers = tuple(Tier(start, price) for start, price in sorted(found.items()) if start >= 0)
    return UnitPrice(UNITS[unit].per, found[-1], tiers)


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
