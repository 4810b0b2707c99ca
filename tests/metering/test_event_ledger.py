"""A key is claimed once, however many are claimed at a time and whoever else is claiming them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final

import psycopg
import pytest
from django.db import connection, transaction

from metering.event_ledger import claim
from metering.ingestion import Books, prepare_batch
from metering.prepared_events import PreparedEvent
from tests.metering.events import NOW, call
from tests.threads import until_somebody_waits

MANY: Final = 300


def prepared(size: int, **different: Any) -> list[PreparedEvent]:
    """Events with sorted keys, as they are claimed."""
    batch = prepare_batch(
        [call(f"r{i}", attempt=1, **different) for i in range(size)], Books.load(), NOW
    )
    return sorted([item for item in batch if isinstance(item, PreparedEvent)], key=lambda p: p.key)


def ledger() -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT event_key::text, claim_digest, occurred_at, claimed_on FROM event_ledger"
            " ORDER BY event_key"
        )
        return [(key, bytes(digest), *rest) for key, digest, *rest in cursor.fetchall()]


def rows_of(claims: Sequence[PreparedEvent]) -> list[tuple[Any, ...]]:
    return [(item.key, item.claim, item.event.occurred_at, NOW.date()) for item in claims]


class Claiming(threading.Thread):
    """Another transaction that claims these keys and commits; what it found, and what it raised."""

    def __init__(self, claims: Sequence[PreparedEvent]) -> None:
        super().__init__()
        self._claims = claims
        self.taken: dict[str, bytes] = {}
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            with transaction.atomic():
                self.taken = claim(self._claims, NOW)
        except BaseException as error:
            self.failure = error
        finally:
            connection.close()


@pytest.mark.django_db
def test_keys_that_are_free_are_claimed_and_those_that_are_not_are_told() -> None:
    claims = prepared(MANY)
    assert claim([], NOW) == {}
    assert claim(claims[1::2], NOW) == {}
    assert ledger() == rows_of(claims[1::2])
    other = prepared(MANY, output_tokens=7)
    stored = {item.key: item.claim for item in claims[1::2]}
    assert claim(other, NOW) == stored
    both = sorted(rows_of(claims[1::2]) + rows_of(other[::2]))
    assert ledger() == both
    assert claim(claims, NOW) == {key: digest for key, digest, *_ in both}
    assert ledger() == both


@pytest.mark.parametrize("commits", [True, False], ids=["commits", "rolls back"])
def test_who_comes_second_waits_for_the_first_and_knows_what_became_of_it(
    fresh_db: str, owner_connection: psycopg.Connection[Any], *, commits: bool
) -> None:
    claims = prepared(MANY)
    middle = claims[MANY // 2 : MANY // 2 + 3]
    second = Claiming(claims)
    with transaction.atomic():
        assert claim(middle, NOW) == {}
        second.start()
        until_somebody_waits(owner_connection, "transactionid")
        transaction.set_rollback(not commits)
    second.join(60)
    assert second.failure is None
    assert second.taken == ({item.key: item.claim for item in middle} if commits else {})
    assert ledger() == rows_of(claims)


def test_many_that_claim_the_same_keys_at_once_each_claim_what_no_other_has(fresh_db: str) -> None:
    claims = prepared(4 * MANY)
    senders = [Claiming(claims[i * MANY // 2 :][: 2 * MANY]) for i in range(5)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(60)
    assert [sender.failure for sender in senders] == [None] * 5
    assert ledger() == rows_of(claims)
    claimed = sum(2 * MANY - len(sender.taken) for sender in senders)
    assert claimed == len(claims)
