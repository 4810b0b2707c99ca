"""Who a call was made by: people, service accounts, the anonymous and the unknown, kept apart.

What was sent to name a user never reaches a table. It is looked up through a keyed hash; what is
stored is a random pseudonym.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from typing import Final, Literal

from metering.domain.usage import UsageEvent

UserKind = Literal["user", "service", "anonymous", "unknown"]
"""`user`: named by the caller; `service`: a program, mapped explicitly; `anonymous`: told apart
by an anonymous id, an address hash or an agent hash only; `unknown`: nothing was sent."""

_ANONYMOUS: Final = (("anon_id", b"anon"), ("ip_hash", b"ip"), ("agent_hash", b"agent"))


@lru_cache(maxsize=100_000)
def lookup_hash(key: bytes, namespace: bytes, identifier: str) -> bytes:
    """HMAC-SHA-256 of the identifier under the installation's key."""
    return hmac.digest(key, namespace + b"\x1f" + identifier.encode(), hashlib.sha256)


def identify(event: UsageEvent, key: bytes) -> tuple[bytes | None, UserKind]:
    """The keyed hash of what names the caller, and what kind of caller that makes it.

    A user id of spaces only is nothing. Service accounts are recognised later, by their
    registered pseudonym: nothing in an event can declare itself one.
    """
    if event.user_id is not None and event.user_id.strip():
        return lookup_hash(key, b"user", event.user_id), "user"
    for field, namespace in _ANONYMOUS:
        identifier = getattr(event, field)
        if identifier:
            return lookup_hash(key, namespace, identifier), "anonymous"
    return None, "unknown"
