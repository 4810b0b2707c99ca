"""The native event: one JSON object → `UsageEvent` or `Rejection`.

This is the hot path of ingestion. `NativeEvent` is the event's own struct with the wire's names
and limits, so that the decoder fills the very object that leaves here: nothing is copied. It is
finished in place before anybody else has seen it, and then becomes a plain `UsageEvent`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Any, Final, cast

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType, field

from metering.domain.money import plain
from metering.domain.usage import (
    COUNTS,
    MAX_TOKENS,
    DataMode,
    Environment,
    Rejection,
    ServedFrom,
    Share,
    Status,
    UsageEvent,
    UsageQuality,
)
from metering.formats.malformed import UNDECODABLE, refuse
from metering.formats.problems import (
    MAX_SHARES,
    Problem,
    contradiction,
    name_problem,
    shares_problem,
    units_problem,
)
from metering.formats.shares import UNREADABLE, by_tokens
from metering.providers.counts import Counts, ImpossibleCount, UnreadableUsage, figures
from metering.providers.dialects import read_usage

MAX_TEXT: Final = 200
FUTURE: Final = timedelta(hours=24)
"""How far a clock may run ahead: an event later than this after its receipt is refused."""
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""No language model was billed before; an earlier time is a mistake of unit."""

Name = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
Count = Annotated[int, Meta(ge=0, le=MAX_TOKENS)]
TagValue = Annotated[str, Meta(max_length=1000)]


