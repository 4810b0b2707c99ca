"""What hangs on the period, of a month as it stands: allowances, volumes, capacity, minimums.

The cells of the month's rollup tell what was used; which price holds for a cell is asked of the
books again, as it is at the beginning of its UTC day. A price by region or by the hour of the day
cannot be told from a cell, so such prices have no allowances that are found here. Where a public
list prices a cell and another one, at the same price, says what of it is free, that is free.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
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
from metering.domain.periods import Month
from metering.domain.price_book import PriceBook
from metering.domain.prices import Price
from metering.domain.rate_cards import Applied
from metering.domain.units import unit_named
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
    quantities: defaultdict[Cell, Decimal] = defaultdict(Decimal)
    for reading in metered_cells(month.period) if cells is None else cells:
        if reading.cost is not None:
            quantities[reading.cell] = EXACT.add(quantities[reading.cell], reading.quantity)
    return adjustments(_uses(quantities.items(), load_book(), prices))


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
        if held is None:
            continue
        # A list that goes before another may leave out what is free at the very same price.
        others = [found for layer in public if (found := _applied(layer, cell, unit.name))]
        same = [each for each in others if each[1].unit_price == held[1].unit_price]
        is_public = any(each[1].price_id == held[1].price_id for each in others)
        for name, applied in (held, *(same if is_public else ())):
            price = prices.get(applied.price_id)
            terms = price.unit_prices[name] if price is not None else None
            if price is not None and terms and (terms.allowance is not None or terms.volumes):
                yield Use(cell, price, name, quantity)
                break


def _public_layers(book: PriceBook) -> list[PriceBook]:
    if not isinstance(book, LayeredPriceBook):
        return []
    return [layer for name, layer in book.layers if name in PUBLIC]


def _applied(book: PriceBook, cell: Cell, unit: str) -> tuple[str, Applied] | None:
    """The unit's price in the cell, and the unit that the price names."""
    card = book.look_up(
        cell.provider,
        cell.model,
        datetime.combine(cell.day, time(0), UTC),
        cell.tier,
        batch=cell.tier == "batch",
    )
    if isinstance(card, str):
        return None
    # A price by the period has no thresholds, so it is the same at every level.
    level = card.levels[0]
    name = priced_as(unit, level.priced)
    return None if name is None else (name, level.units[name])
