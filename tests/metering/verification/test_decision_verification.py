"""Of what was decided of an event nothing can be taken away, moved or put between unseen."""

from __future__ import annotations

import psycopg
import pytest

from metering.dispositions import TryOuts, uncount
from metering.domain.periods import Month
from metering.ingestion import ingest
from metering.verification import decision_verification
from tests.metering.events import NOW, call

OCTOBER = Month.parse("2026-10").period


@pytest.fixture
def key(fresh_db: str, owner_connection: psycopg.Connection) -> str:
    """An uncounted event, as if it had been valued anew twice."""
    (outcome,) = ingest([call("a", data_mode="test")], now=NOW)
    uncount(TryOuts("test", "test"), reason="tidied up", author="key x", now=NOW)
    owner_connection.execute(
        "INSERT INTO event_revision SELECT event_key, n, occurred_at, received_at, 'x', 'y',"
        " user_pseudonym, user_kind, tenant, cost_centre, owner_route, pricing, pricing_reason,"
        " cost, currency, lines, value_digest FROM usage_event, generate_series(1, 2) n"
    )
    assert found() == []
    return str(outcome.key)


def found() -> list[tuple[str, str]]:
    checks = (
        decision_verification.ledger,
        decision_verification.dispositions,
        decision_verification.revisions,
    )
    return [(f.where, f.what) for check in checks for f in check(OCTOBER)]


@pytest.mark.parametrize(
    ("change", "where", "what"),
    [
        ("DELETE FROM event_revision WHERE revision = 1", "revision 2", "it is in place 1"),
        ("UPDATE event_disposition SET sequence = 2", "disposition 2", "it is in place 1"),
        ("DELETE FROM usage_event", "", "its key is claimed but the event is gone"),
        ("DELETE FROM event_ledger", "", "the event is there but its key was never claimed"),
        (
            "UPDATE event_ledger SET occurred_at = occurred_at + interval '1 day'",
            "",
            "it occurred at 2026-10-03T12:00:00+00:00, its key says 2026-10-04T12:00:00+00:00",
        ),
        (
            "UPDATE event_disposition SET state = 'superseded'",
            "disposition 1",
            "nothing is said to have taken its place",
        ),
        (
            "UPDATE event_disposition SET superseded_by = gen_random_uuid()",
            "disposition 1",
            "is uncounted, and something is said to have taken its place",
        ),
    ],
)
def test_a_tampered_decision_is_named(
    key: str, owner_connection: psycopg.Connection, change: str, where: str, what: str
) -> None:
    owner_connection.execute(change)
    assert (f"event {key} {where}".strip(), what) in found()
