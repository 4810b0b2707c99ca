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

from metering import bulk
from metering.prepared_events import PreparedEvent

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
    if not claims:
        return {}
    with bulk.cursor() as cursor:
        cursor.execute(f"WITH {CLAIMED} SELECT event_key FROM taken", claiming(claims, now))
        return earlier_claims([key for (key,) in cursor.fetchall()])


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
