"""An allocation run for programs: every line and total, amounts and measures as decimal strings."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from decimal import Decimal, localcontext
from typing import Any, Final, NamedTuple

from allocation.domain.allocations import Allocation
from metering.domain.money import EXACT, from_minor, plain


class OwnerTotal(NamedTuple):
    """What an owner bears of all bills of a run in one currency."""

    cost_centre: str
    tenant: str
    currency: str
    exact: Decimal
    amount_minor: int

    @property
    def amount(self) -> Decimal:
        return from_minor(self.amount_minor, self.currency)


def owner_totals(allocation: Allocation) -> list[OwnerTotal]:
    """Sums over the run's settlements, sorted by owner."""
    exact: defaultdict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    minor: defaultdict[tuple[str, str, str], int] = defaultdict(int)
    with localcontext(EXACT):
        for settlement in allocation.settlements:
            key = (settlement.cost_centre, settlement.tenant, settlement.currency)
            exact[key] += settlement.exact
            minor[key] += settlement.amount_minor
    return [OwnerTotal(*key, exact[key], minor[key]) for key in sorted(exact)]


def allocation_value(allocation: Allocation) -> dict[str, Any]:
    """Bills, totals, lines, settlements and sources as plain JSON values; `*_minor` and
    `rounding_units` are integers, and `null` is not measured."""
    return {
        "bills": [_plain(bill) for bill in allocation.bills],
        "totals": [
            _plain(total) | {"amount": plain(total.amount)} for total in owner_totals(allocation)
        ],
        "settlements": [
            _plain(settlement)
            | {"amount": plain(from_minor(settlement.amount_minor, settlement.currency))}
            for settlement in allocation.settlements
        ],
        "lines": [_plain(line) for line in allocation.lines],
        "sources": [_plain(source) for source in allocation.sources],
    }


def _plain(row: Any) -> dict[str, Any]:
    return dict(
        zip(row._fields, [v if type(v) in _AS_THEY_ARE else _text(v) for v in row], strict=True)
    )


def _text(value: Decimal | date) -> str:
    return plain(value) if isinstance(value, Decimal) else value.isoformat()


_AS_THEY_ARE: Final = frozenset({str, int, type(None)})
