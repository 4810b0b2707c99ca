"""Which attribute says what of a call, and in which order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.formats.attribute_map import DEFAULT, MAX_TAGS, prompt_version
from metering.formats.shares import by_tokens, shares_told


@pytest.mark.parametrize(
    ("attributes", "fields"),
    [
        ({"tenant.id": "acme"}, {"tenant_id": "acme"}),
        ({"tenantId": " acme "}, {"tenant_id": "acme"}),
        ({"customer": "globex", "tenant": "acme"}, {"tenant_id": "acme"}),
        ({"tenant_id": 42}, {"tenant_id": "42"}),
        ({"tenant_id": True}, {}),
        ({"tenant_id": ""}, {}),
        ({"tenant_id": {"a": 1}, "customer": "globex"}, {"tenant_id": "globex"}),
        ({"user.id": "u-1", "llm.user": "u-2"}, {"user_id": "u-1"}),
        ({"service.name": "bot"}, {"endpoint_tag": "bot", "tags": {"service": "bot"}}),
        ({"feature": "search", "ai.telemetry.functionId": "f"}, {"endpoint_tag": "search"}),
        ({"traceloop.workflow.name": "w"}, {"endpoint_tag": "w", "workflow": "w"}),
        ({"cost_centre": "CC-1"}, {"cost_center": "CC-1"}),
        ({"costCenter": "CC-1"}, {"cost_center": "CC-1"}),
        ({"deployment.environment.name": "Production"}, {"environment": "prod"}),
        ({"deployment.environment": "qa"}, {"environment": "staging"}),
        ({"langfuse.environment": "default"}, {}),
        ({"environment": "eu-west"}, {"tags": {"environment": "eu-west"}}),
        ({"data_mode": "demo"}, {"data_mode": "demo"}),
        ({"dataMode": "synthetic"}, {"data_mode": "test"}),
        ({"dataMode": "nonsense"}, {}),
        ({"gen_ai.prompt.name": "sum"}, {"prompt_version": "sum"}),
        (
            {"langfuse.observation.prompt.name": "sum", "langfuse.observation.prompt.version": 3},
            {"prompt_version": "sum@3"},
        ),
        ({"langfuse.observation.prompt.version": 3}, {}),
        ({"prompt_version": "sum_v3", "gen_ai.prompt.name": "x"}, {"prompt_version": "sum_v3"}),
        ({"apportion.tag.plan": "gold"}, {"tags": {"plan": "gold"}}),
        ({"gen_ai.prompt": "the text of a prompt", "anything": "else"}, {}),
    ],
)
def test_an_attribute_says_what_its_name_means(
    attributes: dict[str, object], fields: dict[str, Any]
) -> None:
    assert DEFAULT.read(attributes) == fields


def test_the_first_layer_that_tells_a_field_has_it() -> None:
    span = {"customer": "of the span"}
    resource = {"tenant.id": "of the resource", "deployment.environment": "dev"}
    assert DEFAULT.read(span, resource) == {"tenant_id": "of the span", "environment": "dev"}


def test_tags_that_name_a_field_are_it_and_the_others_are_tags() -> None:
    layer = DEFAULT.of_tags(["tenant:acme", "user=ann@example.org", "beta", "plan: gold", "", 7])
    assert DEFAULT.read(layer) == {
        "tenant_id": "acme",
        "user_id": "ann@example.org",
        "tags": {"beta": "true", "plan": "gold", "7": "true"},
    }


def test_a_source_puts_its_own_names_first() -> None:
    own = DEFAULT.preferring({"tenant_id": ["acct"]}, {"squad": "team"})
    assert own.read({"acct": "a", "tenant_id": "b", "squad": "s"}) == {
        "tenant_id": "a",
        "tags": {"team": "s"},
    }
    assert own.read({"tenant_id": "b"}) == {"tenant_id": "b"}
    assert DEFAULT.read({"acct": "a"}) == {}


def test_an_event_holds_so_many_tags() -> None:
    layer = DEFAULT.of_tags([f"tag {n}" for n in range(2 * MAX_TAGS)])
    assert len(DEFAULT.read(layer)["tags"]) == MAX_TAGS


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none() | st.lists(st.text())))
def test_nothing_that_nobody_named_comes_out(attributes: dict[str, object]) -> None:
    unnamed = {
        name: value
        for name, value in attributes.items()
        if name not in DEFAULT.meanings and not name.startswith("apportion.tag.")
    }
    assert DEFAULT.read(unnamed) == {}


def test_a_version_without_its_prompt_says_nothing() -> None:
    assert prompt_version(None, 3) is None
    assert prompt_version("summary", None) == "summary"
    assert prompt_version("summary", 3) == "summary@3"


@pytest.mark.parametrize(
    ("told", "shares"),
    [
        (
            '[{"tenantId":"acme","inputTokens":300,"outputTokens":100}]',
            [{"tenant_id": "acme", "input_tokens": 300, "output_tokens": 100}],
        ),
        (
            [{"tenant_id": "acme", "input_tokens": 3}],
            [{"tenant_id": "acme", "input_tokens": 3, "output_tokens": 0}],
        ),
        (
            '{"acme": 2, "globex": 1}',
            [
                {"tenant_id": "acme", "input_tokens": 7, "output_tokens": 3},
                {"tenant_id": "globex", "input_tokens": 3, "output_tokens": 2},
            ],
        ),
        (
            '[{"tenantId":"a","weight":0.5},{"tenantId":"b","weight":"0.5"}]',
            [
                {"tenant_id": "a", "input_tokens": 5, "output_tokens": 3},
                {"tenant_id": "b", "input_tokens": 5, "output_tokens": 2},
            ],
        ),
        ("{", "this is no JSON"),
        ("7", "shares are a list, or an object of weights by tenant"),
        ('[{"inputTokens":1}]', "a share has no tenantId"),
        ('[{"tenantId":"a","inputTokens":-1}]', "input_tokens of 'a' is no count"),
        ('{"a": "many"}', "the weight of 'a' is no number"),
        ('{"a": 1e400}', "the weight of 'a' is no number that can be divided by"),
        ('{"a": -1}', "the weight of 'a' is -1, below zero"),
        ('{"a": 0}', "10 units cannot be divided over weights that are all zero; name a fallback"),
        (
            '[{"tenantId":"a","weight":1},{"tenantId":"b"}]',
            "some shares have weights and some have tokens; give all of them one or the other",
        ),
    ],
)
def test_shares_by_tokens_and_by_weights(told: object, shares: object) -> None:
    assert by_tokens(shares_told(told), 10, 5) == shares


@given(
    st.dictionaries(st.text(min_size=1).filter(str.strip), st.integers(1, 1000), min_size=1),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
)
def test_weights_divide_all_of_the_tokens(weights: dict[str, int], into: int, out: int) -> None:
    shares = by_tokens(shares_told(weights), into, out)
    assert isinstance(shares, list)
    assert sum(share["input_tokens"] for share in shares) == into
    assert sum(share["output_tokens"] for share in shares) == out


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_shares_of_any_shape_are_read_or_refused(value: object) -> None:
    assert isinstance(by_tokens(shares_told(value), 10, 5), list | str)
