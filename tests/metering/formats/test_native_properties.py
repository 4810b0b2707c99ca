"""Native events at random: nothing raises, and what is accepted comes back as it was sent."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.usage import COUNTS, MAX_TOKENS, Rejection, Share, UsageEvent
from metering.formats import native
from metering.formats.problems import name_problem
from tests.metering.formats.native_events import LEAST, parse


@given(st.binary(max_size=200))
def test_no_bytes_raise(payload: bytes) -> None:
    assert isinstance(parse(payload), Rejection)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(native.FIELDS)), json_values, max_size=6))
def test_no_json_raises(fields: dict[str, Any]) -> None:
    assert isinstance(parse({**LEAST, **fields}), UsageEvent | Rejection)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                *("prompt_tokens", "input_tokens", "completion_tokens", "prompt_tokens_details"),
                *("cache_creation", "iterations", "promptTokenCount", "promptTokensDetails"),
                *("inputTokens", "cacheDetails", "x_groq", "seconds", "server_tool_use"),
            ]
        ),
        json_values | st.integers(0, 10),
        max_size=5,
    ),
    st.sampled_from([None, "openai", "anthropic", "gemini", "groq", "bedrock"]),
)
def test_no_usage_object_raises(usage: dict[str, Any], dialect: str | None) -> None:
    result = parse({**LEAST, "usage": usage, "usageFormat": dialect})
    assert isinstance(result, UsageEvent | Rejection)


texts = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=40
).filter(lambda text: name_problem("it", text) is None)


quantities = st.decimals(0, 1000, places=3, allow_nan=False)


@st.composite
def events(draw: st.DrawFn) -> UsageEvent:
    """Events that can be true, with every field that a sender can set and no usage object."""
    into, out = draw(st.integers(0, MAX_TOKENS)), draw(st.integers(0, MAX_TOKENS))
    written = draw(st.integers(0, into))
    optional: dict[str, Any] = {
        name: draw(st.none() | texts)
        for name in (
            *("event_id", "model_executed", "provider_request_id", "region", "endpoint_tag"),
            *("tenant_id", "user_id", "anon_id", "cost_center", "error_code", "workflow"),
        )
    }
    units = draw(st.dictionaries(st.sampled_from(["web_search", "images"]), quantities))
    return UsageEvent(
        source="app",
        external_request_id=draw(texts),
        provider=draw(texts),
        model=draw(texts),
        occurred_at=draw(
            st.datetimes(datetime(2000, 1, 1), datetime(2026, 11, 2), timezones=st.just(UTC))  # noqa: DTZ001 - Hypothesis adds the zone
        ),
        attempt=draw(st.none() | st.integers(0, 9)),
        input_tokens=into,
        cache_write_tokens=written,
        cache_write_1h_tokens=draw(st.none() | st.integers(0, written)),
        cached_input_tokens=draw(st.none() | st.integers(0, into - written)),
        audio_input_tokens=draw(st.none() | st.integers(0, into)),
        output_tokens=out,
        reasoning_tokens=draw(st.none() | st.integers(0, out)),
        units={name: Decimal(f"{quantity.normalize():f}") for name, quantity in units.items()},
        batch=draw(st.booleans()),
        status=draw(st.sampled_from(["success", "error"])),
        data_mode=draw(st.sampled_from(["real", "test", "demo"])),
        environment=draw(st.sampled_from(["prod", "staging", "dev"])),
        tags=draw(st.dictionaries(texts, texts, max_size=3)),
        shares=tuple(
            Share(tenant_id=tenant, input_tokens=into // 4, output_tokens=out // 4)
            for tenant in draw(st.lists(texts, max_size=4, unique=True))
        ),
        **optional,
    )


def on_the_wire(event: UsageEvent) -> dict[str, Any]:
    sent = {wire: getattr(event, name) for wire, name in native.FIELDS.items()}
    sent["shares"] = [
        {
            "tenantId": share.tenant_id,
            "inputTokens": share.input_tokens,
            "outputTokens": share.output_tokens,
        }
        for share in event.shares
    ]
    return sent


@given(events())
def test_an_event_comes_back_as_it_was_sent(event: UsageEvent) -> None:
    assert parse(msgspec.json.encode(on_the_wire(event))) == event


@given(events(), st.randoms(use_true_random=False))
def test_the_order_of_keys_means_nothing(event: UsageEvent, random: Any) -> None:
    sent = list(on_the_wire(event).items())
    random.shuffle(sent)
    assert parse(msgspec.json.encode(dict(sent))) == event


@given(st.fixed_dictionaries({name: st.none() | st.integers(0, 5) for name in COUNTS}))
def test_what_is_not_marked_divides_into_parts_that_are_not_negative(
    counts: dict[str, int | None],
) -> None:
    wire = {ours: sent for sent, ours in native.FIELDS.items()}
    event = parse({**LEAST, **{wire[name]: count for name, count in counts.items()}})
    if isinstance(event, Rejection) or event.usage_quality == "inconsistent":
        return
    into, out = event.input_tokens or 0, event.output_tokens or 0
    assert into - (event.cached_input_tokens or 0) - (event.cache_write_tokens or 0) >= 0
    assert (event.cache_write_tokens or 0) - (event.cache_write_1h_tokens or 0) >= 0
    assert into - (event.audio_input_tokens or 0) - (event.image_input_tokens or 0) >= 0
    assert out - (event.audio_output_tokens or 0) - (event.image_output_tokens or 0) >= 0
    assert out - (event.reasoning_tokens or 0) >= 0
