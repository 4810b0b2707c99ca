"""A process remembers whose a key is; whether it is still good is asked each time."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
from django.db import connection

from metering import api_keys, small_intake
from metering.group_commit import OverShare
from tests.metering.api.keys import post, sent

pytestmark = pytest.mark.usefixtures("db", "lasting_horizon")
SIZES = [pytest.param(1, id="in a group"), pytest.param(60, id="by itself")]


def events(first: int, count: int) -> list[dict[str, object]]:
    return [sent(f"req-{first + number}") for number in range(count)]


def stored() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM usage_event")
        return int(cursor.fetchone()[0])


@pytest.mark.parametrize("count", SIZES)
def test_a_revocation_holds_for_a_key_that_was_just_used(count: int) -> None:
    row, secret = api_keys.create("shop", "ingest", source="test", now=datetime.now(UTC))
    assert post(secret, events(0, count)).status_code == 200
    api_keys.revoke(row.id, now=datetime.now(UTC))
    answer = post(secret, events(count, count))
    assert answer.status_code == 401
    assert answer.json()["type"].endswith(":revoked-key")
    assert stored() == count


def test_large_requests_of_one_sender_do_not_take_all_threads() -> None:
    now = datetime.now(UTC)
    _, secret = api_keys.create("shop", "ingest", source="test", now=now)
    _, others = api_keys.create("other", "ingest", source="test", now=now)
    key, other = (small_intake.recall(each, "ingest") for each in (secret, others))
    with ExitStack() as here:
        for _ in range(small_intake.LARGE_OF_ONE):
            here.enter_context(small_intake._large.of(key.id))
        with pytest.raises(OverShare), small_intake.admitted(key, now):
            pytest.fail("one more was let in")
        with small_intake.admitted(other, now):
            pass
    with small_intake.admitted(key, now):
        pass


def test_a_key_that_is_gone_is_unknown() -> None:
    refused = api_keys.refusals(["gone"], datetime.now(UTC))
    assert refused["gone"].reason == "invalid_key"
