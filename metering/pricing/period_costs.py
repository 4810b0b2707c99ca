"""What hangs on the period, of a month as it stands: allowances, volumes, capacity, minimums.

The cells of the month's rollup tell what was used; which price holds for a cell is asked of the
books again, as it is at the beginning of its UTC day. A price by region or by the hour of the day
cannot be told from a cell, so such prices have no allowances that are found here.
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
from metering.domain.leaf_counts import priced_as
from metering.domain.money import EXACT
from metering.domain.period_costs import PeriodCosts, Reserved
from metering.domain.period_prices import Adjustment, Use, adjustments
from metering.domain.periods import Month
from metering.domain.price_book import PriceBook
from metering.domain.prices import Price
from metering.domain.units import unit_named
from metering.models.prices import PriceRow
from metering.pricing.catalogue import load_book, prices_of
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
    for cell, quantity in cells:
        unit = unit_named(cell.token_class)
        if unit is None or quantity <= 0:
            continue
        card = book.look_up(
            cell.provider,
            cell.model,
            datetime.combine(cell.day, time(0), UTC),
            cell.tier,
            batch=cell.tier == "batch",
        )
        if isinstance(card, str):
            continue
        # A price by the period has no thresholds, so it is the same at every level.
        level = card.levels[0]
        name = priced_as(unit.name, level.priced)
        price = prices.get(level.units[name].price_id) if name is not None else None
        if price is None or name is None:
            continue
        terms = price.unit_prices[name]
        if terms.allowance is not None or terms.volumes:
            yield Use(cell, price, name, quantity)
