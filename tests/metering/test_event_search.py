"""Finding events by what their senders call them."""

from __future__ import annotations

from datetime import date, timedelta
from uuid import UUID, uuid4

import pytest

from metering.event_search import LOOKS_BACK, SeveralEvents, UnknownEvent, find_event
from metering.ingestion import ingest
from metering.models import Source
from tests.metering.events import NOON, NOW, call

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def taken(**different: object) -> UUID:
    """The key of a call that is taken in."""
    [outcome] = ingest([call(**different)], now=NOW)  # type: ignore[arg-type]
    assert outcome.outcome == "accepted"
    return UUID(outcome.key)


def test_by_its_key_and_by_an_id_that_looks_like_one() -> None:
    key, name = taken(), str(uuid4())
    other = taken(request_id=name)
    assert find_event(str(key)) == key
    assert find_event(name) == other
    with pytest.raises(UnknownEvent, match="no event has the key or request id"):
        find_event(str(uuid4()))


def test_by_a_request_that_determined_no_key() -> None:
    key = taken(request_id="req-9")
    taken(request_id="req-10")
    assert find_event("req-9") == key


@pytest.mark.parametrize("said", [{"event_id": "e-1"}, {"attempt": 3}])
def test_what_determined_the_key_is_found_however_old(said: dict[str, object]) -> None:
    Source.objects.get_or_create(key="test")
    key = taken(request_id="e-1", occurred_at=NOON - LOOKS_BACK - 30 * DAY, **said)
    taken(request_id="newer")
    assert find_event("e-1") == key


def test_what_is_older_than_is_looked_at_is_found_by_naming_a_day() -> None:
    key = taken(request_id="old", occurred_at=NOON - LOOKS_BACK - DAY)
    taken(request_id="newer")
    with pytest.raises(UnknownEvent, match="look further back: --since 2026-0"):
        find_event("old")
    assert find_event("old", since=date(2026, 7, 1)) == key


def test_attempts_of_a_request_are_told_even_over_midnight() -> None:
    late = NOON.replace(hour=23, minute=59)
    first = taken(request_id="again", occurred_at=late, status="error")
    second = taken(request_id="again", occurred_at=late + timedelta(minutes=2))
    with pytest.raises(SeveralEvents, match=f"{first}, {second}"):
        find_event("again")


def test_of_one_source() -> None:
    here = taken(request_id="same", source="one")
    there = taken(request_id="same", source="two")
    assert (find_event("same", source="one"), find_event("same", source="two")) == (here, there)
    with pytest.raises(UnknownEvent, match="no event of source 'three'"):
        find_event("same", source="three")


def test_without_any_event() -> None:
    with pytest.raises(UnknownEvent, match="there is none at all"):
        find_event("req-1")
