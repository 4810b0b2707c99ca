"""What dividing a month's bills gives: lines that explain, and settlements that are owed."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import NamedTuple

from allocation.domain.cost_shares import Strategy


class AllocatedLine(NamedTuple):
    """One owner's part of one amount of one bill, with what explains it.

    Direct lines stand in a cell (`day` and what follows it); lines of a pool know only the
    provider, and `driver_key` where a weight was used. `amount` is exact; `rounding_units` of it
    (-1, 0, 1, in units of 10^-scale of the bill) came by largest remainder. The measure is
    described at `CostShare`. The line of the bill's own rounding has no owner.
    """

    bill_id: int
    currency: str
    provider: str
    project: str
    day: date | None
    model: str
    token_class: str
    tier: str
    pool: str
    strategy: Strategy
    cost_centre: str
    tenant: str
    driver_key: str
    basis: str
    basis_value: Decimal | None
    basis_total: Decimal | None
    weight: Decimal | None
    amount: Decimal
    rounding_units: int


class SourceLine(NamedTuple):
    """Which pool took a bill line."""

    bill_id: int
    currency: str
    line_no: int
    pool: str
    amount: Decimal


class BillTotal(NamedTuple):
    """A bill as divided: its lines' exact sum, what that is payable for (in minor units), and the
    decimals of its units."""

    bill_id: int
    currency: str
    provider: str
    exact: Decimal
    payable: Decimal
    payable_minor: int
    scale: int


class OwnerSettlement(NamedTuple):
    """What one owner bears of one bill: the exact sum of its lines, and the money made of it.
    `rounding_units` is the minor unit (-1, 0, 1) that the largest remainder gave or took."""

    bill_id: int
    currency: str
    cost_centre: str
    tenant: str
    exact: Decimal
    amount_minor: int
    rounding_units: int


class Allocation(NamedTuple):
    """A month's bills, divided; each part in canonical order."""

    bills: tuple[BillTotal, ...]
    sources: tuple[SourceLine, ...]
    lines: tuple[AllocatedLine, ...]
    settlements: tuple[OwnerSettlement, ...]


def line_order(line: AllocatedLine) -> tuple[object, ...]:
    """The canonical order of a run's lines: the order of digests, files and pages."""
    return (
        line.bill_id,
        line.currency,
        line.pool,
        line.provider,
        line.day or date.min,
        *(line.project, line.model, line.token_class, line.tier),
        *(line.cost_centre, line.tenant, line.driver_key),
        line.basis_total or 0,
        line.amount,
    )
