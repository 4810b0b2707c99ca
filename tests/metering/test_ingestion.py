"""Once: whatever is resent, reordered, repeated at once or cut off, an event counts once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from django.db import connection, transaction
from django.test import override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metering import ingestion, outcomes
from metering.domain.periods import Month
from metering.domain.usage import Rejection, Share, UsageEvent
from metering.files import file_ingestion
from metering.files.file_ingestion import ingest_file
from metering.files.usage_files import Unit, UnitParser, UsageFile
from metering.ingestion import Books, Intake, ingest
from metering.prepared_events import copy_line
from metering.rollups import USAGE, fold
from metering.verification.event_verification import check_month
from tests.metering.events import NOON, NOW, call

OCTOBER = Month.parse("2026-10")


def kinds(items: list[Any]) -> list[str]:
    return [outcome.outcome for outcome in ingest(items, now=NOW)]


def file_of(units: Iterator[Unit]) -> UsageFile:
    return UsageFile("native", units, UnitParser("native", "test", NOW), size=0)


def line(request_id: str) -> bytes:
    return msgspec.json.encode(
        {
            "externalRequestId": request_id,
            "provider": "openai",
            "model": "gpt-4o-mini",
            "inputTokens": 1,
            "outputTokens": 1,
        }
    )


def counted() -> tuple[int, Decimal]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT coalesce(sum(events), 0), sum(cost) FROM {USAGE.relation()} r")
        n, cost = cursor.fetchone()
        return int(n), cost or Decimal(0)


def stored() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM usage_event")
        return int(cursor.fetchone()[0])


@pytest.mark.django_db
def test_an_accepted_event_is_priced_owned_and_counted() -> None:
    (outcome,) = ingest([call(user_id="u-1")], now=NOW)
    assert outcome.outcome == "accepted"
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT event_key::text, tenant, cost_centre, user_kind, pricing, cost, currency,"
            " lines::text, user_pseudonym IS NOT NULL FROM usage_event"
        )
        key, tenant, centre, kind, pricing, cost, currency, lines, known = cursor.fetchone()
    assert key == outcome.key
    assert (tenant, centre, kind, known) == ("acme", "unallocated", "user", True)
    # gpt-4o-mini: 0.15 in, 0.075 cached, 0.60 out per million tokens
    assert (pricing, cost, currency) == ("priced", Decimal("0.0002475"), "USD")
    assert '["cache_read","300","0.000000075","0.0000225",' in lines
    assert counted() == (1, Decimal("0.0002475"))


@pytest.mark.django_db
def test_each_kind_of_outcome() -> None:
    first = call("a", attempt=1)
    assert (
        kinds(
            [
                first,
                first,
                call("a", attempt=1, output_tokens=7),
                call("a", attempt=2, output_tokens=7),
                call("b", provider="opnai"),
                call("c", occurred_at=NOW - timedelta(days=401)),
                call("d", model="bad\tmodel"),
                Rejection(place="line 9", reason="malformed", message="not JSON"),
            ]
        )
        == ["accepted", "duplicate", "conflict", "accepted"] + ["rejected"] * 4
    )
    assert kinds([first, call("a", attempt=1, output_tokens=8)]) == ["duplicate", "conflict"]
    assert counted()[0] == stored() == 2


@pytest.mark.django_db
def test_a_rejection_says_what_and_how_to_mend_it() -> None:
    unknown, late = ingest(
        [call("b", provider="opnai"), call("c", occurred_at=NOW - timedelta(days=401))], now=NOW
    )
    assert unknown.reason == "unknown_provider"
    assert "'opnai'" in (unknown.message or "")
    assert (unknown.message or "").endswith("; did you mean openai?")
    assert unknown.key == "b"
    assert late.reason == "late"
    assert "LEDGER_HORIZON_DAYS" in (late.message or "")


@pytest.mark.django_db
def test_a_late_event_is_kept_without_naming_the_person() -> None:
    ingest([call("c", occurred_at=NOW - timedelta(days=401), user_id="jane@x.org")], now=NOW)
    with connection.cursor() as cursor:
        cursor.execute("SELECT content::text FROM late_event")
        (content,) = cursor.fetchone()
    assert '"external_request_id":"c"' in content
    assert "jane" not in content


@pytest.mark.django_db
def test_users_are_stored_as_pseudonyms_only() -> None:
    ingest([call("a", user_id="jane@x.org"), call("b", user_id="jane@x.org")], now=NOW)
    ingest([call("c", user_id="jane@x.org"), call("d", anon_id="jane@x.org")], now=NOW)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT user_kind, count(DISTINCT user_pseudonym), count(*) FROM usage_event GROUP BY 1"
        )
        assert sorted(cursor.fetchall()) == [("anonymous", 1, 1), ("user", 1, 3)]
        cursor.execute("SELECT string_agg(e::text, '') FROM usage_event e")
        assert "jane" not in cursor.fetchone()[0]


@pytest.mark.django_db
def test_unknown_is_not_zero() -> None:
    ingest(
        [
            call("a", model="nobody-prices-this"),
            call("b", served_from="caller_cache"),
            call("c", input_tokens=0, cached_input_tokens=0, output_tokens=0),
        ],
        now=NOW,
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT external_request_id, pricing, cost FROM usage_event ORDER BY 1")
        assert [(r, p, c) for r, p, c in cursor.fetchall()][:2] == [
            ("a", "unpriced", None),
            ("b", "free", Decimal(0)),
        ]


@pytest.mark.django_db
def test_a_text_with_a_backslash_arrives_as_sent() -> None:
    tags = {"path": 'C:\\temp\\n "x"', "tab": "a\tb"}
    assert kinds([call("a\\tb", tags=tags)]) == ["accepted"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT external_request_id, tags FROM usage_event")
        request, stored_tags = cursor.fetchone()
    assert (request, stored_tags) == ("a\\tb", tags)
    assert list(check_month(OCTOBER)) == []


SENT = st.lists(
    st.builds(
        lambda n, attempt, tokens, share, minutes: call(
            f"r{n}",
            attempt=attempt,
            output_tokens=tokens,
            occurred_at=NOON + timedelta(minutes=minutes),
            model="gpt-4o" if n % 2 else "nobody-prices-this",
            user_id=f"u{n}",
            shares=(Share(tenant_id="globex", input_tokens=share, output_tokens=tokens),)
            if share
            else (),
        ),
        st.integers(0, 6),
        st.sampled_from([None, 1, 2]),
        st.integers(0, 3),
        st.sampled_from([0, 0, 333]),
        st.integers(0, 2000),
    ),
    max_size=25,
)


@pytest.mark.django_db
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SENT, st.integers(1, 7))
def test_however_it_is_sent_the_first_of_each_key_counts_once(
    sent: list[UsageEvent], batch_size: int
) -> None:
    before, base = stored(), counted()[0]
    tagged = [call_again(e, before) for e in sent]
    batches = [tagged[i : i + batch_size] for i in range(0, len(tagged), batch_size)]
    results = [[kind for batch in batches for kind in kinds(batch)] for _ in range(2)]
    assert [len(r) for r in results] == [len(sent)] * 2
    assert "accepted" not in results[1]
    assert stored() - before == counted()[0] - base == results[0].count("accepted")
    fold()
    assert list(check_month(OCTOBER)) == []


def call_again(event: UsageEvent, salt: int) -> UsageEvent:
    """The same call under a source of its own, so that examples do not meet each other."""
    return msgspec.structs.replace(event, source=f"example-{salt}")


def test_many_senders_of_the_same_events_at_once(fresh_db: str) -> None:
    events = [call(f"r{i}", user_id=f"u{i % 7}") for i in range(300)]
    books = Books.load()
    start = threading.Barrier(4)
    results: list[list[str]] = []

    def send(mine: list[UsageEvent]) -> None:
        try:
            start.wait()
            for i in range(0, len(mine), 50):
                outcomes = ingest(mine[i : i + 50], now=NOW, books=books)
                results.append([o.outcome for o in outcomes])
        finally:
            connection.close()

    threads = [
        threading.Thread(target=send, args=(events[:: (1 if n % 2 else -1)],)) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    flat = [kind for result in results for kind in result]
    assert len(flat) == 1200
    assert flat.count("accepted") == 300
    assert flat.count("duplicate") == 900
    assert counted()[0] == stored() == 300
    assert list(check_month(OCTOBER)) == []


@pytest.mark.parametrize("cut_at", ["_insert", "BatchDeltas", "store_shares"])
def test_a_batch_that_is_cut_off_has_not_happened(
    fresh_db: str, monkeypatch: pytest.MonkeyPatch, cut_at: str
) -> None:
    events = [call(f"r{i}", user_id="u") for i in range(10)]

    def cut(*_args: object, **_kwargs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(ingestion, cut_at, cut)
        with pytest.raises(KeyboardInterrupt):
            ingest(events, now=NOW)
    assert stored() == 0
    assert counted()[0] == 0
    assert kinds(list(events)) == ["accepted"] * 10


@pytest.mark.django_db
def test_a_file_is_read_a_block_ahead_not_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_ingestion, "BLOCK", 10)
    asked = 0
    furthest: list[int] = []

    def source() -> Iterator[Unit]:
        nonlocal asked
        for i in range(100):
            asked += 1
            yield Unit(f"line {i}", line(f"r{i}"))

    ingest_file(
        file_of(source()),
        now=NOW,
        workers=1,
        on_progress=lambda result: furthest.append(asked - result.accepted),
    )
    assert max(furthest) <= 20


@pytest.mark.django_db
def test_each_block_of_a_long_file_is_received_when_it_is_taken_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(file_ingestion, "BLOCK", 10)
    begun = datetime.now(UTC)
    units = (Unit(f"line {i}", line(f"r{i}")) for i in range(30))
    with override_settings(LEDGER_HORIZON_DAYS=36_500):  # whatever the machine's clock says
        ingest_file(file_of(units), now=None, workers=1)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT received_at), min(received_at) FROM usage_event")
        times, first = cursor.fetchone()
    assert times == 3
    assert first > begun


@pytest.mark.django_db
def test_problems_are_kept_up_to_a_bound_and_told_in_full() -> None:
    heard: list[int] = []
    bad = (
        Unit(f"line {i}", Rejection(place=f"line {i}", reason="malformed", message="x"))
        for i in range(1500)
    )
    result = ingest_file(file_of(bad), now=NOW, on_outcome=lambda o: heard.append(o.index))
    assert result.rejected == 1500
    assert len(result.problems) == outcomes.KEPT_OUTCOMES
    assert heard == list(range(1500))


@pytest.mark.django_db
def test_what_may_have_been_meant_is_looked_for_a_few_times_a_batch() -> None:
    found = ingest([call(f"r{i}", provider=f"opnai{i // 2}") for i in range(100)], now=NOW)
    said = ["did you mean" in (outcome.message or "") for outcome in found]
    assert said == [True] * 2 * ingestion.HINTS + [False] * (100 - 2 * ingestion.HINTS)


def test_partitions_asked_for_at_once_are_made_once(fresh_db: str) -> None:
    """Each of several senders looks for the same new days before any of them has made one."""
    books = Books.load()
    start = threading.Barrier(4)
    failures: list[BaseException] = []

    def send(sender: int) -> None:
        try:
            for month in range(1, 9):
                days = [NOON.replace(month=month, day=d, hour=sender) for d in range(1, 13)]
                events = [call(f"{sender}-{d}", occurred_at=d) for d in days]
                start.wait(60)
                ingest(events, now=NOW, books=books)
        except BaseException as error:
            failures.append(error)
            start.abort()
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert failures == []
    assert stored() == 4 * 8 * 12


@pytest.mark.parametrize("joins", [False, True], ids=["alone", "in a transaction"])
def test_who_makes_a_day_of_a_file_keeps_nobody_from_making_another(
    fresh_db: str, monkeypatch: pytest.MonkeyPatch, *, joins: bool
) -> None:
    """The partitions are made before the batch's transaction, unless there is one already."""
    held: list[int] = []

    def looking(*arguments: Any) -> str:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_locks"
                " WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
            )
            held.append(cursor.fetchone()[0])
        return copy_line(*arguments)

    monkeypatch.setattr(ingestion, "copy_line", looking)
    intake = Intake(Books.load(), NOW)
    days = [NOON.replace(month=2, day=day) for day in (1, 2)]
    with transaction.atomic() if joins else nullcontext():
        for day in days:
            accepted, others = intake.take([call(f"{day:%d}", occurred_at=day)])
            assert (accepted, others) == (1, [])
    assert [bool(locks) for locks in held] == [joins] * 2
    assert stored() == 2
