"""Which reports are of one call. Pure: what is asked is what was reported.

Two reports that carry the provider's request id are; of one trace, those of the same span, or of
the same model with the same tokens, or of the same model and time where only one tells what was
used, each paired once; so are those that began at one instant, of
what LangSmith's SDK may send twice, unless they tell different usage; and what a provider's client
tells within the time of a library around it. Never across tenants or providers.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from metering.calls import call_identities
from metering.calls.call_identities import Kind, Shared, route_of
from metering.calls.route_reports import Found
from metering.domain.merged_calls import (
    are_one,
    begun_as_one,
    estimated_beside,
    one_within_the_other,
)
from metering.domain.usage import UsageEvent, counts_of


def pair(shared: Shared, arrived: Mapping[str, UsageEvent], found: Found) -> None:
    here = [member.key for member in shared.members if member.key in found.events]
    for key in here:
        if key in arrived:
            for other in here:
                if found.groups[other] != found.groups[key] and _fit(
                    shared.kind, key, other, found
                ):
                    found.join(key, other)


def _fit(kind: Kind, key: str, other: str, found: Found) -> bool:
    """Whether two reports with one identity are of one call, and their other reports too."""
    event, known = found.events[key].event, found.events[other].event
    if kind != "request" and route_of(event) == route_of(known):
        return False
    if kind == "trace" and not (
        _same_span(event, known) or are_one(event, known) or estimated_beside(event, known)
    ):
        return False
    if kind == "start" and not (_same_start(event, known) and begun_as_one(event, known)):
        return False
    if kind == "within" and not one_within_the_other(event, known):
        return False
    return all(
        _can_be_one(found.events[a].event, found.events[b].event, by_request=kind == "request")
        for a in found.groups[key]
        for b in found.groups[other]
    )


def _can_be_one(one: UsageEvent, other: UsageEvent, *, by_request: bool) -> bool:
    """A route reports a call once, so two reports by one route are two calls: unless it gave them
    one request id of the provider's under two names, and the same counts or one trace (servers at
    home give short ids, which come again, but hardly in one trace). What is for one tenant is
    never merged with what is for another."""
    if one.provider != other.provider:
        return False
    if one.tenant_id and other.tenant_id and one.tenant_id != other.tenant_id:
        return False
    if route_of(one) != route_of(other):
        return True
    return (
        by_request
        and one.provider_request_id == other.provider_request_id
        and one.external_request_id != other.external_request_id
        and (counts_of(one) == counts_of(other) or _spans_of_one_trace(one, other))
    )


def _spans_of_one_trace(one: UsageEvent, other: UsageEvent) -> bool:
    return None not in (_span(one), _span(other)) and one.trace_id == other.trace_id


def _same_start(one: UsageEvent, other: UsageEvent) -> bool:
    return abs(one.occurred_at - other.occurred_at) <= timedelta(
        microseconds=call_identities.ROUNDING
    )


def _same_span(one: UsageEvent, other: UsageEvent) -> bool:
    return None not in (spans := {_span(one), _span(other)}) and len(spans) == 1


def _span(event: UsageEvent) -> str | None:
    """The span that an event was made of, without trace and version."""
    if event.event_id is None or not event.event_id.startswith(call_identities.SPAN_EVENT):
        return None
    return call_identities.span_of(event.event_id)
