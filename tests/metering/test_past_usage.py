"""Usage read as of an instant is what was read at that instant, whatever came since."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Literal

import pytest
from django.db import connection

from metering import rollups, stored_events
from metering.calls.call_reports import take
from metering.charged_usage import charged_usages
from metering.dispositions import TryOuts, uncount
from metering.domain.call_reports import CallReport
from metering.domain.drivers import DriverQuery
from metering.domain.periods import Month
from metering.driver_readings import driver_readings
from metering.evidence import Selection, evidence
from metering.ingestion import ingest
from metering.past_usage import latest_changes, usage_as_of
from metering.readings import features, metered_cells, usage_digest
from metering.rollups import append_deltas
from tests.metering.calls.call_reports import report
from tests.metering.events import NOON, NOW, call
from tests.metering.test_dispositions import every_kind, rows, totals

OCTOBER = Month.parse("2026-10").period
LATER = NOW + timedelta(hours=1)
TENANTS = ("acme", "globex", "initech")

pytestmark = pytest.mark.django_db


def everything() -> list[Any]:
    """What is read of a month, for whatever purpose."""
    return [
        metered_cells(OCTOBER),
        usage_digest(OCTOBER),
        driver_readings(
            OCTOBER, [DriverQuery("tokens", by="owner_model"), DriverQuery("active_users")]
        ),
        [line for line in features(OCTOBER) if line.requests],
        charged_usages([(tenant, OCTOBER) for tenant in TENANTS]),
        evidence(Selection(period=OCTOBER)),
    ]


def revise(request_id: str, tenant: str) -> None:
    """Let the event belong to another tenant from `LATER` on."""

    def append(sign: Literal[1, -1]) -> None:
        named = "e.external_request_id = %(id)s"
        (event,) = stored_events.read(OCTOBER, named, {"id": request_id}, limit=2)
        append_deltas([(event, event.pseudonym)], sign=sign)

    columns = [
        name
        for (name,) in rows(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'event_revision'::regclass"
            " AND attnum > 0 ORDER BY attnum"
        )
    ]
    said = {"revision": "1", "made_at": "%s", "author": "'x'", "reason": "'x'", "tenant": "%s"}
    append(-1)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO event_revision ({', '.join(columns)})"
            f" SELECT {', '.join(said.get(name, name) for name in columns)} FROM usage_event"
            " WHERE external_request_id = %s",
            [LATER, tenant, request_id],
        )
    append(1)


@pytest.mark.parametrize("between", [lambda: None, rollups.fold], ids=["in tails", "folded"])
def test_as_of_an_instant_readings_are_what_they_were(between: Callable[[], object]) -> None:
    ingest(every_kind(), now=NOW)
    tried = [call("tried", data_mode="test"), call("tried-2", data_mode="test", user_id="bob")]
    ingest(tried, now=NOW)
    ingest([call("moved", user_id="ann")], now=NOW)
    before = everything()
    ingest(every_kind(source="late", endpoint_tag="late"), now=LATER)
    uncount(TryOuts("test", "test"), reason="x", author="", now=LATER)
    revise("moved", "initech")
    between()
    since, in_all = everything(), totals()
    assert all(a != b for a, b in zip(before, since, strict=True))
    with usage_as_of(OCTOBER, NOW):
        assert everything() == before
    assert everything() == since
    assert totals() == in_all
    with usage_as_of(OCTOBER, LATER):
        assert everything() == since


@pytest.mark.parametrize("between", [lambda: None, rollups.fold], ids=["in tails", "folded"])
def test_amended_and_merged_calls_are_what_they_were(between: Callable[[], object]) -> None:
    def told(*reports: CallReport, now: datetime) -> None:
        take(reports, source="sdk", now=now, key_tenant=None)

    told(report(), report("top"), now=NOW)
    ingest([call("app", provider_request_id="x", tenant_id=None)], now=NOW)
    before = everything()
    told(report(fields={"output_tokens": 7}, after=1), now=LATER)
    told(report("leaf", parent_span_id="top"), now=LATER)
    ingest([call("gw", source="gw", provider_request_id="x", output_tokens=9)], now=LATER)
    between()
    assert everything() != before
    with usage_as_of(OCTOBER, NOW):
        assert everything() == before


def test_a_cell_that_came_to_nothing_is_no_cell() -> None:
    ingest([call("real")], now=NOW)
    digest = usage_digest(OCTOBER)
    ingest([call("tried", model="gpt-4o", data_mode="test")], now=NOW)
    assert usage_digest(OCTOBER) != digest
    uncount(TryOuts("test", "test"), reason="x", author="", now=NOW)
    assert usage_digest(OCTOBER) == digest


def test_whose_usage_has_changed_and_when() -> None:
    ingest(every_kind(), now=NOW)
    assert latest_changes(OCTOBER, NOW) == {}
    ingest([every_kind(source="late", tenant_id="umbrella")[8]], now=LATER)
    shared = {"umbrella": LATER, "globex": LATER, "initech": LATER}
    assert latest_changes(OCTOBER, NOW) == shared
    assert latest_changes(OCTOBER, LATER) == {}
    assert latest_changes(Month.parse("2026-09").period, NOW) == {}
    ingest([call("tried", data_mode="test", occurred_at=NOON)], now=NOW)
    uncount(TryOuts("test", "test"), reason="x", author="", now=LATER + timedelta(hours=1))
    assert latest_changes(OCTOBER, NOW) == shared | {"acme": LATER + timedelta(hours=1)}
