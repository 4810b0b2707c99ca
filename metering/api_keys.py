"""API keys: made once, shown once, checked at every request.

The secret is `apk_<id>_<random>`: the id finds the row, the random part (256 bits) proves it. A
SHA-256 of the whole is all that is stored; of so long a random text it cannot be turned back, so
no slow password hash is needed.

What is wrong with a key is told only to whoever has its secret. An id that does not exist and a
secret that does not fit take the same way and get the same answer.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from typing import Final, NamedTuple

from django.db import connection, transaction
from django.db.models import Q

from metering.models import ApiKey, Source, Tenant

SCOPES: Final = tuple(str(scope) for scope in ApiKey.Scope)
DEFAULT_SOURCE: Final = "api"
"""Sending keys share a source unless they name one, so that an event that is resent with another
key (after a rotation, say) is still a duplicate."""
COARSE: Final = timedelta(minutes=10)
"""How exact `last_used_at` is: a busy key is written to once in this time."""

_PREFIX: Final = "apk"
_ID_ALPHABET: Final = "0123456789abcdefghijkmnopqrstuvwxyz"
_ID_LENGTH: Final = 12
_MAX_SECRET: Final = 200
_NO_DIGEST: Final = bytes(32)
_SENDING: Final = (ApiKey.Scope.INGEST, ApiKey.Scope.GATEWAY)


class KeyRequestError(ValueError):
    """A key like this cannot be made or revoked; says what to change."""


class KeyRefused(Exception):
    """The key does not open this door. `reason` is stable: `no_key`, `invalid_key`,
    `revoked_key`, `expired_key` (who are you?) or `wrong_scope` (not allowed)."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail

    @property
    def status(self) -> int:
        """The HTTP status: 403 where the key is good but for something else, otherwise 401."""
        return 403 if self.reason == "wrong_scope" else 401


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """Whom a request comes from. `tenant`: the only tenant it may send or read for (`None`: any).
    `source`: what its events are booked under (`None` for keys that send nothing)."""

    id: str
    name: str
    scope: str
    tenant: str | None
    source: str | None


def create(
    name: str,
    scope: str,
    tenant: str | None = None,
    source: str | None = None,
    expires_at: datetime | None = None,
    *,
    now: datetime,
    created_by: str = "",
) -> tuple[ApiKey, str]:
    """Make a key: its row, and its secret, which is not to be had again.

    A portal key's tenant must be registered. A sending key registers its tenant and source as its
    first event would. Raises `KeyRequestError`.
    """
    name = name.strip()
    if not name or not name.isprintable():
        raise KeyRequestError("a key needs a name by which people will know it")
    if scope not in SCOPES:
        raise KeyRequestError(f"scope {scope!r} is not known; take {', '.join(SCOPES)}")
    if expires_at is not None and expires_at <= now:
        raise KeyRequestError(
            f"a key that expires at {expires_at.isoformat()} would have expired already"
        )
    _refuse_misfit(scope, tenant, source)
    id_ = "".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_LENGTH))
    secret = f"{_PREFIX}_{id_}_{secrets.token_urlsafe(32)}"
    sending = scope in _SENDING
    with transaction.atomic():
        if tenant is not None and sending:
            Tenant.objects.get_or_create(key=tenant, defaults={"registered_at": now})
        if sending:
            source = source or DEFAULT_SOURCE
            Source.objects.get_or_create(key=source)
        row = ApiKey.objects.create(
            id=id_,
            name=name,
            scope=scope,
            tenant_id=tenant,
            source_id=source,
            secret_digest=_digest(secret),
            created_at=now,
            created_by=created_by,
            expires_at=expires_at,
        )
    return row, secret


def _refuse_misfit(scope: str, tenant: str | None, source: str | None) -> None:
    for what, text in (("tenant", tenant), ("source", source)):
        if text is not None and (not text.strip() or not text.isprintable() or len(text) > 200):  # noqa: PLR2004
            raise KeyRequestError(f"{what} {text!r:.80} is no key of a {what}")
    if scope == ApiKey.Scope.PORTAL:
        if tenant is None:
            raise KeyRequestError("a portal key shows one tenant's usage: say which (--tenant)")
        if not Tenant.objects.filter(key=tenant).exists():
            raise KeyRequestError(
                f"tenant {tenant!r} is not registered, so there is nothing to show; a tenant is"
                " registered by its first event or by import_owners"
            )
    if scope == ApiKey.Scope.FINANCE and tenant is not None:
        raise KeyRequestError(
            "a finance key reads the whole company's costs; for one tenant make a portal key"
        )
    if source is not None and scope not in _SENDING:
        raise KeyRequestError(f"a {scope} key sends no events, so it has no source")


