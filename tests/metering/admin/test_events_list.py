"""The list of events: a day at a time, found through the ledger, never counted as a whole."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from metering.admin import event_days
from metering.admin.paginator import PAGES, BoundedPaginator
from metering.ingestion import ingest
from metering.models import UsageEvent
from tests.admin_pages import browser, page_of, person, text
from tests.metering.events import NOW, call

pytestmark = pytest.mark.django_db

LIST = reverse("admin:metering_usageevent_changelist")


def on(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 10, day, hour, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _usage() -> None:
    ingest(
        [
            call("monday", occurred_at=on(5)),
            call("morning", occurred_at=on(6, 8), tenant_id="globex"),
            call("evening", occurred_at=on(6, 20), model="no-such-model"),
        ],
        now=NOW,
    )


def listed(**query: str) -> list[str]:
    response = browser(person("v", "viewer")).get(LIST, query)
    assert response.status_code == 200
    return [row.external_request_id for row in response.context["cl"].result_list]


def test_the_latest_day_with_usage_is_listed_in_order_of_time() -> None:
    assert listed() == ["morning", "evening"]


def test_a_day_is_chosen() -> None:
    assert listed(day="2026-10-05") == ["monday"]
    assert listed(day="2026-10-04") == []


def test_a_day_is_narrowed_by_tenant_model_and_pricing() -> None:
    assert listed(tenant="globex") == ["morning"]
    assert listed(model="no-such-model") == ["evening"]
    assert listed(pricing="unpriced") == ["evening"]


def test_an_event_is_found_by_its_key_on_whatever_day() -> None:
    event = UsageEvent.objects.get(external_request_id="monday")
    assert listed(q=str(event.event_key)) == ["monday"]
    assert listed(q=str(uuid4())) == []


def test_a_request_id_is_found_on_the_chosen_day() -> None:
    assert listed(q="evening") == ["evening"]
    assert listed(q="monday") == []


def test_a_very_full_day_is_listed_in_order_of_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metering.admin.events.BY_TIME_UP_TO", 1)
    keys = {row.external_request_id: row.event_key for row in UsageEvent.objects.all()}
    assert listed() == sorted(["morning", "evening"], key=lambda name: keys[name])


def test_every_query_for_events_is_of_one_day_and_bounded() -> None:
    client = browser(person("v", "viewer"))
    with CaptureQueriesContext(connection) as asked:
        client.get(LIST)
    of_events = [q["sql"] for q in asked if 'FROM "usage_event"' in q["sql"]]
    assert of_events
    for query in of_events:
        assert '"occurred_at" >=' in query
        assert '"occurred_at" <' in query
        assert "LIMIT" in query or "ORDER BY" in query


def test_an_events_page_asks_one_day_too() -> None:
    event = UsageEvent.objects.get(external_request_id="monday")
    client = browser(person("v", "viewer"))
    with CaptureQueriesContext(connection) as asked:
        page = text(client.get(page_of(event)))
    assert "openai" in page
    for query in (q["sql"] for q in asked):
        if "usage_event" in query:
            assert "occurred_at" in query.split("WHERE")[1]


def test_a_key_that_no_event_has_leads_nowhere() -> None:
    client = browser(person("v", "viewer"))
    for key in (str(uuid4()), "no-key"):
        url = reverse("admin:metering_usageevent_change", args=[key])
        assert client.get(url).status_code == 302


def test_an_unpriced_event_says_so_and_shows_no_cost() -> None:
    event = UsageEvent.objects.get(external_request_id="evening")
    page = text(browser(person("v", "viewer")).get(page_of(event)))
    assert "the call is unpriced" in page
    assert "0.00 <span" not in page


def test_days_are_those_that_have_events() -> None:
    assert event_days.days_with_usage(on(31).date())[:2] == [on(6).date(), on(5).date()]
    assert event_days.events_of(on(6).date()) == 2


def test_a_paginator_counts_no_further_than_its_pages() -> None:
    rows = list(range(3 * PAGES))
    short, long = BoundedPaginator(rows[:5], 2), BoundedPaginator(rows, 2)
    assert (short.count, short.num_pages) == (5, 3)
    assert long.num_pages == PAGES
    assert list(long.page(PAGES).object_list) == rows[2 * (PAGES - 1) : 2 * PAGES]
