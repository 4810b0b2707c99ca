"""Lago's own Python client against a running server: what it sends, and what it can read of us."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import lago_python_client as lago
import pytest
from lago_python_client import exceptions, models

from metering.api_keys import create
from tests.metering.api.keys import rows
from tests.serving import Server

pytestmark = pytest.mark.outside


@pytest.fixture
def client(server: Server) -> Any:
    _, key = create("lago", "ingest", source="lago", now=datetime.now(UTC))
    return lago.Client(api_key=key, api_url=f"{server.url}/lago/")


def event(number: int, **different: Any) -> Any:
    plain: dict[str, Any] = {
        "transaction_id": f"txn-{number}",
        "external_subscription_id": "sub_42",
        "code": "ai_tokens",
        "timestamp": int(datetime.now(UTC).timestamp()),
        "properties": {"model": "gpt-4o-mini", "input_tokens": 540, "output_tokens": 180},
    }
    return models.Event(**{**plain, **different})


def test_an_event_is_created_and_read_back(client: Any) -> None:
    created = client.events.create(event(1, precise_total_amount_cents="12.5"))
    assert (created.transaction_id, created.external_subscription_id) == ("txn-1", "sub_42")
    assert created.precise_total_amount_cents == "12.5"
    assert created.properties["input_tokens"] == 540
    assert rows("SELECT event_key::text, tenant, input_tokens, pricing FROM usage_event") == [
        (created.lago_id, "sub_42", 540, "priced")
    ]


def test_a_batch_is_all_or_nothing(client: Any) -> None:
    client.events.batch_create(models.BatchEvent(events=[event(1), event(2, timestamp=None)]))
    assert rows("SELECT count(*) FROM usage_event") == [(2,)]
    with pytest.raises(exceptions.LagoApiError) as refused:
        client.events.batch_create(models.BatchEvent(events=[event(3), event(2)]))
    assert refused.value.status_code == 422
    assert refused.value.response["error_details"] == {
        "1": {"transaction_id": ["value_already_exist"]}
    }
    assert rows("SELECT count(*) FROM usage_event") == [(2,)]
    with pytest.raises(exceptions.LagoApiError) as refused:
        client.events.batch_create(models.BatchEvent(events=[]))
    assert refused.value.response["error_details"] == {"events": ["no_events"]}


def test_a_resend_and_a_bad_event_are_told_in_its_words(client: Any) -> None:
    client.events.create(event(1))
    with pytest.raises(exceptions.LagoApiError) as refused:
        client.events.create(event(1))
    assert refused.value.response["error_details"] == {"transaction_id": ["value_already_exist"]}
    with pytest.raises(exceptions.LagoApiError) as refused:
        client.events.create(event(2, properties={"api_calls": 1}))
    assert refused.value.response["error_details"] == {"properties": ["missing_field"]}
    assert "model" in refused.value.response["message"]


def test_a_wrong_key_is_unauthorised(server: Server) -> None:
    stranger = lago.Client(api_key="nobody", api_url=f"{server.url}/lago/")
    with pytest.raises(exceptions.LagoApiError) as refused:
        stranger.events.create(event(1))
    assert refused.value.status_code == 401
    assert refused.value.response == {"status": 401, "error": "Unauthorized"}


def test_an_event_is_not_said_to_be_missing_where_it_cannot_be_read_back(client: Any) -> None:
    client.events.create(event(1))
    with pytest.raises(exceptions.LagoApiError) as refused:
        client.events.find("txn-1")
    assert refused.value.status_code == 405
    assert "value_already_exist" in refused.value.response["message"]
    with pytest.raises(exceptions.LagoApiError) as refused:
        client.customers.find("acme")
    assert refused.value.response["error"] == "Not Found"