def revoke(key: str, *, now: datetime, revoked_by: str = "") -> tuple[ApiKey, bool]:
    """Revoke the key with this id or (if only one is in use) this name, at once and for ever.

    The row, and whether it was still in use before. Raises `KeyRequestError`.
    """
    with transaction.atomic():
        found = list(ApiKey.objects.select_for_update().filter(Q(id=key) | Q(name=key)))
        live = [row for row in found if row.revoked_at is None]
        if not found:
            raise KeyRequestError(f"there is no key with the id or the name {key!r}")
        if not live:
            return found[0], False
        if len(live) > 1:
            raise KeyRequestError(
                f"{len(live)} keys are named {key!r}; say which by its id:"
                f" {', '.join(sorted(row.id for row in live))}"
            )
        row = live[0]
        row.revoked_at, row.revoked_by = now, revoked_by
        row.save(update_fields=["revoked_at", "revoked_by"])
    return row, True


def authenticate(secret: str, scope: str | None, now: datetime) -> KeyFacts:
    """Whom the secret belongs to, if it is good for `scope` (`None`: any). Raises `KeyRefused`.

    Asks the database every time, so that a revocation holds from its commit on.
    """
    id_ = _id_of(secret)
    found = next(iter(_find([id_])), None) if id_ is not None else None
    fits = compare_digest(_digest(secret), found.secret_digest if found else _NO_DIGEST)
    if found is None or not fits:
        raise _unknown()
    _refuse_ended(found, now)
    if scope is not None and found.scope != scope:
        raise KeyRefused(
            "wrong_scope",
            f"the API key {found.name!r} has the scope {found.scope}; this needs a key with the"
            f" scope {scope}",
        )
    _note_use([found], now)
    return KeyFacts(found.id, found.name, found.scope, found.tenant, found.source)


def refusals(ids: Collection[str], now: datetime) -> dict[str, KeyRefused]:
    """Which of these keys, once authenticated, have been revoked, have expired or are gone since,
    and how to say so: by one query for all of them."""
    known = _find(ids)
    refused = {id_: _unknown() for id_ in set(ids).difference(found.id for found in known)}
    standing = []
    for found in known:
        try:
            _refuse_ended(found, now)
        except KeyRefused as error:
            refused[found.id] = error
        else:
            standing.append(found)
    _note_use(standing, now)
    return refused


def _unknown() -> KeyRefused:
    return KeyRefused("invalid_key", "this API key is not known here; check it for completeness")


def _refuse_ended(found: _Found, now: datetime) -> None:
    if found.revoked_at is not None:
        raise KeyRefused(
            "revoked_key",
            f"the API key {found.name!r} was revoked at {_said(found.revoked_at)}; ask for a new"
            " one",
        )
    if found.expires_at is not None and found.expires_at <= now:
        raise KeyRefused(
            "expired_key",
            f"the API key {found.name!r} expired at {_said(found.expires_at)}; ask for a new one",
        )


def _note_use(used: Iterable[_Found], now: datetime) -> None:
    before = now - COARSE
    long_ago = [f.id for f in used if f.last_used_at is None or f.last_used_at < before]
    if long_ago:
        ApiKey.objects.filter(id__in=long_ago).filter(
            Q(last_used_at=None) | Q(last_used_at__lt=before)
        ).update(last_used_at=now)


class _Found(NamedTuple):
    id: str
    name: str
    scope: str
    tenant: str | None
    source: str | None
    secret_digest: bytes
    revoked_at: datetime | None
    expires_at: datetime | None
    last_used_at: datetime | None


def _find(ids: Collection[str]) -> list[_Found]:
    """The keys' rows, by plain SQL: a model's query would cost half a small request's time."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, name, scope, tenant_id, source_id, secret_digest, revoked_at, expires_at,"
            " last_used_at FROM api_key WHERE id = ANY(%s)",
            [sorted(ids)],
        )
        return [_Found(*row) for row in cursor]


def _id_of(secret: str) -> str | None:
    """The id in the secret; `None` if it cannot be one of ours."""
    parts = secret.split("_", 2)
    if len(secret) > _MAX_SECRET or len(parts) != 3 or parts[0] != _PREFIX:  # noqa: PLR2004
        return None
    return parts[1] if parts[1].isascii() and parts[1].isalnum() else None


def _digest(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _said(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="seconds")
