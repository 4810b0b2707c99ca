"""A usage event: one call of a model (or of a tool beside it), as somebody reported it.

Counts follow the inclusive reading: `input_tokens` holds cached, cache-written, audio and image
tokens; `cache_write_tokens` holds those written for an hour; `output_tokens` holds reasoning,
audio and image tokens. `None` means *not reported*, which is not zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Final, Literal

import msgspec

MAX_TOKENS: Final = 1_000_000_000
"""No single call has ever come near this; a larger count is a mistake of unit or of field."""

Status = Literal["success", "error"]
DataMode = Literal["real", "test", "demo"]
Environment = Literal["prod", "staging", "dev"]
ServedFrom = Literal["provider", "caller_cache"]
UsageQuality = Literal["provider_reported", "reported", "estimated", "inconsistent", "missing"]


class Share(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One tenant's part of a shared (batched) call, in tokens of the whole call."""

    tenant_id: str
    input_tokens: int
    output_tokens: int


class UsageEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What was reported of one call, normalised but not interpreted: no price, no owner.

    `occurred_at` is aware UTC; a source that sends no time gets the time of receipt and
    `time_reported` false. `user_id`, `anon_id`, `ip_hash` and `agent_hash` (the last four, which
    the stored row leaves out) are as sent and leave this value only as pseudonyms. `usage` is the
    provider's own usage object as canonical JSON.
    """

    source: str
    external_request_id: str
    provider: str
    model: str
    occurred_at: datetime
    time_reported: bool = True
    event_id: str | None = None
    attempt: int | None = None
    model_executed: str | None = None
    provider_request_id: str | None = None

    input_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    image_input_tokens: int | None = None
    image_output_tokens: int | None = None
    units: Mapping[str, Decimal] = {}
    usage: str | None = None
    usage_format: str | None = None
    usage_quality: UsageQuality = "reported"

    service_tier: str = "standard"
    batch: bool = False
    region: str | None = None
    served_from: ServedFrom = "provider"
    endpoint_tag: str | None = None
    prompt_version: str | None = None
    tenant_id: str | None = None
    cost_center: str | None = None
    status: Status = "success"
    error_code: str | None = None
    latency_ms: int | None = None
    data_mode: DataMode = "real"
    environment: Environment = "prod"
    trace_id: str | None = None
    workflow: str | None = None
    tags: Mapping[str, str] = {}
    shares: tuple[Share, ...] = ()

    user_id: str | None = None
    anon_id: str | None = None
    ip_hash: str | None = None
    agent_hash: str | None = None


class Rejection(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Why a payload is no usage event. `place` names where (a line, an index), `reason` is a
    stable code for programs, `message` says what is wrong and how to mend it."""

    place: str
    reason: str
    message: str
    key: str | None = None


COUNTS: Final = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
    "image_input_tokens",
    "image_output_tokens",
)
"""The token counts of an event, in the order in which they are keyed, sealed and stored."""

counts_of: Final = attrgetter(*COUNTS)
"""The counts of an event as a tuple in the order of COUNTS."""

fields_of: Final = msgspec.structs.astuple
"""All of an event, in the order of its fields: what takes much of it is quicker with this."""

_FIRST: Final = UsageEvent.__struct_fields__.index(COUNTS[0])
THE_COUNTS: Final = slice(_FIRST, _FIRST + len(COUNTS))
"""Where among `fields_of` the counts stand."""
assert UsageEvent.__struct_fields__[THE_COUNTS] == COUNTS, "the counts stand together, in order"

Counts = tuple[int | None, ...]
"""The counts of an event, in the order of COUNTS."""
