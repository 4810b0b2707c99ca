"""What the commands and the explanation say of calls that are open, came late, or were replaced."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.core.management import call_command

from metering.event_search import find_event
from metering.event_story import event_story
from metering.ingestion import ingest
from metering.pricing.explanation import explain
from metering.usage_export import usage_lines
from metering.verification.event_verification import check_month
from tests.metering.calls.call_reports import MODEL
from tests.metering.calls.test_call_reports import OCTOBER, part, told
from tests.metering.calls.test_call_routes import METERED, PLAIN
from tests.metering.events import NOW, call
from tests.metering.test_dispositions import rows


def said(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    call_command(*command)
    return capsys.readouterr().out


@pytest.mark.django_db
def test_open_calls_are_listed_with_what_they_wait_for(capsys: pytest.CaptureFixture[str]) -> None:
    told(part(fields=MODEL))
    assert said(capsys, "open_calls").startswith(
        "test trace t1 span s1 openai gpt-4o-mini: waiting, waiting for usage, since 2026-11-02"
    )
    (listed,) = json.loads(said(capsys, "open_calls", "--json"))["calls"]
    assert (listed["span_id"], listed["reason"]) == ("s1", "waiting_for_usage")
    done = json.loads(said(capsys, "open_calls", "--keep-up", "--json"))
    assert done["kept_up"]["ended"] in (0, 1), "a day has passed since, or not"
    assert said(capsys, "open_calls", "--source", "another") == "No call is open.\n"


@pytest.mark.django_db
def test_the_late_queue_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "late_usage") == "Nothing came after a close.\n"
    assert json.loads(said(capsys, "late_usage", "2026-10", "--json")) == {"late": []}


@pytest.fixture
def merged(db: None) -> str:
    ingest([PLAIN, METERED], now=NOW)
    ((key,),) = rows("SELECT DISTINCT superseded_by::text FROM event_disposition")
    return str(key)


def test_a_merged_event_names_its_origins(merged: str) -> None:
    story = event_story(UUID(merged))
    assert story is not None
    assert {(each.source, each.state) for each in story.in_place_of} == {
        ("app", "merged"),
        ("gateway", "merged"),
    }
    for each in story.in_place_of:
        origin = event_story(each.event_key)
        assert origin is not None
        assert (origin.state, str(origin.superseded_by)) == ("merged", merged)


def test_a_request_that_two_routes_reported_is_explained_by_what_counts(
    merged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert str(find_event("req-1")) == merged
    words = said(capsys, "explain_cost", "req-1")
    assert f"event {merged} (counted)" in words
    assert "(gateway, gw-1): another route reported the same call" in words
    origin = next(e for e in explain(UUID(merged)).story.in_place_of if e.source == "app")
    words = said(capsys, "explain_cost", str(origin.event_key))
    assert f"does not count: another route reported the same call; event {merged} instead" in words
    answer = json.loads(said(capsys, "explain_cost", merged, "--json"))
    assert {each["source"] for each in answer["in_place_of"]} == {"app", "gateway"}


def test_what_took_a_place_must_be_there(
    fresh_db: str, owner_connection: psycopg.Connection
) -> None:
    ingest([PLAIN, METERED], now=NOW)
    ((key,),) = rows("SELECT DISTINCT superseded_by::text FROM event_disposition")
    assert list(check_month(OCTOBER)) == []
    owner_connection.execute("DELETE FROM event_ledger WHERE event_key = %s", [key])
    found = [each.what for each in check_month(OCTOBER) if each.check == "dispositions"]
    assert found == [f"event {key}, which took its place, is not there"] * 2
    owner_connection.execute("UPDATE event_disposition SET superseded_by = NULL")
    found = [each.what for each in check_month(OCTOBER) if each.check == "dispositions"]
    assert found == ["is merged into nothing"] * 2


def test_the_export_lists_what_counts_only(merged: str) -> None:
    ingest([call("plain")], now=NOW)
    exports: list[dict[str, Any]] = [json.loads(line) for line in usage_lines(OCTOBER.period)]
    assert sorted(each["externalRequestId"] for each in exports) == ["plain", "req-1"]
    assert {each["eventKey"] for each in exports} >= {merged}
