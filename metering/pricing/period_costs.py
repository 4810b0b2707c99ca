"""What hangs on the period, of a month as it stands: allowances, volumes, capacity, minimums.

The cells of the month's rollup tell what was used; which price holds for a cell is asked of the
books again, as it is at the beginning of its UTC day. A cell knows neither region nor hour, so of
models whose prices by the period hang on these the events are read instead, whose lines name the
price that each was rated at. Where a public list prices a cell and another one, at the same price,
says what of it is free, that is free.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Final

from django.db import connection

from metering.domain.capacity import capacity_costs
from metering.domain.cells import Cell, MeteredCell
from metering.domain.layered_prices import LayeredPriceBook
from metering.domain.leaf_counts import priced_as
from metering.domain.money import EXACT
from metering.domain.period_costs import PeriodCosts, Reserved
from metering.domain.period_prices import Adjustment, Use, adjustments
from metering.domain.periods import Month, Period
from metering.domain.price_book import PriceBook, PricedBy
from metering.domain.prices import Price
from metering.domain.rate_cards import Applied
from metering.domain.units import unit_named
from metering.events import current
from metering.models.prices import PriceRow
from metering.pricing.catalogue import PUBLIC, load_book, prices_of
from metering.pricing.commitments import commitments_of
from metering.readings import estimated_cells, metered_cells


def period_costs(month: Month, cells: Iterable[MeteredCell] | None = None) -> PeriodCosts:
    """What hangs on the month, of its cells as metering reads them. Raises `InvalidPrice` where
    prices that share an allowance disagree about it."""
    held = commitments_of(month.period)
    return PeriodCosts(
        month,
        _adjustments(month, cells),
        tuple(
            Reserved(each, capacity_costs(each, month.period))
            for each in held
            if each.kind == "reserved_capacity"
        ),
        tuple(each for each in held if each.kind == "monthly_minimum"),
        estimated_cells(month.period),
    )


def _adjustments(month: Month, cells: Iterable[MeteredCell] | None) -> tuple[Adjustment, ...]:
    prices = _priced_by_the_period()
    if not prices:
        return ()
    book = load_book()
    readings = metered_cells(month.period) if cells is None else cells
    untold = _untold_by_cells(prices.values())
    quantities: defaultdict[Cell, Decimal] = defaultdict(Decimal)
    by_event: set[tuple[str, str]] = set()
    for reading in readings:
        cell = reading.cell
        if reading.cost is None:
            continue
        if untold and _means(book, cell) & untold:
            by_event.add((cell.provider, cell.model))
        else:
            quantities[cell] = EXACT.add(quantities[cell], reading.quantity)
    uses = [*_uses(quantities.items(), book, prices)]
    if by_event:
        uses += _uses_of_events(month.period, by_event, prices)
    return adjustments(uses)


def _untold_by_cells(prices: Iterable[Price]) -> set[tuple[str, str]]:
    """The models (as price rows name them) of which a cell does not say which price holds."""
    return {
        (price.provider, price.model_id)
        for price in prices
        if price.conditions.window is not None or _UNTOLD & price.conditions.when.keys()
    }


_UNTOLD: Final = frozenset({"region", "endpoint", "speed"})


def _means(book: PriceBook, cell: Cell) -> set[tuple[str, str]]:
    """The models that the books take the cell's to mean."""
    at = datetime.combine(cell.day, time(0), UTC)
    layers = [each for _, each in book.layers] if isinstance(book, LayeredPriceBook) else [book]
    found = (layer.considered(PricedBy(cell.provider, cell.model), at) for layer in layers)
    return {
        (each.matched.provider, each.matched.model_id) for each in found if each and each.matched
    }


def _uses_of_events(
    period: Period, models: Collection[tuple[str, str]], prices: Mapping[int, Price]
) -> Iterator[Use]:
    """What the models' events used at each of the prices, by the lines that they were rated to."""
    events, parameters = current(period)
    providers, names = zip(*sorted(models), strict=True)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT provider, provider_project, (occurred_at AT TIME ZONE 'UTC')::date,"
            " coalesce(model_executed, model), line ->> 0,"
            " CASE WHEN batch THEN 'batch' ELSE service_tier END,"
            " (line ->> 4)::bigint, sum((line ->> 1)::numeric)"
            f" FROM {events} e, json_array_elements(e.lines) line"
            " WHERE (provider, coalesce(model_executed, model)) IN"
            " (SELECT * FROM unnest(%(providers)s::text[], %(names)s::text[]))"
            " AND (line ->> 4)::bigint = ANY(%(prices)s)"
            " GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2, 3, 4, 5, 6, 7",
            {**parameters, "providers": [*providers], "names": [*names], "prices": [*prices]},
        )
        for *cell, price_row, quantity in cursor:
            unit = unit_named(cell[4])
            price = prices[price_row]
            name = priced_as(unit.name, price.unit_prices) if unit is not None else None
            if name is not None and _hangs_on_the_period(price, name):
                yield Use(Cell(*cell), price, name, quantity)


def _hangs_on_the_period(price: Price, unit: str) -> bool:
    terms = price.unit_prices[unit]
    return terms.allowance is not None or bool(terms.volumes)


def _priced_by_the_period() -> dict[int, Price]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM price_row WHERE jsonb_path_exists(unit_prices, %s)", [_BY_PERIOD]
        )
        ids = [id_ for (id_,) in cursor]
    return {price.id: price for price in prices_of(PriceRow.objects.filter(id__in=ids))}


_BY_PERIOD: Final = "$.* ? (exists(@.allowance) || exists(@.volumes))"


def _uses(
    cells: Iterable[tuple[Cell, Decimal]], book: PriceBook, prices: dict[int, Price]
) -> Iterator[Use]:
    public = _public_layers(book)
    for cell, quantity in cells:
        unit = unit_named(cell.token_class)
        if unit is None or quantity <= 0:
            continue
        held = _applied(book, cell, unit.name)
        if held is None:  # a public list may have stood in for the one that goes first
            stood_in = (_applied(layer, cell, unit.name) for layer in public)
            held = next((found for found in stood_in if found), None)
        if held is None:
            continue
        # A list that goes before another may leave out what is free at the very same price.
        others = [found for layer in public if (found := _applied(layer, cell, unit.name))]
        same = [each for each in others if each[1].unit_price == held[1].unit_price]
        is_public = any(each[1].price_id == held[1].price_id for each in others)
        for name, applied in (held, *(same if is_public else ())):
            price = prices.get(applied.price_id)
            if price is not None and _hangs_on_the_period(price, name):
                yield Use(cell, price, name, quantity)
                break


def _public_layers(book: PriceBook) -> list[PriceBook]:
    if not isinstance(book, LayeredPriceBook):
        return []
    return [layer for name, layer in book.layers if name in PUBLIC]


def _applied(book: PriceBook, cell: Cell, unit: str) -> tuple[str, Applied] | None:
    """The unit's price in the cell, and the unit that the price names."""
    call = PricedBy(cell.provider, cell.model, cell.tier, batch=cell.tier == "batch")
    card = book.look_up(call, datetime.combine(cell.day, time(0), UTC))
    if isinstance(card, str):
        return None
    # A price by the period has no thresholds, so it is the same at every level.
    level = card.levels[0]
    name = priced_as(unit, level.priced)
    return None if name is None else (name, level.units[name])
