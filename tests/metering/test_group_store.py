"""A group of small requests is stored as every batch is, by fewer words with the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metering import api_keys, bulk
from metering.domain.identity import identify
from metering.domain.usage import Rejection, Share, UsageEvent
from metering.event_rows import COLUMNS
from metering.group_store import MOST, GroupStore
from metering.ingestion import Books, ingest
from metering.models import CostCentre, OwnerMapping
from metering.outcomes import Outcome
from metering.prepared_events import prepare
from metering.pseudonyms import Pseudonyms
from tests.metering.events import NOON, NOW, call

TABLES = (
    *("event_ledger", "usage_event", "event_share", "late_event", "late_arrival", "call_identity"),
    *("usage_rollup_tail", "cell_rollup_tail", "user_rollup_tail"),
)
USERS = ("u-1", "u\\2", 'ü"3')
TIMES = (NOON, NOW, NOW - timedelta(minutes=3), NOW - timedelta(days=401))
ODD = (r"back\slash", 'quo"te', "com,ma{}", "snow ☃", "x" * 200, r"\N", r"\x1e")

items: st.SearchStrategy[UsageEvent | Rejection] = st.one_of(
    st.builds(
        call,
        st.sampled_from(["a", "b", "c", *ODD]),
        attempt=st.sampled_from([None, 0, 1]),
        occurred_at=st.sampled_from(TIMES),
        provider=st.sampled_from(["openai", "openai", "opnai"]),
        model=st.sampled_from(["gpt-4o-mini", "gpt-4o", "unheard-of", "bad\tmodel", *ODD]),
        output_tokens=st.sampled_from([0, 7, None]),
        tenant_id=st.sampled_from(["acme", None, *ODD]),
        user_id=st.sampled_from([None, *USERS]),
        endpoint_tag=st.sampled_from([None, *ODD]),
        tags=st.dictionaries(st.sampled_from(["team", "provider_project"]), st.sampled_from(ODD)),
        units=st.sampled_from([{}, {"web_search": Decimal("1.5")}]),
        usage=st.sampled_from([None, '{"total":12}']),
        shares=st.sampled_from(
            [(), (Share(tenant_id=r"glo\bex", input_tokens=300, output_tokens=0),)]
        ),
        provider_request_id=st.sampled_from([None, None, "chatcmpl-1"]),
    ),
    st.just(Rejection(place="line 9", reason="malformed", message="not JSON")),
)


@pytest.fixture
def key(db: None) -> str:
    return good_key()


def good_key() -> str:
    row, secret = api_keys.create("sender", "ingest", source="test", now=NOW)
    api_keys.authenticate(secret, "ingest", NOW)
    return str(row.id)


@pytest.fixture
def store(key: str) -> GroupStore:
    """With all days' partitions there, and after the key, whose source is known to the owners."""
    with bulk.cursor() as cursor:
        days = [at.date() for at in TIMES]
        cursor.execute("SELECT ensure_event_partitions(%s::date[])", [days])
    made = GroupStore()
    made.learn()
    return made


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def rows() -> dict[str, list[tuple[Any, ...]]]:
    found = {}
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"SELECT t::text FROM {table} t ORDER BY 1")
            found[table] = cursor.fetchall()
    return found


def events() -> int:
    return len(rows()["usage_event"])


def known_users() -> None:
    """Have the pseudonyms there, which are random, so that two ways to store can be compared."""
    secret = django_settings.IDENTITY_HASH_KEY.encode()
    hashes = [identify(call(user_id=user), secret)[0] for user in USERS]
    Pseudonyms().of(each for each in hashes if each is not None)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=st.lists(items, max_size=3), group=st.lists(items, max_size=8))
def test_outcomes_and_rows_are_those_of_every_batch(
    before: list[UsageEvent | Rejection],
    group: list[UsageEvent | Rejection],
    store: GroupStore,
    key: str,
) -> None:
    def stored(take: Callable[[], list[Outcome] | None]) -> tuple[list[Outcome] | None, Any]:
        with undone():
            ingest(before, now=NOW)
            return take(), rows()

    with undone():
        known_users()
        usual = stored(lambda: ingest(group, now=NOW))
        assert stored(lambda: store.store(group, {key}, NOW)) == usual


