"""The ledger of keys: an event counts once because its key can be claimed once, in the transaction
that stores it.

Who claims a key that another transaction has claimed and not committed waits for its end. Keys are
claimed in the order given, so two that claim sorted keys wait for each other instead of
deadlocking.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, LiteralString

from django.db import transaction
from psycopg import errors

from metering import bulk
from metering.prepared_events import PreparedEvent

FEW: Final = 100
"""Events; for so few keys one statement costs less than to ask, and then to copy."""
_TRIES: Final = 2
_COLUMNS: Final = ("event_key", "claim_digest", "occurred_at", "claimed_on")

CLAIMED: Final[LiteralString] = (
    # Which keys were inserted is asked by RETURNING: on a distributed ledger the row count of
    # INSERT … ON CONFLICT is wrong for duplicates.
    "sent AS (SELECT * FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[])"
    "         AS t(event_key, claim_digest, occurred_at)),"
    " claimed AS ("
    "  INSERT INTO event_ledger (event_key, claim_digest, occurred_at, claimed_on)"
    "  SELECT event_key, decode(claim_digest, 'hex'), occurred_at, %s::date FROM sent"
    "  ON CONFLICT DO NOTHING RETURNING event_key),"
    " taken AS (SELECT event_key::text FROM sent"
    "           WHERE event_key NOT IN (SELECT event_key FROM claimed))"
)
"""Parts of a WITH that claim the keys of `claiming`'s parameters; `taken` are those that somebody
has claimed before."""


def claiming(claims: Sequence[PreparedEvent], now: datetime) -> list[object]:
    """The parameters of `CLAIMED`."""
    return [
        bulk.array([item.key for item in claims]),
        bulk.array([item.claim.hex() for item in claims]),
        bulk.array([item.occurred_at for item in claims]),
        now.date(),
    ]


def claim(claims: Sequence[PreparedEvent], now: datetime) -> dict[str, bytes]:
    """Claim the keys, in the order given, inside the caller's transaction; the claim digests of
    those that were taken before."""
    for _ in range(_TRIES if len(claims) > FEW else 0):
        taken = earlier_claims([item.key for item in claims])
        if _copied([item for item in claims if item.key not in taken] if taken else claims, now):
            return taken
    return _claimed_one_by_one(claims, now) if claims else {}


def earlier_claims(keys: Sequence[str]) -> dict[str, bytes]:
    """The claim digests of those keys that are taken. Not to be asked in the statement that
    tried to claim: there a key that was committed meanwhile has no digest yet."""
    if not keys:
        return {}
    with bulk.cursor() as cursor:
        cursor.execute(
            "SELECT event_key::text, claim_digest FROM event_ledger"
            " WHERE event_key = ANY(%s::uuid[])",
            [bulk.array(keys)],
        )
        return {key: bytes(digest) for key, digest in cursor.fetchall()}


def _copied(claims: Sequence[PreparedEvent], now: datetime) -> bool:
    """Whether all these keys could be claimed: none is, if somebody claims one of them meanwhile.

    ON CONFLICT looks for each key twice and logs each row by itself; COPY does neither, and the
    unique key has the last word all the same.
    """
    if not claims:
        return True
    day = now.date().isoformat()
    rows = [f"{item.key}\t\\\\x{item.claim.hex()}\t{item.occurred_at}\t{day}\n" for item in claims]
    try:
        with transaction.atomic():
            bulk.copy_text("event_ledger", _COLUMNS, "".join(rows))
    except errors.UniqueViolation:
        return False
    return True


def _claimed_one_by_one(claims: Sequence[PreparedEvent], now: datetime) -> dict[str, bytes]:
    with bulk.cursor() as cursor:
        cursor.execute(f"WITH {CLAIMED} SELECT event_key FROM taken", claiming(claims, now))
        return earlier_claims([key for (key,) in cursor.fetchall()])
