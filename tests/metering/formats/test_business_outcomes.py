"""Business outcomes on the wire, in our shape and as CloudEvents."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.business_outcomes import BusinessOutcome, content_digest
from metering.domain.usage import Rejection
from metering.formats import business_outcomes
from tests.metering.formats.anything import spoilings, values
from tests.metering.formats.test_garbage import MONSTERS

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TOLD: dict[str, Any] = {
    "outcomeId": "ticket-7",
    "outcome": "ticket_resolved",
    "occurredAt": "2026-10-03T12:00:00+02:00",
    "tenantId": "acme",
    "endpointTag": "support.answer",
    "traceId": "trace-1",
    "tags": {"channel": "mail"},
}
CLOUD: dict[str, Any] = {
    "specversion": "1.0",
    "id": "7",
    "source": "/helpdesk",
    "type": "ticket.resolved",
    "subject": "acme",
    "time": "2026-10-03T10:00:00Z",
    "data": {"feature": "support.answer", "request_id": "req-1", "quantity": "2", "text": "hello"},
    "costcenter": "CC-1",
}


def parse(sent: object) -> BusinessOutcome | Rejection:
    payload = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    return business_outcomes.parse(payload, place="index 3", source="helpdesk", received_at=NOW)


def outcome(sent: object) -> BusinessOutcome:
    found = parse(sent)
    assert isinstance(found, BusinessOutcome), found
    return found


def test_our_own_shape() -> None:
    assert outcome(TOLD) == BusinessOutcome(
        source="helpdesk",
        outcome_id="ticket-7",
        kind="ticket_resolved",
        quantity=Decimal(1),
        occurred_at=datetime(2026, 10, 3, 10, tzinfo=UTC),
        time_reported=True,
        tenant_id="acme",
        endpoint_tag="support.answer",
        trace_id="trace-1",
        tags={"channel": "mail"},
    )
    least = outcome({"outcomeId": "1", "outcome": "email_sent", "tenantId": None, "workflow": ""})
    assert (least.occurred_at, least.time_reported) == (NOW, False)
    assert (least.tenant_id, least.workflow) == (None, None)


def test_a_cloud_event() -> None:
    found = outcome(CLOUD)
    assert (found.outcome_id, found.kind, found.quantity) == (
        "/helpdesk 7",
        "ticket.resolved",
        Decimal(2),
    )
    assert (found.tenant_id, found.endpoint_tag) == ("acme", "support.answer")
    assert (found.external_request_id, found.cost_center) == ("req-1", "CC-1")
    assert "hello" not in repr(found)
    assert outcome({**CLOUD, "subject": None}).tenant_id is None


def test_a_resend_at_another_time_is_the_same() -> None:
    again = outcome({**TOLD, "occurredAt": None})
    assert content_digest(again) == content_digest(outcome(TOLD))
    assert content_digest(outcome({**TOLD, "quantity": 2})) != content_digest(outcome(TOLD))
    assert content_digest(outcome({**TOLD, "quantity": "1.0"})) == content_digest(outcome(TOLD))


@pytest.mark.parametrize(
    ("different", "reason"),
    [
        ({"outcomeId": ""}, "missing_field"),
        ({"outcome": None}, "missing_field"),
        ({"userId": "jane"}, "unknown_field"),
        ({"quantity": 0}, "quantity"),
        ({"quantity": -1}, "quantity"),
        ({"quantity": "NaN"}, "quantity"),
        ({"quantity": 0.0000000001}, "quantity"),
        ({"quantity": 10**13}, "quantity"),
        ({"occurredAt": "2026-11-25T00:00:00Z"}, "future_time"),
        ({"occurredAt": "1999-11-25T00:00:00Z"}, "past_time"),
        ({"occurredAt": "2026-10-03T12:00:00"}, "time_without_zone"),
        ({"dataMode": "maybe"}, "invalid_value"),
        ({"tenantId": "ac\u200bme"}, "invisible_character"),
        ({"tags": {"a": "\x00"}}, "control_character"),
        ({"specversion": "0.3"}, "specversion"),
    ],
)
def test_refusals(different: dict[str, Any], reason: str) -> None:
    found = parse({**TOLD, **different})
    assert isinstance(found, Rejection), found
    assert found.reason == reason
    assert found.place.startswith("index 3")


@given(st.sampled_from(sorted({*TOLD, *CLOUD, "quantity"})), values, st.booleans())
def test_anything_in_any_place(name: str, value: Any, cloud: bool) -> None:  # noqa: FBT001 - drawn
    found = parse({**(CLOUD if cloud else TOLD), name: value})
    assert isinstance(found, BusinessOutcome | Rejection)


@given(st.one_of(spoilings({**TOLD, "quantity": 2}), spoilings(CLOUD)))
def test_anything_in_any_depth(payload: bytes) -> None:
    found = parse(payload)
    assert isinstance(found, BusinessOutcome | Rejection)
    if isinstance(found, BusinessOutcome):
        assert 0 < found.quantity <= business_outcomes.MAX_QUANTITY
        for text in (found.outcome_id, found.kind, found.tenant_id or "", *found.tags.values()):
            assert "\0" not in text
            text.encode()


@pytest.mark.parametrize("monster", MONSTERS)
def test_monsters(monster: str) -> None:
    assert isinstance(parse(MONSTERS[monster]), Rejection)
