"""One call that was reported by several routes, as one event.

An application knows for whom it called; an SDK or a gateway knows what the provider answered. Who
knows what is a rule: a source says which of the two it is (`Role`), and where none says so it is
seen from the reports themselves. What comes out hangs on the reports alone, not on their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

from metering.domain.usage import COUNTS, UsageEvent, UsageQuality, counts_of

Role = Literal["application", "meter"]
"""`application`: its attribution is believed first; `meter` (an SDK, a gateway): its usage is."""

ATTRIBUTION: Final = (
    *("external_request_id", "model", "endpoint_tag", "prompt_version", "tenant_id"),
    *("cost_center", "data_mode", "environment", "workflow"),
)
MEASURED: Final = (
    *("occurred_at", "time_reported", *COUNTS, "units", "usage", "usage_format"),
    *("usage_quality", "service_tier", "batch", "region", "served_from", "status"),
    *("error_code", "latency_ms"),
)
_SAYS_WHOSE: Final = ("tenant_id", "endpoint_tag", "prompt_version", "cost_center", "workflow")
_EITHER: Final = ("provider_request_id", "trace_id", "region", "latency_ms")
_BELIEVED: Final[Mapping[UsageQuality, int]] = {
    "provider_reported": 4,
    "reported": 3,
    "estimated": 2,
    "inconsistent": 1,
    "missing": 0,
}
SAME_CALL: Final = timedelta(hours=24)
"""Reports of one trace that lie further apart are of two calls, however alike they are."""
ROUNDING_MS: Final = 1
"""Milliseconds by which two ways to write one duration may differ."""


class Route(NamedTuple):
    """A report of a call with what it is known by: the key of its event, and whether it names who
    called."""

    key: str
    event: UsageEvent
    names_user: bool


class Merged(NamedTuple):
    """The event that counts, and the routes that its attribution, its usage and its user come
    from (`None`: nobody named one)."""

    event: UsageEvent
    attribution: Route
    measure: Route
    user: Route | None


def merged_call(routes: Sequence[Route], roles: Mapping[str, Role]) -> Merged:
    """The call that these reports are of: attribution from the application's, usage from the
    SDK's or gateway's. `roles` are those that sources declare.

    Where the one that has the attribution is silent, the others fill in, the best first; the
    same for latency, region and ids. Its source and request id are those of the attribution, so
    the source's own defaults hold; its event id names every report. Shares divide the tokens that
    they were reported with, so where they are the usage is taken from there.
    """
    by_attribution = sorted(routes, key=lambda route: _attributes(route, roles), reverse=True)
    by_measure = sorted(routes, key=lambda route: _measures(route, roles), reverse=True)
    attribution, measure = by_attribution[0], by_measure[0]
    shared = next((route for route in by_attribution if route.event.shares), None)
    if shared is not None and _differ(shared.event, measure.event):
        measure = shared
    fields = {name: getattr(attribution.event, name) for name in ATTRIBUTION}
    fields |= {name: getattr(measure.event, name) for name in MEASURED}
    for name in _SAYS_WHOSE:
        fields[name] = fields[name] or _first(name, by_attribution)
    for name in _EITHER:
        fields[name] = _coalesce(fields.get(name), _first(name, by_measure))
    if not fields["time_reported"]:
        fields |= _time_of(by_measure)
    event = UsageEvent(
        source=attribution.event.source,
        provider=attribution.event.provider,
        event_id="merged:" + "+".join(sorted(route.key for route in routes)),
        model_executed=_executed(fields["model"], by_measure),
        tags=_tags(by_attribution),
        shares=shared.event.shares if shared is not None else (),
        **fields,
    )
    user = next((route for route in by_attribution if route.names_user), None)
    return Merged(event, attribution, measure, user)


def are_one(one: UsageEvent, other: UsageEvent) -> bool:
    """Whether two reports of one trace are of the same call: same provider, model and tokens.
    Without tokens there is nothing to know it by."""
    return (
        one.provider == other.provider
        and bool(one.input_tokens or one.output_tokens)
        and one.input_tokens == other.input_tokens
        and one.output_tokens == other.output_tokens
        and bool(_models(one) & _models(other))
        and abs(one.occurred_at - other.occurred_at) <= SAME_CALL
    )


def begun_as_one(one: UsageEvent, other: UsageEvent) -> bool:
    """Whether two reports of calls that began at one instant are of the same call: as `are_one`, or
    of the same model and duration, where not both tell its usage. What is estimated, each from the
    texts that its route has, or not told at all, contradicts nothing."""
    if one.provider != other.provider or not _models(one) & _models(other):
        return False
    if _tells(one) and _tells(other):
        return are_one(one, other)
    latencies = (one.latency_ms, other.latency_ms)
    return None in latencies or abs((latencies[0] or 0) - (latencies[1] or 0)) <= ROUNDING_MS


def estimated_beside(one: UsageEvent, other: UsageEvent) -> bool:
    """Whether two reports of one trace are of the same call though only one of them tells what was
    used, and the other estimates it or leaves it out: of the same model, ended alike, the time of
    one within the time of the other. Two ids of answers are of two calls."""
    ids = {one.provider_request_id, other.provider_request_id} - {None}
    return (
        one.provider == other.provider
        and one.status == other.status
        and bool(_models(one) & _models(other))
        and _tells(one) != _tells(other)
        and len(ids) <= 1
        and one.time_reported
        and other.time_reported
        and _nested(one, other)
    )


def one_within_the_other(one: UsageEvent, other: UsageEvent) -> bool:
    """Whether two reports are of the same call (as `are_one`, or both failed) and the time of one
    lies within the time of the other, as that of a client's own span within one of a library around
    it. A duration that nobody told is none."""
    return (are_one(one, other) or one.status == other.status == "error") and _nested(one, other)


def _nested(one: UsageEvent, other: UsageEvent) -> bool:
    outer, inner = sorted((one, other), key=lambda event: event.occurred_at)
    ends = [
        event.occurred_at + timedelta(milliseconds=event.latency_ms or 0)
        for event in (outer, inner)
    ]
    return ends[1] <= ends[0] + timedelta(milliseconds=ROUNDING_MS)


def _tells(event: UsageEvent) -> bool:
    return event.usage_quality not in ("estimated", "missing")


def _models(event: UsageEvent) -> set[str]:
    return {event.model, event.model_executed or event.model}


def _attributes(route: Route, roles: Mapping[str, Role]) -> tuple[bool, int, str, str, str]:
    event = route.event
    said = sum(bool(getattr(event, name)) for name in _SAYS_WHOSE)
    said += route.names_user + bool(event.shares) + bool(event.tags)
    return (
        _has(event, roles, "application"),
        said,
        event.source,
        event.external_request_id,
        route.key,
    )


def _measures(
    route: Route, roles: Mapping[str, Role]
) -> tuple[bool, int, bool, int, datetime, str, str, str]:
    """Of reports that tell as much, the one that began last is believed: what is around a call
    begins before it, and what is nearest to the provider has it from the provider."""
    event = route.event
    counts = sum(count is not None for count in counts_of(event)) + bool(event.units)
    usable = event.usage_quality != "missing"
    return (
        usable and _has(event, roles, "meter"),
        _BELIEVED[event.usage_quality],
        event.usage is not None,
        counts,
        event.occurred_at,
        event.source,
        event.external_request_id,
        route.key,
    )


def _has(event: UsageEvent, roles: Mapping[str, Role], role: Role) -> bool:
    return roles.get(event.source) == role


def _differ(one: UsageEvent, other: UsageEvent) -> bool:
    return (one.input_tokens, one.output_tokens) != (other.input_tokens, other.output_tokens)


def _first(name: str, routes: Iterable[Route]) -> Any:
    found = (getattr(route.event, name) for route in routes)
    return next((value for value in found if value is not None), None)


def _coalesce(value: Any, other: Any) -> Any:
    return other if value is None else value


def _time_of(routes: Iterable[Route]) -> dict[str, Any]:
    for route in routes:
        if route.event.time_reported:
            return {"occurred_at": route.event.occurred_at, "time_reported": True}
    return {}


def _executed(model: str, routes: Iterable[Route]) -> str | None:
    """What ran: as the one that saw the answer says."""
    for route in routes:
        executed = route.event.model_executed or route.event.model
        if route.event.model_executed is not None or executed != model:
            return executed
    return None


def _tags(routes: Iterable[Route]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for route in routes:
        for name, value in route.event.tags.items():
            tags.setdefault(name, value)
    return tags