def test_a_row_has_the_columns_that_are_copied(store: GroupStore, key: str) -> None:
    event = call(user_id=None, tags={"a": "b"}, units={"web_search": Decimal(1)})
    assert store.store([event], {key}, NOW)
    names = ", ".join(COLUMNS)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {names} FROM usage_event")
        (row,) = cursor.fetchall()
    books = Books.load()
    prepared = prepare(event, kinds=books.kinds, hash_key=books.hash_key, received_at="")
    said = dict(zip(COLUMNS, row, strict=True))
    assert str(said["event_key"]) == prepared.key
    assert (said["tags"], said["units"]) == ({"a": "b"}, {"web_search": "1"})
    assert (said["cost"], said["received_at"]) == (prepared.rating.cost, NOW)


def test_a_new_user_and_a_new_tenant_are_made_once(store: GroupStore, key: str) -> None:
    assert store.store([call("a", user_id="new"), call("b", user_id="new")], {key}, NOW)
    assert store.store([call("c", user_id="new", tenant_id="other")], {key}, NOW)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT user_pseudonym), count(*) FROM usage_event")
        assert cursor.fetchone() == (1, 3)
        cursor.execute("SELECT key FROM tenant ORDER BY key")
        assert [name for (name,) in cursor.fetchall()] == ["acme", "other"]


def test_nothing_is_stored_with_a_key_that_is_not_good_any_more(
    store: GroupStore, key: str
) -> None:
    assert store.store([call("a")], {key}, NOW)
    _, other = api_keys.create("other", "ingest", source="test", now=NOW)
    other_id = api_keys.authenticate(other, "ingest", NOW).id
    assert store.store([call("b")], {key, other_id}, NOW)
    api_keys.revoke(other_id, now=NOW)
    assert store.store([call("c")], {key, other_id}, NOW) is None
    assert store.store([call("c")], {key, "gone"}, NOW) is None
    assert events() == 2
    assert store.store([call("c")], {key}, NOW)


def test_an_expired_key_and_one_that_was_long_unused_take_the_usual_way(
    store: GroupStore,
) -> None:
    row, secret = api_keys.create(
        "short", "ingest", source="test", now=NOW, expires_at=NOW + timedelta(minutes=5)
    )
    api_keys.authenticate(secret, "ingest", NOW)
    assert store.store([call("a")], {row.id}, NOW + timedelta(minutes=4))
    assert store.store([call("b")], {row.id}, NOW + timedelta(minutes=5)) is None
    lasting, secret = api_keys.create("lasting", "ingest", source="test", now=NOW)
    api_keys.authenticate(secret, "ingest", NOW)
    later = NOW + api_keys.COARSE + timedelta(seconds=1)
    assert store.store([call("b")], {lasting.id}, later) is None
    assert set(api_keys.refusals([lasting.id], later)) == set()
    assert store.store([call("b")], {lasting.id}, later)


@pytest.mark.usefixtures("fresh_db")
def test_a_change_of_the_owners_is_met_by_the_next_group() -> None:
    key, store = good_key(), GroupStore()
    assert ingest([call("a")], now=NOW)
    store.learn()
    assert store.store([call("b")], {key}, NOW)
    CostCentre.objects.create(code="cc-1", name="One", responsible="Someone")
    OwnerMapping.objects.create(kind="tenant", key="acme", cost_centre_id="cc-1")
    assert store.store([call("c")], {key}, NOW) is None
    assert events() == 2
    store.learn()
    assert store.store([call("c")], {key}, NOW)
    with connection.cursor() as cursor:
        cursor.execute("SELECT cost_centre FROM usage_event ORDER BY external_request_id")
        assert [name for (name,) in cursor] == ["unallocated", "unallocated", "cc-1"]


def test_what_the_database_refuses_is_undone_and_takes_the_usual_way(
    store: GroupStore, key: str
) -> None:
    broken = call("b", attempt=2**40)  # more than its column holds
    assert store.store([call("a"), broken], {key}, NOW) is None
    assert events() == 0
    assert store.store([call("a")], {key}, NOW)


def test_a_day_is_made_even_if_it_was_there_before_in_a_group_that_failed(
    store: GroupStore, key: str
) -> None:
    far = datetime.fromisoformat("2026-06-11T12:00:00+00:00")
    with undone():
        assert store.store([call("a", occurred_at=far)], {key}, NOW)
    # the partition is gone with the transaction, and the store does not know
    assert store.store([call("a", occurred_at=far)], {key}, NOW) is None
    assert store.store([call("a", occurred_at=far)], {key}, NOW)


def test_before_anything_is_known_and_for_a_whole_batch_the_way_is_the_usual_one(key: str) -> None:
    store = GroupStore()
    assert store.store([call("a")], {key}, NOW) is None
    store.learn()
    assert store.store([call(str(n)) for n in range(MOST + 1)], {key}, NOW) is None
    with bulk.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM event_ledger")
        assert cursor.fetchone() == (0,)
