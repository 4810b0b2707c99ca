"""Large requests that are committed together are answered as if each had come alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Any

import msgspec
import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metering import api_keys, batch_intake
from metering.api.usage import parse_all
from metering.api_keys import KeyFacts, KeyRefused
from metering.batch_intake import Batch, Taken, take_batch
from metering.formats import native
from metering.formats.batches import take_apart
from metering.group_commit import GroupCommit, OverShare
from metering.small_intake import SMALL
from tests.metering.api.keys import post, secret, sent

pytestmark = pytest.mark.usefixtures("db", "lasting_horizon")

NUMBERS = count()
Events = Sequence[dict[str, Any]]


def key_of(name: str) -> KeyFacts:
    """A key whose events are booked under a source of its own."""
    source = f"{name} {next(NUMBERS)}"
    _, known = api_keys.create(source, "ingest", source=source, now=datetime.now(UTC))
    return api_keys.authenticate(known, "ingest", datetime.now(UTC))


def batch(key: KeyFacts, events: Events, *, every: bool = False) -> Batch:
    placed = take_apart(msgspec.json.encode(events), limit=10_000)
    return Batch(key, partial(parse_all, placed, native.parse, key), len(events), every)


def events(first: int, number: int) -> list[dict[str, Any]]:
    return [sent(f"req-{first + each}") for each in range(number)]


def stored(source: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM usage_event WHERE source = %s", [source])
        return int(cursor.fetchone()[0])


def told(taken: object) -> tuple[int, list[tuple[int, str]]]:
    assert isinstance(taken, Taken)
    return taken.accepted, [(outcome.index, outcome.outcome) for outcome in taken.outcomes]


def test_each_request_is_told_its_own() -> None:
    key = key_of("shop")
    mixed = [sent("req-1"), sent("bad", inputTokens="many"), sent("req-3"), sent("req-2")]
    taken = batch_intake._perform(
        [
            batch(key, events(0, 3)),
            batch(key, mixed),
            batch(key, [sent("req-4"), sent("req-0", tenantId="other")], every=True),
        ]
    )
    assert [told(each) for each in taken] == [
        (3, []),
        (1, [(0, "duplicate"), (1, "rejected"), (3, "duplicate")]),
        (0, [(0, "accepted"), (1, "conflict")]),
    ]
    assert stored(str(key.source)) == 5


def test_a_key_that_is_refused_refuses_its_own_requests_only() -> None:
    good, ended = key_of("good"), key_of("ended")
    api_keys.revoke(ended.id, now=datetime.now(UTC))
    first, second, third = batch_intake._perform(
        [batch(ended, events(0, 2)), batch(good, events(2, 2)), batch(ended, events(4, 2))]
    )
    assert isinstance(first, KeyRefused)
    assert told(second) == (2, [])
    assert isinstance(third, KeyRefused)
    assert (stored(str(good.source)), stored(str(ended.source))) == (2, 0)


def test_a_request_that_cannot_be_done_costs_the_others_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_: datetime) -> list[Any]:
        raise LookupError("this one cannot be read")

    key = key_of("shop")
    answers: list[object] = []
    group: GroupCommit[Batch, Taken] = GroupCommit(batch_intake._perform, largest=9, most=99)
    monkeypatch.setattr(group, "_thread", "the test does the work")
    for each in (batch(key, events(0, 2)), Batch(key, broken, 1), batch(key, events(2, 2))):
        group.hand_in(each, answers.append, size=each.size)
    group._settle(group._next_group())
    assert told(answers[0]) == told(answers[2]) == (2, [])
    assert isinstance(answers[1], LookupError)
    assert stored(str(key.source)) == 4


def test_a_sender_with_more_than_its_share_is_told_to_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def over_share(_: Batch) -> Taken:
        raise OverShare("40000 events of one sender are waiting to be stored")

    monkeypatch.setattr("metering.api.usage.take_batch", over_share)
    refused = post(known := secret(), events(0, SMALL + 1))
    assert (refused.status_code, refused["Retry-After"]) == (429, "1")
    assert refused.json()["type"].endswith(":too-many-requests")
    assert post(known, events(0, SMALL)).json()["accepted"] == SMALL


SENT = st.builds(
    sent,
    st.sampled_from(["a", "b", "c"]),
    attempt=st.just(1),
    inputTokens=st.sampled_from([1, 2, -1]),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.lists(SENT, min_size=1, max_size=5), st.booleans()), max_size=4))
def test_a_group_is_told_what_one_request_after_another_is_told(
    requests: list[tuple[list[dict[str, Any]], bool]],
) -> None:
    together, apart = key_of("together"), key_of("apart")
    with transaction.atomic():
        group = [batch(together, each, every=every) for each, every in requests]
        found = batch_intake._perform(group)
        alone = [take_batch(batch(apart, each, every=every)) for each, every in requests]
        assert [told(each) for each in found] == [told(each) for each in alone]
        assert stored(str(together.source)) == stored(str(apart.source))
