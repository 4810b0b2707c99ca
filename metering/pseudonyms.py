"""The random pseudonyms under which users are stored, looked up by keyed hash."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

from metering import bulk

PSEUDONYM_CACHE: Final = 100_000


class Pseudonyms:
    """The pseudonyms met by one stream, so that a user is looked up once. Bounded."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, str] = OrderedDict()

    def of(self, lookup_hashes: Iterable[bytes], *, looked_up: bool = False) -> dict[bytes, str]:
        """Find or make the pseudonym of each hash. Called inside the batch's transaction.
        `looked_up`: the transaction has asked for them, and what it found is remembered."""
        wanted = set(lookup_hashes)
        found = {h: self._known[h] for h in wanted if h in self._known}
        missing = sorted(wanted.difference(found))
        if missing:
            if not looked_up:
                found.update(_look_up(missing))
            found.update(_make([h for h in missing if h not in found]))
            # what another transaction has made meanwhile
            found.update(_look_up([h for h in missing if h not in found]))
        return found

    def remember(self, found: dict[bytes, str]) -> None:
        """Keep what a committed batch found; a rolled-back pseudonym must not be remembered."""
        self._known.update(found)
        while len(self._known) > PSEUDONYM_CACHE:
            self._known.popitem(last=False)


def _look_up(hashes: Sequence[bytes]) -> dict[bytes, str]:
    if not hashes:
        return {}
    with bulk.cursor() as cursor:
        cursor.execute(
            "SELECT lookup_hash, pseudonym::text FROM user_identity WHERE lookup_hash IN"
            " (SELECT decode(h, 'hex') FROM unnest(%s::text[]) AS t(h))",
            [bulk.array([h.hex() for h in hashes])],
        )
        return {bytes(h): pseudonym for h, pseudonym in cursor}


def _make(hashes: Sequence[bytes]) -> dict[bytes, str]:
    """Give each a pseudonym, unless another transaction is giving it one: in the order given, so
    that two wait for each other instead of deadlocking. Those that were given."""
    if not hashes:
        return {}
    with bulk.cursor() as cursor:
        cursor.execute(
            "INSERT INTO user_identity (lookup_hash, pseudonym, created_at)"
            " SELECT decode(h, 'hex'), p, now() FROM unnest(%s::text[], %s::uuid[]) AS t(h, p)"
            " ON CONFLICT DO NOTHING RETURNING lookup_hash, pseudonym::text",
            [
                bulk.array([h.hex() for h in hashes]),
                bulk.array([str(uuid.uuid4()) for _ in hashes]),
            ],
        )
        return {bytes(h): pseudonym for h, pseudonym in cursor}
