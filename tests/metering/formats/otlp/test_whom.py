"""Whom a span's call is for: in its attributes, around it, by a source's own names, in shares."""

from __future__ import annotations

import json

import pytest

from metering.domain.call_reports import CallReport
from metering.formats.attribute_map import DEFAULT
from tests.metering.formats.otlp.requests import (
    CHAT,
    a_span,
    export,
    read,
    refused,
    report,
)


@pytest.mark.parametrize(
    ("attributes", "fields"),
    [
        ({"traceloop.association.properties.tenant_id": "acme"}, {"tenant_id": "acme"}),
        ({"langfuse.trace.metadata.tenant": '"acme"'}, {"tenant_id": "acme"}),
        ({"langfuse.observation.metadata.cost_center": "CC-7"}, {"cost_center": "CC-7"}),
        ({"ai.telemetry.metadata.userId": "u-1"}, {"user_id": "u-1"}),
        ({"ai.telemetry.functionId": "summarise"}, {"endpoint_tag": "summarise"}),
        ({"metadata": '{"tenant_id": "acme", "data_mode": "test"}'}, {"tenant_id": "acme"}),
        ({"metadata": {"tenant_id": "acme"}}, {"tenant_id": "acme"}),
        ({"langsmith.metadata.tenant_id": "acme"}, {"tenant_id": "acme"}),
        ({"langfuse.trace.tags": ["tenant:acme"]}, {"tenant_id": "acme"}),
        ({"tag.tags": '["customer=acme", "rag"]'}, {"tenant_id": "acme", "tags": {"rag": "true"}}),
        ({"langsmith.span.tags": "tenant:acme, plan:gold"}, {"tags": {"plan": "gold"}}),
        ({"apportion.tag.team": "growth"}, {"tags": {"team": "growth"}}),
        (
            {"langfuse.observation.prompt.name": "p", "langfuse.observation.prompt.version": 3},
            {"prompt_version": "p@3"},
        ),
        ({"traceloop.prompt.key": "p", "traceloop.prompt.version": "2"}, {"prompt_version": "p@2"}),
        ({"langfuse.trace.name": "chat-with-docs"}, {"~~endpoint_tag": "chat-with-docs"}),
        (
            {"gen_ai.agent.name": "helper"},
            {"~~endpoint_tag": "helper", "tags": {"agent": "helper"}},
        ),
    ],
)
def test_whom_a_call_is_for_stands_in_many_places(
    attributes: dict[str, object], fields: dict[str, object]
) -> None:
    found = report(CHAT | attributes).fields
    assert {name: found.get(name) for name in fields} == fields


def test_the_span_goes_before_the_program_around_it() -> None:
    program = {"tenant.id": "of the program", "service.name": "web", "team": "core"}
    fields = report(CHAT | {"metadata": '{"customer": "of the span"}'}, resource=program).fields
    assert fields["tenant_id"] == "of the span"
    assert fields["tags"] == {"service": "web", "team": "core"}
    assert report(CHAT, resource=program).fields["~~tenant_id"] == "of the program"


def test_a_source_has_its_own_names() -> None:
    own = DEFAULT.preferring({"tenant_id": ["acct.key"], "cost_center": ["acct.cc"]})
    told = {"acct.key": "a", "metadata.acct.cc": "CC-1", "tenant.id": "b"}
    [item] = read(export(a_span(CHAT | told)), attributes=own)
    assert isinstance(item, CallReport)
    assert (item.fields["tenant_id"], item.fields["cost_center"]) == ("a", "CC-1")


def test_shares_by_weight_become_tokens_of_the_call() -> None:
    fields = report(CHAT | {"apportion.shares": '{"acme": 3, "globex": 1}'}).fields
    assert fields["shares"] == [
        {"tenantId": "acme", "inputTokens": 750, "outputTokens": 150},
        {"tenantId": "globex", "inputTokens": 250, "outputTokens": 50},
    ]
    usage = {"langfuse.observation.usage_details": '{"input": 70, "output": 30}'}
    told = {"langfuse.observation.type": "generation", "apportion.shares": '{"a": 1}', **usage}
    assert report(told).fields["shares"] == [
        {"tenantId": "a", "inputTokens": 70, "outputTokens": 30}
    ]


def test_shares_of_hundreds() -> None:
    weights = {f"tenant-{n}": n for n in range(1, 701)}
    shares = report(CHAT | {"apportion.shares": json.dumps(weights)}).fields["shares"]
    assert len(shares) == 700
    assert sum(share["inputTokens"] for share in shares) == 1000


def test_shares_that_cannot_be_read_are_not_left_out() -> None:
    found = refused(a_span(CHAT | {"apportion.shares": '{"acme": "many"}'}))
    assert found.reason == "unreadable_shares"
    assert "weight of 'acme'" in found.message
