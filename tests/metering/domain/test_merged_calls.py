"""One call by several routes: who is believed of what, and that the order has no say."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.merged_calls import Merged, Role, Route, are_one, begun_as_one, merged_call
from metering.domain.usage import Share, UsageEvent
from tests.metering.events import NOON, call

APP = call(
    "req-1",
    source="app",
    endpoint_tag="chat",
    tenant_id="acme",
    cost_center="cc-1",
    input_tokens=900,
    cached_input_tokens=None,
    output_tokens=190,
    latency_ms=None,
    tags={"team": "growth", "who": "app"},
    environment="staging",
)
METER = call(
    "gw-77",
    source="gateway",
    tenant_id=None,
    endpoint_tag=None,
    model_executed="gpt-4o-mini-2024-07-18",
    provider_request_id="chatcmpl-1",
    usage='{"prompt_tokens":1000}',
    usage_format="openai",
    usage_quality="provider_reported",
    service_tier="flex",
    tags={"who": "gateway", "region": "eu"},
    occurred_at=NOON + timedelta(milliseconds=5),
)


def merged(*events: UsageEvent, roles: dict[str, Role] | None = None) -> Merged:
    routes = [Route(f"key-{e.source}-{e.external_request_id}", e, names_user=False) for e in events]
    return merged_call(routes, roles or {})


def test_attribution_is_the_applications_and_usage_the_meters() -> None:
    event = merged(APP, METER).event
    assert (event.source, event.external_request_id) == ("app", "req-1")
    assert (event.tenant_id, event.endpoint_tag, event.cost_center) == ("acme", "chat", "cc-1")
    assert event.environment == "staging"
    assert event.tags == {"team": "growth", "who": "app", "region": "eu"}
    assert (event.input_tokens, event.cached_input_tokens, event.output_tokens) == (1000, 300, 200)
    assert (event.usage, event.usage_quality) == (METER.usage, "provider_reported")
    assert (event.service_tier, event.latency_ms) == ("flex", 800)
    assert (event.model, event.model_executed) == ("gpt-4o-mini", "gpt-4o-mini-2024-07-18")
    assert event.occurred_at == METER.occurred_at
    assert event.provider_request_id == "chatcmpl-1"
    assert event.event_id == "merged:key-app-req-1+key-gateway-gw-77"


def test_what_was_asked_for_is_the_applications_model_and_what_ran_the_meters() -> None:
    asked = call("a", source="app", model="best", tenant_id="acme")
    event = merged(asked, call("b", source="gateway", model="gpt-4o", tenant_id=None)).event
    assert (event.model, event.model_executed) == ("best", "gpt-4o")


def test_a_declared_role_overrides_what_the_reports_show() -> None:
    turned = merged(APP, METER, roles={"gateway": "application", "app": "meter"})
    assert (turned.attribution.event.source, turned.measure.event.source) == ("gateway", "app")
    assert turned.event.input_tokens == 900
    assert turned.event.tenant_id == "acme", "what the first is silent about is filled in"


def test_a_meter_that_has_nothing_to_tell_is_not_believed() -> None:
    silent = call(
        "m", source="m", usage_quality="missing", input_tokens=None, output_tokens=None,
        cached_input_tokens=None,
    )  # fmt: skip
    assert merged(APP, silent, roles={"m": "meter"}).measure.event.source == "app"


def test_shares_divide_the_tokens_they_were_reported_with() -> None:
    shares = (Share(tenant_id="globex", input_tokens=900, output_tokens=190),)
    shared = call("s", source="app", input_tokens=900, output_tokens=190, shares=shares)
    assert merged(shared, METER).event.input_tokens == 900
    fitting = call("s", source="app", shares=shares)
    assert merged(fitting, METER).event.usage == METER.usage


def test_the_user_is_that_of_whoever_names_one() -> None:
    routes = [Route("a", APP, names_user=False), Route("b", METER, names_user=True)]
    user = merged_call(routes, {}).user
    assert user is not None
    assert user.key == "b"


EVENTS = st.builds(
    lambda source, given: call(source, source=source, **given),
    st.sampled_from(["a", "b", "c", "d"]),
    st.fixed_dictionaries(
        {},
        optional={
            "tenant_id": st.sampled_from([None, "acme"]),
            "endpoint_tag": st.sampled_from([None, "x"]),
            "usage_quality": st.sampled_from(["provider_reported", "estimated", "missing"]),
            "usage": st.sampled_from([None, "{}"]),
            "input_tokens": st.integers(300, 302),
            "time_reported": st.booleans(),
            "model_executed": st.sampled_from([None, "gpt-4o"]),
            "region": st.sampled_from([None, "eu"]),
            "units": st.sampled_from([{}, {"web_search": Decimal(1)}]),
            "tags": st.dictionaries(st.sampled_from("xy"), st.sampled_from("12"), max_size=2),
        },
    ),
)


@given(st.lists(EVENTS, min_size=2, max_size=4, unique_by=lambda e: e.source), st.randoms())
def test_the_order_of_reports_has_no_say(events: list[UsageEvent], order: Any) -> None:
    shuffled = list(events)
    order.shuffle(shuffled)
    assert merged(*shuffled) == merged(*events)


@pytest.mark.parametrize(
    ("different", "same"),
    [
        ({}, True),
        ({"model": "alias", "model_executed": "gpt-4o-mini"}, True),
        ({"model": "gpt-4o"}, False),
        ({"output_tokens": 201}, False),
        ({"provider": "azure"}, False),
        ({"occurred_at": NOON + timedelta(hours=25)}, False),
        ({"input_tokens": None, "output_tokens": None, "cached_input_tokens": None}, False),
    ],
)
def test_reports_of_one_trace_are_one_call_by_model_and_tokens(
    different: dict[str, Any],
    same: bool,  # noqa: FBT001 - a case
) -> None:
    other = call("other", source="b", **different)
    assert are_one(call(), other) is are_one(other, call()) is same


def test_without_tokens_nothing_is_known_to_be_one() -> None:
    silent = call(input_tokens=None, output_tokens=None, cached_input_tokens=None)
    assert not are_one(silent, silent)


@pytest.mark.parametrize(
    ("other", "alike"),
    [
        ({"input_tokens": 7, "output_tokens": 9}, True),
        ({"input_tokens": None, "output_tokens": None, "usage_quality": "missing"}, True),
        ({"usage_quality": "reported"}, True),
        ({"latency_ms": 801}, True),
        ({"latency_ms": None}, True),
        ({"latency_ms": 802}, False),
        ({"model": "gpt-4o", "model_executed": None}, False),
        ({"provider": "azure"}, False),
    ],
)
def test_what_is_estimated_tells_no_two_calls_of_one_beginning_apart(
    other: dict[str, Any], *, alike: bool
) -> None:
    one = call("a", usage_quality="estimated")
    twin = call("b", **{"usage_quality": "estimated", **other})
    assert begun_as_one(one, twin) is alike
    assert begun_as_one(twin, one) is alike


def test_two_that_tell_their_usage_are_told_apart_by_it() -> None:
    assert begun_as_one(call("a"), call("b"))
    assert not begun_as_one(call("a"), call("b", output_tokens=1))
