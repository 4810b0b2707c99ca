"""How much of a bill may stay unexplained."""

from __future__ import annotations

from decimal import Decimal

import pytest

from allocation.domain.readiness import unexplained_tolerance


@pytest.mark.parametrize(
    ("lines", "currency", "tolerated"),
    [
        (0, "USD", "1.00"),
        (40_000, "USD", "1.00"),
        (1_000_000, "USD", "5.00"),
        (1_000_000, "JPY", "500"),
        (1_000_000, "KWD", "0.500"),
    ],
)
def test_a_hundred_minor_units_or_half_the_root_of_the_lines(
    lines: int, currency: str, tolerated: str
) -> None:
    assert unexplained_tolerance(lines, currency) == Decimal(tolerated)
