"""Times, failures, providers and estimates, as tracing libraries write what they are read from."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.call_reports import SUPPOSED
from metering.formats.model_providers import provider_named, provider_of_model
from metering.formats.span_facts import (
    WELL_KNOWN,
    error_code,
    estimates,
    instant,
    provider,
    provider_request_id,
    served_tier,
    supposed_names,
    written,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "said",
    [
        *("2026-11-20T12:00:00Z", "2026-11-20T12:00:00.000000", "2026-11-20T13:00:00+01:00"),
        *(" 2026-11-20T12:00:00+00:00 ", 1795176000, 1795176000000, Decimal("1795176000.0")),
    ],
)
def test_times_come_in_many_forms(said: object) -> None:
    assert instant(said) == NOON
    assert written(NOON) == "2026-11-20T12:00:00Z"


@pytest.mark.parametrize(
    "said",
    [
        *("", "yesterday", "2026-13-01", "0001-01-01T00:00:00+23:59", -1, True, None, [], {}),
        *(10**30, Decimal("1e400"), Decimal("NaN")),
    ],
)
def test_what_is_no_time_is_none(said: object) -> None:
    assert instant(said) is None


@given(st.none() | st.text(max_size=30) | st.integers() | st.decimals() | st.booleans())
def test_no_time_is_without_a_zone(said: object) -> None:
    found = instant(said)
    assert found is None or found.tzinfo is UTC


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("openai.RateLimitError: Error code: 429 - you asked: secret", "RateLimitError"),
        ("RateLimitError('secret')Traceback (most recent call last)", "RateLimitError"),
        ("Error code: 503 - secret", "503"),
        ("httpx.ReadTimeout", "ReadTimeout"),
        ("the secret went wrong", None),
        ({"error": "x"}, None),
        (None, None),
    ],
)
def test_an_error_is_its_name_or_its_status(said: object, code: str | None) -> None:
    assert error_code(said) == code


@pytest.mark.parametrize(
    ("model", "owner"),
    [
        *(("gpt-4o-mini", "openai"), ("o3-mini", "openai"), ("text-embedding-3-small", "openai")),
        *(("claude-sonnet-4-5", "anthropic"), ("gemini-2.5-flash", "google")),
        *(("models/gemini-2.0-flash", "google"), ("mistral-large-latest", "mistral")),
        *(("us.anthropic.claude-sonnet-4-5-v1:0", "aws"), ("anthropic.claude-3-haiku", "aws")),
        *(("groq/llama-3.3-70b", "groq"), ("azure/my-deployment", "azure"), ("grok-4", "x-ai")),
        *(("openrouter/meta/llama-3", "openrouter"), ("deepseek-chat", "deepseek")),
        *(("llama-3.3-70b", None), ("gpt-oss-120b", None), ("my-model", None), ("", None)),
    ],
)
def test_a_models_name_belongs_to_its_provider_or_to_nobody(model: str, owner: str | None) -> None:
    assert provider_of_model(model) == owner


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        *(("OpenAI", "openai"), ("google_genai", "google"), ("amazon_bedrock", "aws")),
        *(("openai.chat", "openai"), ("gcp.vertex.agent", "google"), ("vllm-eu", "vllm-eu")),
        *(("langchain", None), ("", None), ("unknown", None)),
    ],
)
def test_frameworks_words_for_providers(said: str, meant: str | None) -> None:
    assert provider_named(said) == meant


def test_a_provider_that_is_known_goes_before_the_models_and_that_before_one_that_is_not() -> None:
    farm = {"ls_provider": "gpu-farm"}
    assert provider("gpt-4o", {*WELL_KNOWN, "gpu-farm"}, farm) == {"provider": "gpu-farm"}
    assert provider("gpt-4o", WELL_KNOWN, farm) == {f"{SUPPOSED}provider": "openai"}
    assert provider("my-model", WELL_KNOWN, farm) == {"provider": "gpu-farm"}
    said = {"apportion.provider": "gpu-farm", "ls_provider": "openai"}
    assert provider("gpt-4o", WELL_KNOWN, said) == {"provider": "gpu-farm"}
    assert provider("gpt-4o", WELL_KNOWN, {}, {"gen_ai.system": "azure"}) == {"provider": "azure"}
    assert provider(None, WELL_KNOWN, {"ls_provider": 5}) == {}


def test_a_name_with_an_id_in_it_supposes_nothing() -> None:
    named = {f"{SUPPOSED}workflow": "chat", f"{SUPPOSED}endpoint_tag": "chat"}
    assert supposed_names(" chat ") == named
    for name in ("agent.f9f77d1a-437f-4ba6-890e-b592a50cbd21", "run 0123456789abcdef", "", None):
        assert supposed_names(name) == {}
    assert supposed_names("x" * 201) == {}


def test_ids_of_frameworks_are_no_providers_ids() -> None:
    for id in ("chatcmpl-AHmxWgRAkoZJCaH30D7gz5t1OCc30", "msg_01XFDUDYJgAACzvnptvVoYEL"):
        assert provider_request_id(id) == id
    for no_id in ("run-123456", "lc_run--1234", "0199-aaaa", None, 5, "msg_x y"):
        assert provider_request_id(no_id) is None


def test_a_tier_that_was_asked_for_may_be_another_that_serves() -> None:
    assert served_tier("Flex") == "flex"
    assert served_tier("auto") is None
    assert served_tier(None) is None


# -------------------------------------------------------------------------------------- estimates

CHAT = [{"role": "user", "content": "How many tokens has this?"}]
INTO, OUT = f"{SUPPOSED}input_tokens", f"{SUPPOSED}output_tokens"


@pytest.mark.parametrize(
    "asked",
    [
        CHAT,
        {"messages": CHAT},
        {"messages": [CHAT]},
        {"messages": [[{"lc": 1, "kwargs": {"content": CHAT[0]["content"], "type": "human"}}]]},
    ],
)
def test_a_chat_is_counted_in_whatever_form_it_was_told(asked: Any) -> None:
    assert estimates("gpt-4o", asked, None) == {INTO: 13}


@pytest.mark.parametrize(
    "answered",
    [
        *("Quite a few.", {"content": "Quite a few."}, [{"text": "Quite a few."}]),
        {"choices": [{"message": {"role": "assistant", "content": "Quite a few."}, "id": "x"}]},
        {"generations": [[{"text": "Quite a few.", "message": {"content": "Quite a few."}}]]},
        {"output": {"kwargs": {"content": [{"type": "text", "text": "Quite a few."}]}}},
    ],
)
def test_an_answer_is_counted_once_in_whatever_form_it_was_told(answered: Any) -> None:
    assert estimates("gpt-4o", None, answered) == {OUT: 4}


def test_prompts_of_any_form_are_counted_by_their_texts() -> None:
    assert estimates("gpt-4o", {"prompts": ["Quite a few."]}, None) == {INTO: 4}
    assert estimates("gpt-4o", {"question": {"deep": "Quite a few."}}, None) == {INTO: 4}
    assert estimates(None, None, None) == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["messages", "content", "kwargs", "text", "x"]), inner)
    ),
    max_leaves=10,
)


@given(JSON, JSON)
def test_whatever_was_asked_and_answered_is_estimated(asked: Any, answered: Any) -> None:
    assert all(count >= 0 for count in estimates("gpt-4o", asked, answered).values())


def test_what_is_nested_without_end_is_cut() -> None:
    deep: Any = "text"
    for _ in range(500):
        deep = {"content": [deep]}
    assert set(estimates("gpt-4o", deep, deep)) == {INTO, OUT}
