"""What a re-rating stores that the database does, against what one does that rates each event."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import psycopg
import pytest
from django.db import connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from metering.domain.periods import Month
from metering.domain.price_book import PriceBook
from metering.domain.prices import Price, UnitPrice
from metering.domain.usage import Share, UsageEvent
from metering.ingestion import ingest
from metering.pricing import catalogue
from metering.pricing.portions import portions
from metering.pricing.rating_scan import scan
from metering.pricing.rerating import rerate
from metering.pricing.revaluation import Act, Revalued
from metering.rollups import ROLLUPS, USER
from tests.metering.domain import rated_calls
from tests.metering.pricing.drawn_ratings import (
    DAY,
    UNITS,
    books,
    events,
    plain_books,
    plain_events,
    shared,
)

any_book = st.one_of(plain_books(), plain_books(), books())
any_event = st.one_of(plain_events(), plain_events(), events().flatmap(shared))
MONTH = Month.of(DAY.start)
NOW = DAY.end + timedelta(days=1)
SHARES = (
    Share(tenant_id="acme", input_tokens=1, output_tokens=0),
    Share(tenant_id="globex", input_tokens=1, output_tokens=1),
    Share(tenant_id="acme", input_tokens=0, output_tokens=1),
)

DEARER = {unit: UnitPrice(1000, Decimal(5)) for unit in UNITS[:5]}


@contextmanager
def priced_by(book: PriceBook) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "load_book", lambda: book)
        yield


def done(book: PriceBook, *, recompute: bool) -> Revalued:
    with priced_by(book):
        return rerate(
            MONTH, author="finance", reason="a\\ b", now=NOW, recompute=recompute, dry_run=False
        )


def stored() -> list[list[tuple[Any, ...]]]:
    """All that a re-rating leaves: revisions and parts to the letter, rollups by their values."""
    queries = [
        "SELECT r.*, cost::text, lines::text FROM event_revision r ORDER BY event_key, revision",
        "SELECT s.*, cost::text FROM event_share s ORDER BY event_key, revision, position",
    ]
    for rollup in ROLLUPS:
        keys = ", ".join(rollup.key)
        sums = ", ".join(f"sum({name})" for name in rollup.sums)
        some = " OR ".join(f"sum({name}) <> 0" for name in rollup.sums)
        queries.append(
            f"SELECT {keys}, {sums} FROM {rollup.relation()} r GROUP BY {keys} HAVING {some}"
            f" ORDER BY {keys}"
        )
    found = []
    with connection.cursor() as cursor:
        for query in queries:
            cursor.execute(query.replace("r.*", _WITHOUT_JSON))
            found.append([tuple(bytes(v) if isinstance(v, memoryview) else v for v in row)
                          for row in cursor.fetchall()])  # fmt: skip
    return found


_WITHOUT_JSON = (
    "event_key, revision, occurred_at, made_at, author, reason, user_pseudonym, user_kind, tenant,"
    " cost_centre, owner_route, pricing, pricing_reason, currency, value_digest"
)


def both_ways(book: PriceBook) -> tuple[Revalued, Revalued]:
    """Once by the database and once event by event, each from what is stored now; what each found,
    which must have left the same."""
    results, left = [], []
    for recompute in (False, True):
        with transaction.atomic():
            found = done(book, recompute=recompute)
            found.run = None
            results.append(found)
            left.append(stored())
            transaction.set_rollback(True)
    for of_database, one_by_one in zip(*left, strict=True):
        assert of_database == one_by_one
    return results[0], results[1]


@pytest.mark.django_db
@settings(max_examples=40)
@given(any_book, any_book, any_book, st.lists(any_event, min_size=1, max_size=12))
def test_the_database_stores_what_rating_each_event_stores(
    first: PriceBook, second: PriceBook, third: PriceBook, drawn: list[UsageEvent]
) -> None:
    with transaction.atomic():
        with priced_by(first):
            ingest(numbered(drawn), now=NOW)
        fast, slow = both_ways(second)
        assert (fast.looked_at, fast.differences) == (slow.looked_at, slow.differences)
        done(second, recompute=False)
        assert done(second, recompute=True).changed == 0
        fast, slow = both_ways(third)
        assert (fast.looked_at, fast.differences) == (slow.looked_at, slow.differences)
        transaction.set_rollback(True)


def numbered(drawn: list[UsageEvent]) -> list[UsageEvent]:
    return [
        msgspec.structs.replace(
            event,
            external_request_id=f"r{number}",
            user_id=f"u{number % 3}" if number % 2 else None,
            tenant_id="initech" if number % 3 else None,
            latency_ms=number * 7,
        )
        for number, event in enumerate(drawn)
    ]


@pytest.mark.django_db
def test_the_database_leaves_little_to_rating_one_by_one() -> None:
    """The property above would hold of a re-rating that left every event to rating."""
    plain = rated_calls.event("text", input_tokens=1001, cached_input_tokens=10, output_tokens=7)
    drawn = numbered(
        [
            plain,
            msgspec.structs.replace(plain, shares=SHARES),
            msgspec.structs.replace(plain, shares=SHARES, batch=True),
            rated_calls.event("of nobody's", input_tokens=3, output_tokens=2),
            rated_calls.event("text", input_tokens=300_000, output_tokens=2, shares=SHARES),
        ]
    )
    with priced_by(rated_calls.BOOK):
        ingest(drawn, now=NOW)
    other = _of(rated_calls.MODELS["sound"])
    [portion] = portions(MONTH)
    found = scan(portion, other, Act("finance", "why", NOW, is_trial=True))
    assert found.looked_at == 5
    assert sum(sums.events for sums in found.differences.values()) == 4
    assert found.others == []


@pytest.mark.django_db
def test_equal_remainders_are_settled_by_position() -> None:
    alike = tuple(Share(tenant_id=f"t{n}", input_tokens=7, output_tokens=n) for n in range(6))
    counts = {"cached_input_tokens": 10, "output_tokens": 16, "shares": alike}
    drawn = [rated_calls.event("text", input_tokens=tokens, **counts) for tokens in (43, 49)]
    with priced_by(rated_calls.BOOK):
        ingest(numbered(drawn), now=NOW)
    both_ways(_of({unit: UnitPrice(1, Decimal("1E-18") * 5) for unit in UNITS[:5]}))


@pytest.mark.django_db
def test_prices_finer_than_shares_are_divided_one_by_one() -> None:
    """To such a price and back from it."""
    call = rated_calls.event("text", input_tokens=1001, output_tokens=7, shares=SHARES)
    fine, plain = (
        _of({unit: UnitPrice(1, Decimal(price)) for unit in UNITS[:5]}) for price in ("7E-20", "1")
    )
    with priced_by(plain):
        ingest(numbered([call]), now=NOW)
    for book in (fine, plain):
        both_ways(book)
        assert done(book, recompute=True).changed == 1


@pytest.mark.django_db
def test_parts_of_a_call_that_stays_without_a_price_have_no_cost() -> None:
    """It has none for another reason now."""
    call = rated_calls.event("text", input_tokens=1001, output_tokens=7, shares=SHARES)
    with priced_by(PriceBook([], [rated_calls.BOOK._lists[0]])):
        ingest(numbered([call]), now=NOW)
    fast, _ = both_ways(PriceBook([], []))
    assert fast.changed == 1


@pytest.mark.django_db
def test_what_more_than_text_was_used_moves_too() -> None:
    """From one book that prices nothing to another, in another currency: every class of a call
    leaves its cell."""
    more: list[dict[str, Any]] = [
        {"units": {"web_search": Decimal(2)}},
        {"audio_input_tokens": 3},
        {"image_output_tokens": 4},
        {"output_tokens": None},
        {"cached_input_tokens": 1001},
        {"reasoning_tokens": 900},
        {"served_from": "caller_cache"},
        {"shares": SHARES},
        {},
    ]
    fields: dict[str, Any] = {"input_tokens": 1000, "output_tokens": 7}
    drawn = [rated_calls.event("text", **{**fields, **each}) for each in more]
    with priced_by(PriceBook([], [rated_calls.BOOK._lists[0]], currency="USD")):
        ingest(numbered(drawn), now=NOW)
    fast, slow = both_ways(PriceBook([], [rated_calls.BOOK._lists[0]], currency="EUR"))
    assert fast.differences == slow.differences
    assert fast.changed == len(drawn)


@pytest.mark.django_db
def test_what_a_sample_of_calls_does_not_show_is_rated_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("metering.pricing.portions.WORTH_SAMPLING", 0)
    fields: dict[str, Any] = {"input_tokens": 1000, "output_tokens": 7}
    regions = [f"region-{number}" for number in range(40)]
    drawn = [rated_calls.event("text", **fields, region=region) for region in regions]
    with priced_by(rated_calls.BOOK):
        ingest(numbered(drawn), now=NOW)
    other = _of(rated_calls.MODELS["sound"])
    [portion] = portions(MONTH)
    found = scan(portion, other, Act("finance", "why", NOW, is_trial=True))
    assert 0 < len(found.others) < found.looked_at == len(drawn)
    fast, slow = both_ways(other)
    assert fast.differences == slow.differences
    assert fast.changed == len(drawn)


@pytest.mark.django_db
@pytest.mark.parametrize("model", ["asks", "thinks", "sound"])
def test_a_class_that_only_the_old_price_has_leaves_its_cell(model: str) -> None:
    """Requests, reasoning: the stored lines are more than the counts of text."""
    call = rated_calls.event("text", input_tokens=1001, output_tokens=7, reasoning_tokens=3)
    with priced_by(_of(rated_calls.MODELS[model])):
        ingest(numbered([call, msgspec.structs.replace(call, batch=True)]), now=NOW)
    fast, slow = both_ways(_of(DEARER))
    assert fast.differences == slow.differences
    assert fast.changed == 2


@pytest.mark.django_db
def test_parts_are_those_of_the_latest_revision() -> None:
    call = rated_calls.event("text", input_tokens=1001, output_tokens=7, shares=SHARES)
    with priced_by(rated_calls.BOOK):
        ingest(numbered([call]), now=NOW)
    for book in (_of(DEARER), rated_calls.BOOK, _of(DEARER)):
        fast, _ = both_ways(book)
        assert fast.changed == 1
        done(book, recompute=False)


@pytest.mark.django_db
def test_a_users_calls_cost_something_once_they_have_a_price() -> None:
    """And nothing once they have none."""
    call = rated_calls.event("text", input_tokens=1001, output_tokens=7)
    nothing = PriceBook([], [rated_calls.BOOK._lists[0]])
    with priced_by(nothing):
        ingest([msgspec.structs.replace(call, user_id="ann")], now=NOW)
    for book, cost in ((_of(DEARER), Decimal("5.04")), (nothing, Decimal(0))):
        both_ways(book)
        done(book, recompute=False)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT sum(cost) FROM {USER.relation()} u")
            assert cursor.fetchone() == (cost,)


def test_cells_are_taken_back_as_they_were_stored(
    fresh_db: str, owner_connection: psycopg.Connection
) -> None:
    """Stored lines that an owner of the tables has changed are not taken for the counts."""
    call = rated_calls.event("text", input_tokens=1001, output_tokens=7)
    with priced_by(rated_calls.BOOK):
        ingest(numbered([call]), now=NOW)
    owner_connection.execute(
        """UPDATE usage_event SET lines = replace(lines::text, '"7"', '"6"')::json"""
    )
    fast, _ = both_ways(PriceBook([], [rated_calls.BOOK._lists[0]]))
    assert fast.changed == 1


@pytest.mark.django_db
def test_calls_that_stand_are_not_looked_at_again() -> None:
    """Those that the database cannot rate, either."""
    drawn = [
        rated_calls.event("asks", input_tokens=1001, output_tokens=7),
        rated_calls.event(
            "text", input_tokens=1001, output_tokens=7, units={"web_search": Decimal(1)}
        ),
    ]
    with priced_by(rated_calls.BOOK):
        ingest(numbered(drawn), now=NOW)
    [portion] = portions(MONTH)
    for recompute in (False, True):
        found = scan(
            portion, rated_calls.BOOK, Act("f", "why", NOW, is_trial=True), recompute=recompute
        )
        assert found == (2, {}, [])


def _of(unit_prices: Mapping[str, UnitPrice]) -> PriceBook:
    return PriceBook([Price(100, "acme", "text", unit_prices)], [rated_calls.BOOK._lists[0]])
