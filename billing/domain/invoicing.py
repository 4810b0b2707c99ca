"""From exact lines to an invoice: the one place where a charge is rounded to money.

Each line is settled to the currency's minor units, half to even, and the invoice's total is the
sum of its settled lines, because that is what a customer can check by adding up, and how payment
providers add up invoice items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

from billing.domain.charges import Line
from metering.domain.money import EXACT, from_minor, settle


@dataclass(frozen=True, slots=True)
class SettledLine:
    """A line and what is owed for it, in minor units of the invoice's currency."""

    line: Line
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Settled:
    """An invoice's lines, in order, and the total they add up to."""

    currency: str
    lines: tuple[SettledLine, ...]
    total_minor: int

    def __post_init__(self) -> None:
        assert self.total_minor == sum(x.amount_minor for x in self.lines), (
            "lines are not the total"
        )


def settle_lines(lines: Sequence[Line], currency: str) -> Settled:
    """Settle each line; each is owed to within half a minor unit of its exact amount."""
    settled = tuple(SettledLine(line, settle(line.amount, currency)) for line in lines)
    with localcontext(EXACT):
        half = from_minor(1, currency) / 2
        for one in settled:
            assert abs(from_minor(one.amount_minor, currency) - one.line.amount) <= half
    return Settled(currency, settled, sum(x.amount_minor for x in settled))


def rounding_of(settled: Settled) -> Decimal:
    """What settling added to (or took from) the exact amounts, in the currency."""
    with localcontext(EXACT):
        exact = sum((x.line.amount for x in settled.lines), Decimal(0))
        return from_minor(settled.total_minor, settled.currency) - exact


def line_content(settled: SettledLine) -> dict[str, Any]:
    """What a digest of an invoice holds of a line: everything that decides what is owed and why."""
    line = settled.line
    return {
        "kind": line.kind,
        "charge_code": line.charge_code,
        "description": line.description,
        "unit": line.unit,
        "quantity": line.quantity,
        "unit_price": line.unit_price,
        "per": line.per,
        "amount": line.amount,
        "amount_minor": settled.amount_minor,
        "parts": [
            [part.use.model, part.use.endpoint_tag, part.quantity, part.amount]
            for part in line.parts
        ],
    }
