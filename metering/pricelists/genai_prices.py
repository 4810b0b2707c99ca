"""The genai-prices list (https://github.com/pydantic/genai-prices): every price shape it has.

A model's standard prices are tried from the last to the first; one bears from its start date on, or
in a daily UTC window, and the first of them where no other does. Its variants hold partial prices
for calls that meet their `when`, tried from the first to the last, unit by unit. Both become dated
rows that do not overlap: what a later row of the list would always hide is cut off here.
Amounts are US dollars.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time
from decimal import Decimal
from itertools import count
from typing import Final, NamedTuple

from genai_prices import types as listed

from metering.domain.price_matching import Clause, ListedModel, ListedProvider, PriceList
from metering.domain.prices import Conditions, DailyWindow, InvalidPrice, Price, Tier, UnitPrice
from metering.domain.units import BY_PRICE_KEY
from metering.pricelists.parsed import ParsedList

CURRENCY = "USD"

_MINIMA: Final = {
    (f"groq/{model}", unit): Decimal(10)
    for model in ("whisper-large-v3", "whisper-large-v3-turbo")
    for unit in ("audio_seconds", "input_audio_seconds")
}
"""The least that a request pays for, which the package has in its code and not in its data."""

_BEGINNING = datetime.min.replace(tzinfo=UTC)

_On = tuple[tuple[tuple[str, str], ...], DailyWindow | None]
_Constraint = listed.StartDateConstraint | listed.TimeOfDateConstraint | None


def parse_genai_prices(
    providers: Sequence[listed.Provider], *, source: str, effective_at: datetime
) -> ParsedList:
    """Read the package's providers; `source` names the list and its version.

    Raises `InvalidPrice` or `InvalidClause`, naming provider and model, if a price has a unit, a
    constraint or a rule that is not known here: a list of which a part was left out would rate
    wrongly in silence.
    """
    numbers = count(1)
    prices: list[Price] = []
    rules: list[ListedProvider] = []
    for provider in providers:
        models = []
        for model in provider.models:
            place = f"{provider.id}/{model.id}"
            models.append(ListedModel(model.id, _clause(model.match)))
            prices += (
                Price(
                    id=next(numbers),
                    provider=provider.id,
                    model_id=model.id,
                    unit_prices=row.unit_prices,
                    valid_from=None if row.start == _BEGINNING else row.start,
                    valid_to=row.end,
                    currency=CURRENCY,
                    conditions=row.conditions,
                    rank=row.rank,
                    source=source,
                )
                for row in (*_standard_rows(model, place), *_variant_rows(model, place))
            )
        rules.append(
            ListedProvider(
                provider.id,
                tuple(models),
                _optional_clause(provider.provider_match),
                _optional_clause(provider.model_match),
                tuple(provider.fallback_model_providers or ()),
            )
        )
    return ParsedList(PriceList(effective_at, source, tuple(rules)), tuple(prices))


class _Row(NamedTuple):
    unit_prices: dict[str, UnitPrice]
    start: datetime
    end: datetime | None
    conditions: Conditions
    rank: int


def _standard_rows(model: listed.ModelInfo, place: str) -> Iterator[_Row]:
    """The standard prices, each until a later one of the list without a window hides it."""
    if isinstance(model.prices, listed.ModelPrice):
        yield _Row(_unit_prices(model.prices, place), _BEGINNING, None, Conditions(), 0)
        return
    parsed = [(_unit_prices(p.prices, place), *_when(p.constraint, place)) for p in model.prices]
    for rank, (unit_prices, start, window) in enumerate(parsed):
        if rank == 0:
            start, window = _BEGINNING, None  # noqa: PLW2901 - holds wherever no other does
        end = min((s for _, s, w in parsed[rank + 1 :] if w is None), default=None)
        if end is None or start < end:
            yield _Row(unit_prices, start, end, Conditions(window=window), rank)


def _variant_rows(model: listed.ModelInfo, place: str) -> Iterator[_Row]:
    """The partial prices, one row for each span between the start dates of equal conditions.

    Within a span the first variant in force gives a unit's price, the later ones fill in what it
    leaves out. Of different conditions that one call meets, the first of the list ranks highest.
    """
    groups: dict[_On, list[tuple[dict[str, UnitPrice], datetime]]] = {}
    conditions: dict[_On, Conditions] = {}
    for variant in model.price_variants or ():
        start, window = _when(variant.constraint, place)
        on = Conditions({k.lower(): v.lower() for k, v in variant.when.items()}, window)
        key = (tuple(on.when.items()), window)
        conditions[key] = on
        groups.setdefault(key, []).append((_unit_prices(variant.prices, place), start))
    for number, (key, variants) in enumerate(groups.items()):
        starts = sorted({start for _, start in variants})
        ends: list[datetime | None] = [*starts[1:], None]
        for start, end in zip(starts, ends, strict=True):
            merged: dict[str, UnitPrice] = {}
            for unit_prices, since in variants:
                if since <= start:
                    merged = unit_prices | merged
            yield _Row(merged, start, end, conditions[key], -number)


def _when(constraint: _Constraint, place: str) -> tuple[datetime, DailyWindow | None]:
    match constraint:
        case None:
            return _BEGINNING, None
        case listed.StartDateConstraint():
            return datetime.combine(constraint.start_date, time(0), UTC), None
        case listed.TimeOfDateConstraint():
            window = DailyWindow(_utc(constraint.start_time), _utc(constraint.end_time))
            return _BEGINNING, window
        case _:
            raise InvalidPrice(f"{place}: {type(constraint).__name__} is no known constraint")


def _utc(clock: time) -> time:
    """The clock in UTC, where a list writes a time of day with another offset."""
    if clock.tzinfo is None:
        return clock
    day = datetime(1970, 1, 2, tzinfo=clock.tzinfo)
    return datetime.combine(day.date(), clock).astimezone(UTC).time()


def _unit_prices(prices: listed.ModelPrice, place: str) -> dict[str, UnitPrice]:
    found: dict[str, UnitPrice] = {}
    for key, price in vars(prices).items():
        if price is None:
            continue
        unit = BY_PRICE_KEY.get(key)
        if unit is None:
            raise InvalidPrice(f"{place}: {key} prices no known unit; add it to domain/units.py")
        try:
            found[unit.name] = replace(
                _unit_price(unit.per, price), minimum=_MINIMA.get((place, unit.name))
            )
        except InvalidPrice as error:
            raise InvalidPrice(f"{place}: {key}: {error}") from error
    return found


def _unit_price(per: int, price: Decimal | listed.TieredPrices) -> UnitPrice:
    if isinstance(price, listed.TieredPrices):
        tiers = tuple(Tier(tier.start, tier.price) for tier in price.tiers)
        return UnitPrice(per, price.base, tiers)
    return UnitPrice(per, price)


def _optional_clause(clause: listed.MatchLogic | None) -> Clause | None:
    return None if clause is None else _clause(clause)


def _clause(clause: listed.MatchLogic) -> Clause:
    match clause:
        case listed.ClauseOr():
            return Clause("or", clauses=_clauses(clause.or_))
        case listed.ClauseAnd():
            return Clause("and", clauses=_clauses(clause.and_))
        case _:
            [(kind, text)] = vars(clause).items()
            return Clause(kind, text)


def _clauses(clauses: Iterable[listed.MatchLogic]) -> tuple[Clause, ...]:
    return tuple(_clause(clause) for clause in clauses)
