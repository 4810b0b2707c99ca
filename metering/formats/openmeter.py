"""OpenMeter's usage events: one CloudEvent → `UsageEvent` or `Rejection`.

`data` holds what a meter reads; `property_map` says what of it is what. The subject is OpenMeter's
customer, and so the tenant, unless the data names one. The key is the event's source and id, as in
OpenMeter's own deduplication; an event that is sent again with another time is the same one. What
OpenMeter accepts and drops later (no subject, another version) is refused here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from metering.domain.usage import Rejection, UsageEvent
from metering.formats import property_map
from metering.formats.cloudevents import CloudEvent, cloud_event
from metering.formats.property_map import PropertyMap
from metering.formats.spelt_out import Unreadable, object_of, refused, spell_out

PROPERTIES: Final = property_map.DEFAULT.preferring(
    {
        "tenant_id": ("tenantid",),
        "user_id": ("userid",),
        "endpoint_tag": ("endpointtag",),
        "prompt_version": ("promptversion",),
        "cost_center": ("costcenter", "costcentre"),
        "data_mode": ("datamode",),
    }
)
"""Names of extensions, which have neither capitals nor separators, beside all others."""


def parse(
    payload: bytes,
    *,
    place: str,
    source: str,
    received_at: datetime,
    properties: PropertyMap = PROPERTIES,
) -> UsageEvent | Rejection:
    """Read one event. Nothing that the bytes hold makes this raise."""
    sent = object_of(payload, place=place)
    if isinstance(sent, Rejection):
        return sent
    try:
        event = cloud_event(sent)
        fields = _fields(event, properties)
    except Unreadable as error:
        key = sent.get("id")
        return refused(error, place=place, key=key if isinstance(key, str) else None)
    return spell_out(fields, place=place, source=source, received_at=received_at)


def _fields(event: CloudEvent, properties: PropertyMap) -> dict[str, Any]:
    if event.subject is None:
        raise Unreadable(
            "missing_field", "subject is required: it says whose usage it is", "subject"
        )
    fields = properties.read(
        event.data, event.extensions, {"subject": event.subject}, kind=event.type
    )
    trace = event.extensions.get("trace_id")
    return {
        **fields,
        "tenant_id": fields.get("tenant_id") or event.subject,
        "event_id": event.identity,
        "external_request_id": fields["external_request_id"] or event.id,
        "occurred_at": event.time,
        "trace_id": fields["trace_id"] or (trace if isinstance(trace, str) else None),
    }