class NativeShare(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A share on the wire: of tokens, of which a count that is left out is none, or by weight."""

    tenant_id: Name
    input_tokens: Count = 0
    output_tokens: Count = 0
    weight: Decimal | None = None


class NativeEvent(
    UsageEvent, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """The wire's names and limits. A field that is null or empty text is taken as absent; blank
    text is refused, because a name that nobody can see was hardly meant.

    The three fields that a sender cannot set have names that no sender uses, and are overwritten.
    """

    source: str = field(name="~source", default="")
    time_reported: bool = field(name="~timeReported", default=True)
    usage_quality: UsageQuality = field(name="~usageQuality", default="reported")

    external_request_id: Name
    provider: Name
    model: Name
    occurred_at: Annotated[datetime, Meta(tz=True)] | None = None  # type: ignore[assignment]
    event_id: Name | None = None
    attempt: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    model_executed: Name | None = None
    provider_request_id: Name | None = None

    input_tokens: Count | None = None
    cached_input_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    cache_write_1h_tokens: Count | None = field(name="cacheWrite1hTokens", default=None)
    output_tokens: Count | None = None
    reasoning_tokens: Count | None = None
    audio_input_tokens: Count | None = None
    audio_output_tokens: Count | None = None
    image_input_tokens: Count | None = None
    image_output_tokens: Count | None = None
    units: Annotated[dict[str, Decimal], Meta(max_length=50)] = {}  # noqa: RUF012 - msgspec copies an empty default
    usage: Raw | UnsetType = UNSET  # type: ignore[assignment]
    usage_format: Name | None = None

    service_tier: Name = "standard"
    batch: bool = False
    region: Name | None = None
    served_from: ServedFrom = "provider"
    endpoint_tag: Name | None = None
    prompt_version: Name | None = None
    tenant_id: Name | None = None
    user_id: Name | None = None
    anon_id: Name | None = None
    ip_hash: Name | None = None
    agent_hash: Name | None = None
    cost_center: Name | None = None
    status: Status = "success"
    error_code: Name | None = None
    latency_ms: Annotated[int, Meta(ge=0, le=1_000_000_000)] | None = None
    data_mode: DataMode = "real"
    environment: Environment = "prod"
    trace_id: Name | None = None
    workflow: Name | None = None
    tags: Annotated[dict[Name, TagValue], Meta(max_length=50)] = {}  # noqa: RUF012 - msgspec copies an empty default
    shares: Annotated[tuple[NativeShare, ...], Meta(max_length=MAX_SHARES)] = ()  # type: ignore[assignment]


FIELDS: Final[Mapping[str, str]] = {
    wire: name
    for wire, name in zip(
        NativeEvent.__struct_encode_fields__, NativeEvent.__struct_fields__, strict=True
    )
    if not wire.startswith("~")
}
"""The wire's names of the fields that a sender may give → their names here."""

_WIRE: Final = {name: wire for wire, name in FIELDS.items()}
_decode: Final = msgspec.json.Decoder(NativeEvent).decode
_set: Final = msgspec.structs.force_setattr
_become: Final[Callable[[object, type], None]] = cast("Any", object.__dict__["__class__"]).__set__
_NAMES: Final = ("externalRequestId", "provider", "model")
_NO_NUMBER_OF_ANYTHING: Final = 10**18
_TEXTS: Final = (
    *("external_request_id", "provider", "model"),
    *("event_id", "model_executed", "provider_request_id", "usage_format", "service_tier"),
    *("region", "endpoint_tag", "prompt_version", "tenant_id", "user_id", "anon_id", "ip_hash"),
    *("agent_hash", "cost_center", "error_code", "trace_id", "workflow"),
)
_WORDS: Final = re.compile(r'"[,}\]]|[ \\]|[^\x00-\x7f]')
"""Canonical JSON with a text as a value, or a name that is none: most usage objects are without,
and without the `E` of a number that has a great exponent."""
_TIERS: Final = {"default": "standard", "on_demand": "standard"}
_decode_json: Final = msgspec.json.Decoder(float_hook=Decimal).decode
_encode_json: Final = msgspec.json.Encoder(decimal_format="number", order="deterministic").encode


def parse(
    payload: bytes, *, place: str, source: str, received_at: datetime
) -> UsageEvent | Rejection:
    """Read one JSON object. Nothing that the bytes hold makes this raise.

    `received_at` (aware UTC) is the event's time if it reports none, and the measure of
    `future_time`. A `usage` object wins over the counts beside it; where they differ the event
    is kept with `usage_quality` *inconsistent*, and so is one with a count that no call can have
    (below zero, absurdly high): that count is not believed, and kept as it was sent.
    """
    impossible: Mapping[str, int] = {}
    try:
        try:
            event = _decode(payload)
        except msgspec.ValidationError:
            rest, impossible = _without_impossible(without_absent(payload))
            event = _decode(rest)
    except UNDECODABLE as error:
        return refuse(payload, error, place=place)
    problem = unreadable_name(event, payload)
    problem = problem or finish(
        event, source=source, received_at=received_at, impossible=impossible
    )
    return event if problem is None else rejection(event, problem, place=place)


def rejection(event: UsageEvent, problem: Problem, *, place: str) -> Rejection:
    """The rejection of an event that was decoded, with the key its sender knows it by."""
    return Rejection(
        place=place,
        reason=problem.reason,
        message=problem.message,
        key=event.event_id or event.external_request_id,
    )


def finish(
    event: NativeEvent,
    *,
    source: str,
    received_at: datetime,
    quality: UsageQuality = "reported",
    impossible: Mapping[str, int] = MappingProxyType({}),
) -> Problem | None:
    """Check a decoded event and turn it into a `UsageEvent`, in place; or say what is wrong.

    Counts that contradict one another (cached tokens above the input) are no reason to lose the
    call: the event is kept as it was sent, `usage_quality` says *inconsistent*, and rating says
    why it has no price. `impossible` are counts that were taken out of the event (by their names
    on the wire), which no column could hold: they stand in for the usage object.

    Only for an event that nobody else holds: to everyone else, events are immutable.
    """
    _set(event, "source", source)
    _set(event, "time_reported", True)  # noqa: FBT003 - the value that is set
    _set(event, "usage_quality", quality)
    problem = _settle_time(event, received_at)
    if event.usage is not UNSET:
        problem = problem or _take_usage(event)
    else:
        _set(event, "usage", _encode_json(impossible).decode() if impossible else None)
    if event.service_tier != "standard":
        _settle_tier(event, event.service_tier)
    if impossible or contradiction(event) is not None:
        _set(event, "usage_quality", "inconsistent")
    if event.input_tokens is None and event.output_tokens is None:
        problem = problem or _no_usage(event)
    if event.units:
        problem = problem or units_problem(event.units)
        if problem is None:
            _set(event, "units", {name: Decimal(plain(q)) for name, q in event.units.items()})
    if event.shares:
        problem = _settle_shares(event, event.shares) or problem
    _become(event, UsageEvent)
    return problem


def _settle_time(event: UsageEvent, received_at: datetime) -> Problem | None:
    at = cast("datetime | None", event.occurred_at)
    if at is None:
        _set(event, "occurred_at", received_at)
        _set(event, "time_reported", False)  # noqa: FBT003 - the value that is set
        return None
    if at < EARLIEST:
        return Problem(
            "past_time",
            f"occurredAt {at.isoformat()} is before {EARLIEST.year}; is it in the right unit?",
        )
    if at > received_at + FUTURE:
        return Problem(
            "future_time",
            f"occurredAt {at.isoformat()} is more than 24 hours after its receipt at "
            f"{received_at.isoformat()}; check the sender's clock and zone",
        )
    if at.tzinfo is not UTC:
        _set(event, "occurred_at", at.astimezone(UTC))
    return None


def unreadable_name(event: UsageEvent, payload: bytes) -> Problem | None:
    """Names are neither blank nor hold what cannot be seen; nothing holds NUL, which PostgreSQL
    cannot store.

    All but blanks and DEL is an escape or not ASCII in JSON, so most payloads need no walk.
    """
    if (
        payload.isascii()
        and b"\\" not in payload
        and b"\x7f" not in payload
        # (one byte is found faster than two, and most programs write no blanks)
        and (b" " not in payload or b'" ' not in payload)
    ):
        return None
    if b"\\u0000" in payload:
        return Problem("control_character", "the event holds NUL (\\u0000); remove it")
    texts = [(name, getattr(event, name)) for name in _TEXTS]
    texts += [("tags", key) for key in event.tags]
    for name, value in texts:
        problem = None if value is None else name_problem(_WIRE.get(name, name), value)
        if problem is not None:
            return problem
    return None


def without_absent(payload: bytes) -> bytes:
    """The payload without fields that are null or empty text: those are absent. They are rare
    enough to pay for themselves only, by a second look at what did not decode."""
    try:
        sent = _decode_json(payload)
    except ArithmeticError:
        return payload
    if not isinstance(sent, dict):
        return payload
    return _encode_json(
        {name: value for name, value in sent.items() if value not in (None, "") or name in _NAMES}
    )


def _without_impossible(payload: bytes) -> tuple[bytes, Mapping[str, int]]:
    """The payload without counts that are whole numbers and cannot be; and these."""
    sent = _decode_json(payload)
    if not isinstance(sent, dict):
        return payload, {}
    impossible = {
        name: value
        for name, value in sent.items()
        if FIELDS.get(name) in COUNTS
        and type(value) is int
        and not 0 <= value <= MAX_TOKENS
        and abs(value) < _NO_NUMBER_OF_ANYTHING
    }
    if not impossible:
        return payload, {}
    rest = {name: value for name, value in sent.items() if name not in impossible}
    return _encode_json(rest), impossible


def _settle_tier(event: UsageEvent, tier: str) -> None:
    """`batch` is a way of calling, not a tier; other names of the standard tier are one."""
    tier = tier.lower()
    if tier == "batch":
        _set(event, "batch", True)  # noqa: FBT003 - the value that is set
        tier = "standard"
    _set(event, "service_tier", _TIERS.get(tier, tier))


def _no_usage(event: UsageEvent) -> Problem | None:
    if event.units or any(getattr(event, name) is not None for name in COUNTS):
        return None
    if event.usage is not None:
        return None  # its counts could not be, but it is the only report of the call there is
    return Problem(
        "no_usage",
        "the event reports no usage; give inputTokens or outputTokens (0 if there was none), "
        "units, or the provider's usage object",
    )


def _settle_shares(event: UsageEvent, sent: tuple[NativeShare, ...]) -> Problem | None:
    """Put tokens in the place of weights, and check that the shares divide the call."""
    if all(share.weight is None for share in sent):
        shares = tuple(_share(share) for share in sent)
    else:
        divided = by_tokens(list(map(_weighted, sent)), event.input_tokens, event.output_tokens)
        if isinstance(divided, str):
            _set(event, "shares", ())
            return Problem("unreadable_shares", f"shares: {divided}")
        shares = tuple(Share(**share) for share in divided)
    _set(event, "shares", shares)
    return shares_problem(shares, event)


def _weighted(share: NativeShare) -> dict[str, Any]:
    if share.weight is None or share.input_tokens or share.output_tokens:
        return {UNREADABLE: "give all of them weights, or all of them tokens"}
    return {"tenant_id": share.tenant_id, "weight": str(share.weight)}


def _share(share: NativeShare) -> Share:
    return Share(
        tenant_id=share.tenant_id,
        input_tokens=share.input_tokens,
        output_tokens=share.output_tokens,
    )


def _take_usage(event: UsageEvent) -> Problem | None:
    """Replace the counts by those of the provider's own object and keep its canonical text, as far
    as that is figures. An object with a count that cannot be (below zero) is kept and not
    believed."""
    try:
        usage = _decode_json(cast("Raw", event.usage))
        if usage is None or usage == {}:
            _set(event, "usage", None)
            return None
        if not isinstance(usage, dict):
            return Problem("unreadable_usage", "usage is no object; send it as the provider did")
        text = _encode_json(usage).decode()
        if "E" in text or _WORDS.search(text):
            text = _encode_json(figures(usage)).decode()
        dialect, counts = read_usage(usage, declared=event.usage_format, provider=event.provider)
    except ImpossibleCount:
        _set(event, "usage", text)
        _set(event, "usage_quality", "inconsistent")
        return None
    except UnreadableUsage as error:
        return Problem("unreadable_usage", str(error))
    except (*UNDECODABLE, ArithmeticError) as error:
        return Problem("unreadable_usage", f"usage is no JSON object that can be read: {error}")
    _set(event, "usage", text)
    _set(event, "usage_format", dialect)
    _merge(event, counts)
    return None


def _merge(event: UsageEvent, counts: Counts) -> None:
    """What the usage object reports wins; what it is silent about stays as the sender gave it,
    unless that cannot be true together."""
    consistent = not counts.doubts
    filled = []
    for name in COUNTS:
        given, reported = getattr(event, name), getattr(counts, name)
        if reported is not None:
            consistent = consistent and given in (None, reported)
            _set(event, name, reported)
        elif given:
            filled.append(name)
    if filled and contradiction(event) and not contradiction(counts):
        consistent = False
        for name in filled:
            _set(event, name, None)
    if counts.units:
        consistent = consistent and all(
            event.units.get(name, quantity) == quantity for name, quantity in counts.units.items()
        )
        _set(event, "units", {**event.units, **counts.units})
    if counts.service_tier is not None:
        _set(event, "service_tier", counts.service_tier)
    if counts.region is not None and event.region is None:
        _set(event, "region", counts.region)
    if counts.model_executed is not None and event.model_executed is None:
        _set(event, "model_executed", counts.model_executed)
    _set(event, "usage_quality", "provider_reported" if consistent else "inconsistent")
