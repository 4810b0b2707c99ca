"""The tables that the demo prints."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from billing.demo.summary import statement_parts
from metering.domain.money import from_minor, settle
from tests.allocation.rendering.conftest import line, statement_of

AMOUNTS = st.decimals(-100, 100, places=6)


@given(st.lists(st.tuples(AMOUNTS, st.sampled_from(["direct", "activity"])), max_size=6))
@example([(Decimal("0.005"), "direct"), (Decimal("0.005"), "activity")])
@pytest.mark.parametrize("currency", ["USD", "JPY"])
def test_a_statements_row_adds_up_as_it_is_shown(
    currency: str, parts: list[tuple[Decimal, str]]
) -> None:
    lines = tuple(
        line(amount=amount, strategy=strategy, tenant=f"t{n}", pool="fees")
        for n, (amount, strategy) in enumerate(parts)
    )
    statement = statement_of(lines, currency=currency)
    direct, shared, rounding = statement_parts(statement)
    assert direct + shared + rounding == statement.total_minor
    assert direct == settle(statement.direct, currency)
    assert abs(from_minor(rounding, currency) - statement.rounding) <= from_minor(1, currency)
