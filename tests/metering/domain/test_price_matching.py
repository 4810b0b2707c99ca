"""Finding the listed model that a call means."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.price_matching import (
    Clause,
    InvalidClause,
    ListedModel,
    ListedProvider,
    Matched,
    PriceList,
    known_providers,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def models(*names: str) -> tuple[ListedModel, ...]:
    return tuple(ListedModel(name, Clause("starts_with", name)) for name in names)


LIST = PriceList(
    NOON,
    "list",
    (
        ListedProvider(
            "openai",
            models("gpt-5.2-2025-12-11", "gpt-5.2", "gpt-4o"),
            provider_match=Clause("contains", "openai"),
            model_match=Clause("starts_with", "gpt-"),
        ),
        ListedProvider("azure", models("phi"), fallbacks=("aws", "openai")),
        ListedProvider("aws", models("nova"), fallbacks=("openai",)),
        ListedProvider("google", models("gemini")),
    ),
)


@pytest.mark.parametrize(
    ("provider", "model", "found"),
    [
        ("openai", "GPT-4o-2024-08-06", ("openai", "gpt-4o", False)),
        ("OpenAI ", "gpt-4o", ("openai", "gpt-4o", False)),
        ("my-openai-proxy", "gpt-4o", ("openai", "gpt-4o", False)),
        ("openai", "gpt-5.2-20251211", ("openai", "gpt-5.2", False)),
        ("azure", "phi-4", ("azure", "phi", False)),
        ("azure_openai", "gpt-4o", ("openai", "gpt-4o", True)),
        ("azure", "nova-1", ("aws", "nova", True)),
        ("vertex", "gemini-9", ("google", "gemini", False)),
        ("gcp.gen_ai", "gemini-9", ("google", "gemini", False)),
        ("bedrock", "nova", ("aws", "nova", False)),
        ("litellm", "azure/gpt-4o", ("openai", "gpt-4o", True)),
        ("litellm", "gpt-4o", ("openai", "gpt-4o", False)),
    ],
)
def test_a_model_is_found(provider: str, model: str, found: tuple[str, str, bool]) -> None:
    assert LIST.match(provider, model) == Matched(*found)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "claude"),
        ("nobody", "gpt-4o"),
        ("google", "gpt-4o"),
        ("litellm", "claude"),
        ("litellm", "nobody/claude"),
    ],
)
def test_a_model_that_is_not_listed_is_not_guessed(provider: str, model: str) -> None:
    assert LIST.match(provider, model) is None


def test_a_compact_date_is_tried_dashed_only_where_the_name_as_it_is_fails() -> None:
    dashed = (ListedModel("new", Clause("equals", "m-2025-12-11")),)
    rules = PriceList(NOON, "list", (ListedProvider("acme", dashed),))
    assert rules.match("acme", "m-20251211") == ("acme", "new", False)
    assert rules.match("acme", "m-20251331") is None
    compact = (ListedModel("old", Clause("equals", "m-20251211")), *dashed)
    rules = PriceList(NOON, "list", (ListedProvider("acme", compact),))
    assert rules.match("acme", "m-20251211") == ("acme", "old", False)


def test_a_fallback_goes_one_step() -> None:
    chain = (
        ListedProvider("a", (), fallbacks=("b",)),
        ListedProvider("b", (), fallbacks=("c",)),
        ListedProvider("c", models("m")),
    )
    rules = PriceList(NOON, "list", chain)
    assert rules.match("b", "m") == ("c", "m", True)
    assert rules.match("a", "m") is None


@pytest.mark.parametrize(
    "written",
    [{}, {"equals": "a", "contains": "b"}, {"sounds_like": "a"}, {"equals": 3}, {"regex": "("}],
)
def test_a_clause_that_is_none_is_refused(written: dict[str, object]) -> None:
    with pytest.raises(InvalidClause):
        Clause.from_json(written)


texts = st.text("aB-1.", max_size=3)
clauses = st.recursive(
    st.builds(Clause, st.sampled_from(["equals", "starts_with", "ends_with", "contains"]), texts)
    | st.builds(Clause, st.just("regex"), st.sampled_from(["^a", "b$", "[.]1"])),
    lambda inner: st.builds(
        lambda kind, parts: Clause(kind, clauses=tuple(parts)),
        st.sampled_from(["and", "or"]),
        st.lists(inner, max_size=3),
    ),
)


@given(clauses, texts)
def test_a_clause_written_down_matches_what_it_did(clause: Clause, name: str) -> None:
    again = Clause.from_json(clause.as_json())
    assert again == clause
    assert again.matches(name.lower()) == clause.matches(name.lower())


def test_known_providers_are_our_names_and_the_lists() -> None:
    known = known_providers([LIST])
    assert {"gemini", "bedrock", "azure", "openai", "google", "x-ai", "vertex"} <= known
    assert "nobody" not in known
