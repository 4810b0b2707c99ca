"""API keys: what they open, for how long, and what is told to whom."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection, transaction
from django.test.utils import CaptureQueriesContext

from metering import api_keys
from metering.api_keys import KeyRefused, KeyRequestError, authenticate, create, revoke
from metering.models import ApiKey, Tenant

pytestmark = pytest.mark.usefixtures("db")

NOW = datetime(2026, 11, 2, 8, tzinfo=UTC)


def refusal(secret: str, scope: str = "ingest", now: datetime = NOW) -> KeyRefused:
    with pytest.raises(KeyRefused) as refused:
        authenticate(secret, scope, now)
    return refused.value


def test_a_key_says_whom_it_is_for() -> None:
    row, secret = create("shop", "ingest", tenant="acme", source="shop-sdk", now=NOW)
    facts = authenticate(secret, "ingest", NOW)
    assert (facts.id, facts.name, facts.scope) == (row.id, "shop", "ingest")
    assert (facts.tenant, facts.source) == ("acme", "shop-sdk")
    assert secret.startswith(f"apk_{row.id}_")


def test_the_secret_is_stored_nowhere() -> None:
    row, secret = create("shop", "ingest", now=NOW)
    random_part = secret.split("_", 2)[2]
    row.refresh_from_db()
    stored = [
        bytes(value) if isinstance(value, memoryview) else str(value).encode()
        for value in row.__dict__.values()
    ]
    assert len(random_part) >= 43, "256 bits"
    assert not any(random_part.encode() in value for value in stored)


def test_sending_keys_share_a_source_unless_they_name_one() -> None:
    (_, first), (_, second) = create("a", "ingest", now=NOW), create("b", "ingest", now=NOW)
    assert first != second
    assert {authenticate(s, "ingest", NOW).source for s in (first, second)} == {"api"}


def test_a_wrong_secret_and_an_unknown_key_get_the_same_answer() -> None:
    _, secret = create("shop", "ingest", now=NOW)
    wrong = [
        secret[:-1] + ("A" if secret[-1] != "A" else "B"),
        secret + "x",
        "apk_000000000000_" + secret.split("_", 2)[2],
        "apk__",
        "",
        "Bearer",
        "\ud800",
        "apk_\0_x",
        "x" * 100_000,
    ]
    found = {(refusal(key).status, refusal(key).reason, refusal(key).detail) for key in wrong}
    assert found == {(401, "invalid_key", refusal("apk_x_y").detail)}


def test_what_is_wrong_with_a_key_is_told_to_its_holder_only() -> None:
    row, secret = create("shop", "ingest", now=NOW)
    revoke(row.id, now=NOW)
    assert refusal(secret).reason == "revoked_key"
    assert refusal(f"apk_{row.id}_guess").reason == "invalid_key"


def test_a_key_ends_at_its_instant() -> None:
    end = NOW + timedelta(days=1)
    _, secret = create("shop", "ingest", expires_at=end, now=NOW)
    authenticate(secret, "ingest", end - timedelta(microseconds=1))
    refused = refusal(secret, now=end)
    assert (refused.status, refused.reason) == (401, "expired_key")
    assert "2026-11-03T08:00:00+00:00" in refused.detail


@pytest.mark.parametrize("scope", api_keys.SCOPES)
def test_a_key_opens_its_own_scope_only(scope: str) -> None:
    Tenant.objects.create(key="acme")
    _, secret = create("k", scope, tenant="acme" if scope == "portal" else None, now=NOW)
    for other in api_keys.SCOPES:
        if other == scope:
            assert authenticate(secret, other, NOW).scope == scope
        else:
            refused = refusal(secret, other)
            assert (refused.status, refused.reason) == (403, "wrong_scope")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"scope": "root"}, "not known"),
        ({"name": "  "}, "needs a name"),
        ({"scope": "portal"}, "say which"),
        ({"scope": "portal", "tenant": "nobody"}, "not registered"),
        ({"scope": "portal", "tenant": ""}, "no key of a tenant"),
        ({"scope": "finance", "tenant": "acme"}, "portal key"),
        ({"scope": "finance", "source": "x"}, "sends no events"),
        ({"tenant": "a\tb"}, "no key of a tenant"),
        ({"source": "s" * 201}, "no key of a source"),
        ({"expires_at": NOW}, "expired already"),
    ],
)
def test_a_key_that_makes_no_sense_is_not_made(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(KeyRequestError, match=said):
        create(**{"name": "k", "scope": "ingest", "now": NOW, **arguments})
    assert not ApiKey.objects.exists()


def test_using_a_key_is_noted_coarsely() -> None:
    row, secret = create("shop", "ingest", now=NOW)

    def queries(at: datetime) -> int:
        with CaptureQueriesContext(connection) as captured:
            authenticate(secret, "ingest", at)
        return len(captured)

    assert queries(NOW) == 2
    assert queries(NOW + timedelta(minutes=9)) == 1
    assert queries(NOW + timedelta(minutes=11)) == 2
    row.refresh_from_db()
    assert row.last_used_at == NOW + timedelta(minutes=11)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE api_key SET scope = 'gateway'",
        "UPDATE api_key SET tenant_id = NULL",
        "UPDATE api_key SET secret_digest = ''",
        "UPDATE api_key SET revoked_at = NULL",
        "DELETE FROM api_key",
    ],
)
def test_a_key_cannot_become_another_or_live_again(statement: str) -> None:
    row, _ = create("shop", "ingest", tenant="acme", now=NOW)
    revoke(row.id, now=NOW)
    with (
        pytest.raises(ProgrammingError, match="pgtrigger"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


def command(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command(*arguments, "--json", stdout=out)
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer


def test_a_key_is_made_and_revoked_by_command() -> None:
    made = command("create_api_key", "shop", "--scope", "ingest", "--tenant", "acme")
    now = datetime.now(UTC)
    assert authenticate(made["secret"], "ingest", now).tenant == "acme"
    assert made["source"] == "api"
    assert command("revoke_api_key", "shop")["changed"] is True
    assert command("revoke_api_key", made["id"])["changed"] is False
    assert refusal(made["secret"], now=now).reason == "revoked_key"


def test_revoking_by_a_name_that_several_have_asks_which() -> None:
    rows = [create("shop", "ingest", now=NOW)[0] for _ in range(2)]
    with pytest.raises(CommandError, match=f"2 keys are named 'shop'.*{min(r.id for r in rows)}"):
        call_command("revoke_api_key", "shop")
    with pytest.raises(CommandError, match="no key with the id or the name 'ship'"):
        call_command("revoke_api_key", "ship")


def test_the_secret_is_printed_first() -> None:
    out = StringIO()
    call_command("create_api_key", "shop", "--scope", "ingest", stdout=out)
    first = out.getvalue().splitlines()[0]
    assert authenticate(first, "ingest", datetime.now(UTC)).name == "shop"
