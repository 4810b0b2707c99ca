from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.domain.plans import (
    Charge,
    InvalidPlan,
    PerUnit,
    Plan,
    Scope,
    content_of,
    plan_digest,
    plan_of,
)

CHARGE: dict[str, Any] = {
    "code": "tokens",
    "name": "Model tokens",
    "meter": "tokens",
    "included": 1_000_000,
    "price": {"kind": "per_unit", "unit_price": "2.50", "per": 1_000_000},
}
PLAN: dict[str, Any] = {
    "code": "pro",
    "name": "Pro",
    "currency": "USD",
    "fee": "49.00",
    "charges": [CHARGE],
}


def test_a_plan_is_read_with_its_defaults() -> None:
    plan = plan_of(PLAN)
    assert plan.fee == Decimal(49)
    assert plan.prorate_allowance is True
    assert plan.scope == Scope(
        data_modes=frozenset({"real"}),
        environments=frozenset({"prod"}),
        statuses=frozenset({"success"}),
        served_from=frozenset({"provider", "caller_cache"}),
    )
    assert plan.charges[0].price == PerUnit(unit_price=Decimal("2.5"), per=1_000_000)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"currency": "USDollar"}, "no ISO 4217"),
        ({"fee": "-1"}, "a fee is 0 or more"),
        ({"fee": "49.005"}, "no amount of USD"),
        ({"fee": "NaN"}, "a fee is 0 or more"),
        ({"fee": "1E+30"}, "out of all proportion"),
        ({"code": "Pro Plan"}, "lower-case"),
        ({"name": " "}, "no name"),
        ({"colour": "red"}, "colour"),
        ({"scope": {"statuses": []}}, "nothing would be charged"),
        ({"scope": {"statuses": ["succes"]}}, r"\$.scope.statuses"),
        ({"charges": [CHARGE, CHARGE]}, "two charges have the code"),
        ({"charges": [CHARGE, {**CHARGE, "code": "more"}]}, "charge the same usage"),
    ],
)
def test_a_plan_that_cannot_be_right_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidPlan, match=message):
        plan_of({**PLAN, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"included": -1}, "0 or more units"),
        ({"included": 1.5}, "included"),
        ({"meter": ""}, "meter is empty"),
        ({"meter": []}, "empty set"),
        ({"meter": ["input", "web_search"]}, "web_search, no token class"),
        ({"models": [""]}, "empty pattern"),
        ({"price": {"kind": "per_unit", "unit_price": "-0.01"}}, "0 or more"),
        ({"price": {"kind": "per_unit", "unit_price": "Infinity"}}, "0 or more"),
        ({"price": {"kind": "per_unit", "unit_price": "1", "per": 3}}, "no exact decimal"),
        ({"price": {"kind": "per_unit", "unit_price": "1", "per": 0}}, "no exact decimal"),
        ({"price": {"kind": "per_unit", "unit_price": "1E-19"}}, "out of all proportion"),
        ({"price": {"kind": "surprise", "unit_price": "1"}}, r"\$.charges\[0\].price.kind"),
    ],
)
def test_a_charge_that_cannot_be_right_names_its_place(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidPlan, match=message) as refused:
        plan_of({**PLAN, "charges": [{**CHARGE, **change}]})
    assert "$.charges[0]" in str(refused.value)


def test_a_wrong_value_is_refused_however_it_is_built() -> None:
    with pytest.raises(InvalidPlan, match="0 or more units"):
        Charge(
            code="x", name="X", meter="tokens", included=-5, price=PerUnit(unit_price=Decimal(1))
        )


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ({"meter": "tokens"}, {"meter": "requests"}, False),
        ({"meter": ["input"]}, {"meter": ["output"]}, False),
        ({"meter": ["input", "output"]}, {"meter": "tokens"}, True),
        ({"meter": "web_search"}, {"meter": "web_search"}, True),
        ({"models": ["gpt-*"]}, {"models": ["claude-*"]}, False),
        ({"models": ["gpt-*"]}, {"models": ["*-mini"]}, True),
        ({"models": ["gpt-*"]}, {"models": []}, True),
        ({"endpoint_tags": ["a.*"]}, {"endpoint_tags": ["b.*"]}, False),
    ],
)
def test_which_charges_would_charge_the_same_usage(
    one: dict[str, Any], other: dict[str, Any], *, overlap: bool
) -> None:
    charges = [{**CHARGE, **one, "code": "one"}, {**CHARGE, **other, "code": "other"}]
    if overlap:
        with pytest.raises(InvalidPlan, match="'one' and 'other'"):
            plan_of({**PLAN, "charges": charges})
        plan_of({**PLAN, "charges": [charges[0], {**charges[1], "rest": True}]})
    else:
        assert len(plan_of({**PLAN, "charges": charges}).charges) == 2


def test_units_are_named_for_what_is_counted() -> None:
    def unit(meter: object) -> str:
        return plan_of({**PLAN, "charges": [{**CHARGE, "meter": meter}]}).charges[0].unit

    assert unit("tokens") == "tokens"
    assert unit(["output", "output_audio"]) == "tokens"
    assert unit("output") == "tokens"
    assert unit("requests") == "requests"
    assert unit("web_search") == "web_search"


@given(
    fee=st.integers(0, 10**9).map(lambda minor: Decimal(minor).scaleb(-2)),
    unit_price=st.decimals(0, 1000, places=9),
    included=st.integers(0, 10**12),
    prorate=st.booleans(),
)
def test_content_goes_to_json_and_back(
    *, fee: Decimal, unit_price: Decimal, included: int, prorate: bool
) -> None:
    plan = Plan(
        code="p",
        name="P",
        currency="EUR",
        fee=fee,
        prorate_allowance=prorate,
        charges=(
            Charge(
                code="c",
                name="C",
                meter=frozenset({"output", "input"}),
                included=included,
                price=PerUnit(unit_price=unit_price, per=1000),
            ),
        ),
    )
    again = plan_of(json.loads(json.dumps(content_of(plan))))
    assert again == plan
    assert plan_digest(again) == plan_digest(plan)


def test_a_digest_sees_every_term_but_not_how_a_decimal_is_written() -> None:
    digest = plan_digest(plan_of(PLAN))
    assert plan_digest(plan_of({**PLAN, "fee": "49"})) == digest
    assert plan_digest(plan_of({**PLAN, "fee": "49.01"})) != digest
    assert plan_digest(plan_of({**PLAN, "prorate_allowance": False})) != digest
    assert content_of(plan_of(PLAN))["charges"][0]["price"] == {
        "kind": "per_unit",
        "unit_price": "2.5",
        "per": 1_000_000,
    }
