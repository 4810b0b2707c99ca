"""Who shared a call, as attributes and metadata say it.

Three forms, as JSON text or as values:

- `[{"tenantId": "acme", "inputTokens": 300, "outputTokens": 100}, …]`: by tokens;
- `[{"tenantId": "acme", "weight": 3}, …]`: by weights;
- `{"acme": 3, "globex": 1}`: by weights, in short.

Weights divide all of the call's tokens, so they become tokens once these are known (`by_tokens`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from metering.domain.apportionment import InvalidWeight, NothingToApportionOver, apportion
from metering.formats.malformed import UNDECODABLE

UNREADABLE: Final = "unreadable"
"""The one member of shares that cannot be read: an event with it is refused, not undivided."""

_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode


def shares_told(value: object) -> list[dict[str, Any]]:
    """The shares as JSON values under the names of `Share` (or with `weight`, a decimal text); what
    is no share is kept as `{"unreadable": …}`, so that it is refused by name."""
    if isinstance(value, str | bytes):
        try:
            value = _decode(value)
        except (*UNDECODABLE, ArithmeticError):
            return [{UNREADABLE: "this is no JSON"}]
    if isinstance(value, Mapping):
        value = [{"tenantId": tenant, "weight": weight} for tenant, weight in value.items()]
    if not isinstance(value, list | tuple):
        return [{UNREADABLE: "shares are a list, or an object of weights by tenant"}]
    return [_share(each) for each in value]


def _share(value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {UNREADABLE: "a share is an object with tenantId"}
    tenant = value.get("tenantId", value.get("tenant_id"))
    if not isinstance(tenant, str) or not tenant.strip():
        return {UNREADABLE: "a share has no tenantId"}
    if "weight" in value:
        weight = value["weight"]
        if isinstance(weight, int | Decimal | str) and not isinstance(weight, bool):
            return {"tenant_id": tenant, "weight": str(weight)}
        return {UNREADABLE: f"the weight of {tenant!r:.80} is no number"}
    counts = {
        name: value.get(camel, value.get(name, 0))
        for name, camel in (("input_tokens", "inputTokens"), ("output_tokens", "outputTokens"))
    }
    for name, count in counts.items():
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            return {UNREADABLE: f"{name} of {tenant!r:.80} is no count"}
    return {"tenant_id": tenant, **counts}


def by_tokens(
    shares: Sequence[Mapping[str, Any]], input_tokens: int | None, output_tokens: int | None
) -> list[dict[str, Any]] | str:
    """The shares with weights turned into tokens of a call with these totals, whole tokens by the
    largest remainder; or what is wrong with them. Shares by tokens stay as they are."""
    for share in shares:
        if UNREADABLE in share:
            return str(share[UNREADABLE])
    weighted = [share for share in shares if "weight" in share]
    if not weighted:
        return [dict(share) for share in shares]
    if len(weighted) != len(shares):
        return "some shares have weights and some have tokens; give all of them one or the other"
    weights: dict[str, Decimal] = {}
    for share in weighted:
        tenant = share["tenant_id"]
        if tenant in weights:
            return f"{tenant!r:.80} has two shares; add them up to one"
        try:
            weights[tenant] = Decimal(share["weight"])
        except ArithmeticError:
            return f"the weight of {tenant!r:.80} is no number"
        if not weights[tenant].is_finite() or abs(weights[tenant].adjusted()) > _MAX_EXPONENT:
            return f"the weight of {tenant!r:.80} is no number that can be divided by"
    try:
        into = apportion(input_tokens or 0, weights)
        out = apportion(output_tokens or 0, weights)
    except (InvalidWeight, NothingToApportionOver) as error:
        return str(error)
    return [
        {"tenant_id": tenant, "input_tokens": into[tenant], "output_tokens": out[tenant]}
        for tenant in weights
    ]


_MAX_EXPONENT: Final = 30
