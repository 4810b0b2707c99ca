"""Messages of calls that are committed together come to what each would come to alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any

import msgspec
import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metering import api_keys, report_intake
from metering.api_keys import KeyFacts, KeyRefused
from metering.domain.call_reports import CallReport
from metering.domain.usage import Rejection
from metering.group_commit import GroupCommit
from metering.ingestion import Books
from metering.report_intake import Message, Taken, take_message
from tests.metering.calls.call_reports import MODEL, USED, report
from tests.metering.events import NOON
from tests.metering.test_dispositions import rows

pytestmark = pytest.mark.usefixtures("db", "lasting_horizon")

NUMBERS = count()
CALL = {**MODEL, **USED, "occurred_at": NOON.isoformat()}
Items = Sequence[CallReport | Rejection]


def key_of(name: str, tenant: str | None = None) -> KeyFacts:
    """A key whose calls are booked under a source of its own."""
    source = f"{name} {next(NUMBERS)}"
    now = datetime.now(UTC)
    _, known = api_keys.create(source, "ingest", tenant, source=source, now=now)
    return api_keys.authenticate(known, "ingest", now)


def message(key: KeyFacts, *items: CallReport | Rejection) -> Message:
    """A message by that key, in traces that no other key's are taken for."""
    named = [
        msgspec.structs.replace(item, trace_id=f"{item.trace_id} of {key.source}")
        if isinstance(item, CallReport)
        else item
        for item in items
    ]
    return Message(key, lambda *_: named, len(named))


def span(trace: str, name: str, **different: Any) -> CallReport:
    return report(name, trace_id=trace, **different)


def told(answer: object) -> list[tuple[int, str, str | None]]:
    assert isinstance(answer, Taken), answer
    return [(each.index, each.outcome, each.reason) for each in answer.outcomes]


def counted(key: KeyFacts) -> list[tuple[Any, ...]]:
    """The key's events that count, without what tells its traces from another key's."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT split_part(external_request_id, ' of ', 1), split_part(event_id, '/', 2),"
            " tenant, endpoint_tag, input_tokens, output_tokens, cost FROM usage_event e"
            " WHERE source = %s AND NOT EXISTS (SELECT FROM (SELECT DISTINCT ON (event_key) *"
            "  FROM event_disposition ORDER BY event_key, sequence DESC) d"
            "  WHERE d.event_key = e.event_key AND d.state <> 'counted') ORDER BY 1, 2, 3, 4, 5, 6",
            [key.source],
        )
        return list(cursor.fetchall())


def test_each_message_is_told_its_own() -> None:
    shop, acme = key_of("shop"), key_of("acme", tenant="acme")
    unread = Rejection(place="spans[0]", reason="invalid_id", message="no id")
    answers = report_intake._perform(
        [
            message(shop, span("t1", "a"), unread, span("t2", "b", fields=MODEL, ended=None)),
            message(acme, unread, span("t1", "a", fields={**CALL, "tenant_id": "globex"})),
            message(acme, span("t2", "a")),
            message(shop),
        ]
    )
    assert [told(each) for each in answers] == [
        [
            (0, "accepted", None),
            (1, "rejected", "invalid_id"),
            (2, "accepted", "waiting_for_usage"),
        ],
        [(0, "rejected", "invalid_id"), (1, "rejected", "foreign_tenant")],
        [(0, "accepted", None)],
        [],
    ]
    assert [each[2] for each in counted(acme)] == ["acme"]
    assert len(counted(shop)) == 1


def test_messages_are_stored_by_one_transaction_unless_they_tell_of_one_trace() -> None:
    key = key_of("shop")
    first = [message(key, span(trace, "a")) for trace in ("t1", "t2", "t1", "t3")]
    assert [told(each) for each in report_intake._perform(first)] == [
        [(0, "accepted", None)],
        [(0, "accepted", None)],
        [(0, "duplicate", None)],
        [(0, "accepted", None)],
    ]
    other = message(key, span("t4", "a"))
    report_intake._perform([other])
    named = f"FROM usage_event WHERE source = '{key.source}' GROUP BY xmin::text ORDER BY 1"
    assert rows(f"SELECT count(*) {named}") == [(1,), (3,)]


def test_a_key_that_is_refused_refuses_its_own_messages_only() -> None:
    good, ended = key_of("good"), key_of("ended")
    api_keys.revoke(ended.id, now=datetime.now(UTC))
    first, second, third = report_intake._perform(
        [message(ended, span("t1", "a")), message(good, span("t1", "a")), message(ended)]
    )
    assert isinstance(first, KeyRefused)
    assert told(second) == [(0, "accepted", None)]
    assert isinstance(third, KeyRefused)
    assert (len(counted(good)), counted(ended)) == (1, [])


def test_a_message_that_cannot_be_read_costs_the_others_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_: Books, __: datetime) -> Items:
        raise LookupError("this one cannot be read")

    key = key_of("shop")
    answers: list[object] = []
    group: GroupCommit[Message, Taken] = GroupCommit(report_intake._perform, largest=9, most=99)
    monkeypatch.setattr(group, "_thread", "the test does the work")
    for each in (
        message(key, span("t1", "a")),
        Message(key, broken, 1),
        message(key, span("t2", "a")),
    ):
        group.hand_in(each, answers.append, size=each.size)
    group._settle(group._next_group())
    assert told(answers[0]) == told(answers[2]) == [(0, "accepted", None)]
    assert isinstance(answers[1], LookupError)
    assert len(counted(key)) == 2


def test_a_message_in_an_open_transaction_is_undone_with_it() -> None:
    key = key_of("shop")
    with transaction.atomic():
        assert told(take_message(message(key, span("t1", "a")))) == [(0, "accepted", None)]
        assert len(counted(key)) == 1
        transaction.set_rollback(True)
    assert counted(key) == []


SPAN_IDS = st.sampled_from(["a", "b", "c"])
REPORTS = st.builds(
    span,
    st.sampled_from(["t1", "t2", "t3"]),
    SPAN_IDS,
    parent_span_id=st.one_of(st.none(), SPAN_IDS),
    is_call=st.sampled_from([True, True, False, None]),
    ended=st.sampled_from([True, None]),
    fields=st.sampled_from(
        [
            {},
            MODEL,
            CALL,
            {**CALL, "output_tokens": 7},
            {**CALL, "provider": "opnai"},
            {**CALL, "cached_input_tokens": 9_999},
            {"tenant_id": "acme", "endpoint_tag": "chat"},
        ]
    ),
    after=st.integers(0, 3),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.lists(REPORTS, max_size=4), st.booleans()), max_size=5))
def test_a_group_is_told_what_one_message_after_another_is_told(
    messages: list[tuple[list[CallReport], bool]],
) -> None:
    together = key_of("together"), key_of("together", tenant="acme")
    apart = key_of("apart"), key_of("apart", tenant="acme")
    with transaction.atomic():
        found = report_intake._perform(
            [message(together[other], *items) for items, other in messages]
        )
        alone = [take_message(message(apart[other], *items)) for items, other in messages]
        assert [told(each) for each in found] == [told(each) for each in alone]
        assert [counted(key) for key in together] == [counted(key) for key in apart]
