"""What a month makes of the cost of its events, by its prices and contracts."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from metering.domain.capacity import CapacityCost
from metering.domain.cells import Cell
from metering.domain.commitments import Commitment
from metering.domain.digests import digest_of
from metering.domain.money import plain
from metering.domain.period_prices import Adjustment
from metering.domain.periods import Month


class Reserved(NamedTuple):
    """Reserved capacity, and what it costs in the month by UTC day."""

    commitment: Commitment
    costs: tuple[CapacityCost, ...]


class EstimatedUse(NamedTuple):
    """What of a cell rests on estimates of tokens, and what that should have cost."""

    quantity: Decimal
    cost: Decimal


class PeriodCosts(NamedTuple):
    """What hangs on a month, beside the cost of its events one by one. `minimums` are those that
    hold; what is missing to one hangs on the bill too (`commitments.missing_to`). `estimated` is
    the part of the cells that nobody but us has counted."""

    month: Month
    adjustments: tuple[Adjustment, ...] = ()
    reserved: tuple[Reserved, ...] = ()
    minimums: tuple[Commitment, ...] = ()
    estimated: Mapping[Cell, EstimatedUse] = {}

    def of(self, provider: str, currency: str) -> PeriodCosts:
        """Those of one provider, in one currency; estimates are of its own cells."""
        name = provider.lower()
        return PeriodCosts(
            self.month,
            tuple(
                each
                for each in self.adjustments
                if each.cells[0].provider == provider and each.currency == currency
            ),
            tuple(
                each
                for each in self.reserved
                if each.commitment.provider == name and each.commitment.currency == currency
            ),
            tuple(
                each
                for each in self.minimums
                if each.provider == name and each.currency == currency
            ),
            {cell: use for cell, use in self.estimated.items() if cell.provider == provider},
        )

    @property
    def digest(self) -> str:
        """Hex SHA-256 over all of it; empty where nothing hangs on the month."""
        if not (self.adjustments or self.reserved or self.minimums or self.estimated):
            return ""
        owed = [each.commitment for each in self.reserved]
        return digest_of(
            [
                self.adjustments,
                [each.as_json() for each in (*owed, *self.minimums)],
                [[cell, *map(plain, use)] for cell, use in sorted(self.estimated.items())],
            ]
        )
