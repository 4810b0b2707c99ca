"""Digests of values: the same content gives the same bytes, whatever wrote it down."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final, cast
from uuid import UUID

import msgspec

from metering.domain.money import plain


def canonical_json(value: object) -> bytes:
    """JSON with sorted keys and no spaces; decimals as `plain` strings, instants as UTC ISO 8601
    with `Z` and microseconds where there are any, days as ISO dates, bytes as hex."""
    return msgspec.json.encode(_plain(value), order="deterministic")


def digest_of(value: object) -> str:
    """Hex SHA-256 of the value's canonical JSON."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def list_digest(items: Iterable[tuple[UUID, bytes]]) -> tuple[int, str]:
    """How many (key, digest) pairs there are, and the hex SHA-256 over key ‖ digest of each.

    The pairs must come sorted by key: the digest proves the set, not an order of arrival.
    """
    state = hashlib.sha256()
    count = 0
    for key, digest in items:
        state.update(key.bytes)
        state.update(digest)
        count += 1
    return count, state.hexdigest()


_AS_THEY_ARE: Final = frozenset({str, int, bool, type(None)})


def _plain(value: object) -> Any:
    # Most of what is digested is texts, and lists and mappings of them: so these are asked first.
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if kind is list or kind is tuple:
        return [_plain(v) for v in cast("list[object]", value)]
    return _plain_other(value)


def _plain_other(value: object) -> Any:
    if isinstance(value, Decimal | datetime | date | UUID | bytes | float):
        return _plain_scalar(value)
    match value:
        case msgspec.Struct():
            return {k: _plain(getattr(value, k)) for k in value.__struct_fields__}
        case tuple() if hasattr(value, "_fields"):
            return [_plain(v) for v in value]
        case dict():
            return {k if type(k) is str else str(_plain(k)): _plain(v) for k, v in value.items()}
        case list() | tuple():
            return [_plain(v) for v in cast("list[object]", value)]
        case set() | frozenset():
            return sorted(_plain(v) for v in value)
        case _ if hasattr(value, "__dataclass_fields__"):
            return {k: _plain(getattr(value, k)) for k in value.__dataclass_fields__}
        case _:
            return value


def _plain_scalar(value: Decimal | date | UUID | bytes | float) -> str:
    match value:
        case Decimal():
            return plain(value)
        case datetime():
            if value.tzinfo is None:
                raise ValueError(f"{value} has no time zone")
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case UUID():
            return str(value)
        case bytes():
            return value.hex()
        case float():
            raise TypeError(f"{value} is a binary float; amounts and counts are exact")
