"""Largest remainder: published vectors, and the promises as properties."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from metering.domain.apportionment import (
    InvalidWeight,
    NothingToApportionOver,
    Portion,
    Weight,
    apportion,
    portions,
    round_to_total,
)
from metering.domain.money import minor_digits

weights = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=3),
    st.one_of(
        st.integers(0, 10**24),
        st.decimals(0, 10**12, places=12),
        st.fractions(0, 10**6, max_denominator=997),
    ),
    min_size=1,
    max_size=12,
)
totals = st.integers(-(10**18), 10**18)


@pytest.mark.parametrize(
    ("total", "given_weights", "expected"),
    [
        pytest.param(
            37,
            {"a": Decimal(".14"), "b": Decimal(".23"), "c": Decimal(".45"), "d": Decimal(".18")},
            {"a": 5, "b": 8, "c": 17, "d": 7},
            id="How Math Explains the World, p. 229",
        ),
        pytest.param(49, {"a": 3, "b": 7, "c": 90}, {"a": 2, "b": 3, "c": 44}, id="net.math 49"),
        pytest.param(
            51,
            {"a": 3, "b": 7, "c": 90},
            {"a": 1, "b": 4, "c": 46},
            id="net.math 51: the Alabama paradox, a larger total and a smaller share",
        ),
        pytest.param(
            50, {"a": 3, "b": 7, "c": 90}, {"a": 2, "b": 3, "c": 45}, id="net.math 50: a tie"
        ),
        pytest.param(
            50,
            {"z": 3, "b": 7, "c": 90},
            {"z": 1, "b": 4, "c": 45},
            id="the tie goes by key, not by size or place",
        ),
        pytest.param(
            100, {"a": 333, "b": 333, "c": 334}, {"a": 33, "b": 33, "c": 34}, id="meteroid discount"
        ),
        pytest.param(100, {"a": 100, "b": 200}, {"a": 33, "b": 67}, id="polar discount"),
        pytest.param(
            2,
            {"a": 1, "b": 66, "c": 66, "d": 67},
            {"a": 0, "b": 1, "c": 0, "d": 1},
            id="0.02 over 1, 66, 66, 67: nobody below zero",
        ),
        pytest.param(-100, {"a": 1, "b": 1, "c": 1}, {"a": -34, "b": -33, "c": -33}, id="credit"),
        pytest.param(10, {"a": 0, "b": 5}, {"a": 0, "b": 10}, id="no weight, no share"),
        pytest.param(0, {"a": 0, "b": 0}, {"a": 0, "b": 0}, id="nothing over nothing"),
        pytest.param(0, {}, {}, id="nothing over nobody"),
    ],
)
def test_published_vectors(
    total: int, given_weights: dict[str, Weight], expected: dict[str, int]
) -> None:
    assert apportion(total, given_weights) == expected


def _digits(currency: str) -> int:
    return 4 if currency.startswith("CREDITS") else minor_digits(currency)


def test_openmeter_vectors(shared_data: Path) -> None:
    """Theirs omits zero shares and refuses zero weights; ours keeps an explicit zero for both."""
    document = json.loads(
        (shared_data / "vectors-openmeter/allocation-and-rounding.json").read_text()
    )
    cases: list[tuple[dict[str, Any], str]] = [
        *((case, "weights") for case in document["allocate_by_weight"]),
        *((case, "amounts") for case in document["allocate_by_amount"]),
    ]
    checked = 0
    for case, field in cases:
        if "expect_error" in case:
            continue
        scale = _digits(case["currency"])
        total = int(Decimal(case["amount"]).scaleb(scale))
        shares = apportion(total, {key: Decimal(w) for key, w in case[field]})
        expected = {key: int(Decimal(amount).scaleb(scale)) for key, amount in case["expect"]}
        assert {key: units for key, units in shares.items() if units} == expected, case
        checked += 1
    assert checked == 14


@given(totals, weights)
@example(2, {"a": 1, "b": 66, "c": 66, "d": 67})
def test_shares_add_up_and_are_within_a_unit_of_exact(
    total: int, given_weights: dict[str, Weight]
) -> None:
    whole = sum((Fraction(weight) for weight in given_weights.values()), Fraction(0))
    assume(whole > 0)
    shares = portions(total, given_weights)
    assert sum(p.units for p in shares.values()) == total
    for key, portion in shares.items():
        exact = total * Fraction(given_weights[key]) / whole
        assert abs(portion.units - exact) < 1
        assert portion.units * total >= 0
        assert portion.units - portion.rounding_units == (
            exact.__floor__() if total >= 0 else exact.__ceil__()
        )
        if given_weights[key] == 0:
            assert portion == Portion(0, 0)


@given(totals, weights, st.randoms(use_true_random=False), st.fractions("1/1000", 1000))
def test_neither_order_nor_scale_nor_sign_matters(
    total: int, given_weights: dict[str, Weight], shuffler: random.Random, factor: Fraction
) -> None:
    assume(any(given_weights.values()))
    shares = apportion(total, given_weights)
    shuffled = list(given_weights.items())
    shuffler.shuffle(shuffled)
    assert apportion(total, dict(shuffled)) == shares
    assert apportion(total, {k: Fraction(w) * factor for k, w in shuffled}) == shares
    assert apportion(-total, given_weights) == {k: -units for k, units in shares.items()}


@pytest.mark.parametrize("empty", [{}, {"a": 0}, {"a": 0, "b": Decimal("0.00")}])
@pytest.mark.parametrize("total", [1, -1])
def test_an_amount_is_never_dropped_for_want_of_weights(
    total: int, empty: dict[str, Weight]
) -> None:
    with pytest.raises(NothingToApportionOver, match="fallback"):
        apportion(total, empty)


@pytest.mark.parametrize("weight", [-1, Decimal("-0.1"), Decimal("NaN"), Decimal("Infinity")])
def test_a_weight_must_be_finite_and_not_negative(weight: Weight) -> None:
    with pytest.raises(InvalidWeight, match="'b'"):
        apportion(10, {"a": 1, "b": weight})


def test_a_hundred_thousand_keys() -> None:
    many = {f"key{i:06d}": Decimal(i * 7919 % 10_007).scaleb(-6) for i in range(100_000)}
    assert sum(apportion(10**15 + 1, many).values()) == 10**15 + 1


amounts = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=3),
    st.integers(-(10**14), 10**14),
    min_size=1,
    max_size=10,
)
FINE = 10**10


@given(amounts)
def test_minor_units_meet_the_total_and_stay_within_one_of_exact(exact: dict[str, int]) -> None:
    total = round(Fraction(sum(exact.values()), FINE))
    rounded = round_to_total(exact, FINE, total)
    assert sum(p.units for p in rounded.values()) == total
    for key, portion in rounded.items():
        assert abs(portion.units * FINE - exact[key]) < FINE
        assert portion.units * exact[key] >= 0
        assert abs(portion.rounding_units) <= 1
    mirrored = round_to_total({k: -units for k, units in exact.items()}, FINE, -total)
    assert {k: -p.units for k, p in mirrored.items()} == {k: p.units for k, p in rounded.items()}
    assert round_to_total(dict(reversed(exact.items())), FINE, total) == rounded


def test_a_charge_beside_a_credit_keeps_both_signs() -> None:
    rounded = round_to_total({"pays": 1_006, "gets": -402, "idle": 0}, 100, 6)
    assert rounded == {"pays": Portion(10, 0), "gets": Portion(-4, 0), "idle": Portion(0, 0)}


def test_a_total_that_the_amounts_do_not_round_to_is_refused() -> None:
    with pytest.raises(ValueError, match="not what these amounts' sum rounds to"):
        round_to_total({"a": 100, "b": 151}, 100, 2)
