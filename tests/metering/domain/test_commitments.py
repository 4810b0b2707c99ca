"""What is owed for time: which commitments there can be, and what a month leaves to a minimum."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.commitments import Commitment, InvalidCommitment, missing_to
from metering.domain.periods import Month

START = datetime(2026, 10, 1, tzinfo=UTC)


def committed(**different: Any) -> Commitment:
    said: dict[str, Any] = {
        "kind": "monthly_minimum",
        "provider": "openai",
        "price": Decimal(1000),
        "currency": "USD",
        "valid_from": START,
    }
    return Commitment(**said | different)


def reserved(**different: Any) -> Commitment:
    return committed(
        **{"kind": "reserved_capacity", "model": "gpt-4o", "units": 5, "price": Decimal(2)}
        | different
    )


@pytest.mark.parametrize(
    ("made", "different", "message"),
    [
        (reserved, {"units": 0}, "reserve nothing"),
        (reserved, {"model": ""}, "name the model"),
        (reserved, {"price": Decimal(-1)}, "no amount of at least 0"),
        (reserved, {"price": Decimal("NaN")}, "no amount of at least 0"),
        (reserved, {"valid_from": datetime(2026, 1, 1)}, "time zone"),  # noqa: DTZ001 - refused
        (reserved, {"valid_to": START}, "never held"),
        (committed, {"model": "gpt-4o"}, "of no model"),
        (committed, {"valid_from": datetime(2026, 10, 2, tzinfo=UTC)}, "first day of a month"),
        (committed, {"valid_to": datetime(2026, 12, 1, 1, tzinfo=UTC)}, "first day of a month"),
    ],
)
def test_a_commitment_that_cannot_be_is_refused(
    made: Any, different: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidCommitment, match=message):
        made(**different)


def test_what_is_written_is_read_again() -> None:
    for one in (committed(), reserved(valid_to=datetime(2027, 1, 1, tzinfo=UTC))):
        assert Commitment.from_json(one.as_json()) == one


def test_a_minimum_is_missed_in_its_months_only() -> None:
    ended = committed(valid_to=datetime(2026, 12, 1, tzinfo=UTC))
    months = [Month(2026, month) for month in (9, 10, 11, 12)]
    assert [missing_to(ended, month, Decimal("400.5")) for month in months] == [
        0,
        Decimal("599.5"),
        Decimal("599.5"),
        0,
    ]


@given(st.decimals(0, 5000, places=6))
def test_what_is_missing_and_what_was_spent_make_the_minimum_or_more(spent: Decimal) -> None:
    missing = missing_to(committed(), Month(2026, 10), spent)
    assert missing >= 0
    assert spent + missing == max(spent, Decimal(1000))
