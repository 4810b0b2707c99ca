"""Business outcomes on the wire: one JSON object → `BusinessOutcome` or `Rejection`.

Two shapes: our own, and a CloudEvent, whose type is the kind and whose source and id are its
identity; its subject is the tenant, unless the data or an extension names one. Names of data and
extensions are read as the attributes of a call are; what nobody named is left where it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from metering.domain.business_outcomes import BusinessOutcome
from metering.domain.money import plain
from metering.domain.usage import DataMode, Environment, Rejection
from metering.formats.attribute_map import AttributeMap
from metering.formats.cloudevents import cloud_event
from metering.formats.malformed import UNDECODABLE, refuse
from metering.formats.native import EARLIEST, FUTURE, Name, TagValue, without_absent
from metering.formats.openmeter import PROPERTIES
from metering.formats.problems import name_problem
from metering.formats.spelt_out import Unreadable, name_of, object_of, refused

MAX_QUANTITY: Final = Decimal(10) ** 12
QUANTITY_DECIMALS: Final = 9
_EXTENSIONS: Final = PROPERTIES.attributes
_JOINS: Final = {
    "external_request_id": ("external_request_id", "externalRequestId", "request_id", "requestId"),
    "trace_id": ("trace_id", "traceId"),
    "quantity": ("quantity", "count"),
}


class Sent(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The wire's own shape. A field that is null or empty text is absent."""

    outcome_id: Name
    outcome: Name
    quantity: Decimal = Decimal(1)
    occurred_at: Annotated[datetime, Meta(tz=True)] | None = None
    tenant_id: Name | None = None
    endpoint_tag: Name | None = None
    prompt_version: Name | None = None
    workflow: Name | None = None
    external_request_id: Name | None = None
    trace_id: Name | None = None
    cost_center: Name | None = None
    data_mode: DataMode = "real"
    environment: Environment = "prod"
    tags: Annotated[dict[Name, TagValue], Meta(max_length=50)] = {}


_decode: Final = msgspec.json.Decoder(Sent).decode
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


def parse(
    payload: bytes,
    *,
    place: str,
    source: str,
    received_at: datetime,
    attributes: AttributeMap = _EXTENSIONS,
) -> BusinessOutcome | Rejection:
    """Read one outcome in either shape. Nothing that the bytes hold makes this raise."""
    sent = object_of(payload, place=place)
    if isinstance(sent, Rejection):
        return sent
    key = sent.get("outcomeId", sent.get("id"))
    key = key if isinstance(key, str) else None
    try:
        if "specversion" in sent:
            payload = _encode(_of_cloud_event(sent, attributes))
        else:
            _require(sent)
        read = _read(payload)
        _check(read, received_at)
    except msgspec.ValidationError as error:
        return refuse(payload, error, place=place)
    except UNDECODABLE as error:
        return refuse(payload, error, place=place)
    except Unreadable as error:
        return refused(error, place=place, key=key)
    return BusinessOutcome(
        source=source,
        outcome_id=read.outcome_id,
        kind=read.outcome,
        quantity=Decimal(plain(read.quantity)),
        occurred_at=received_at if read.occurred_at is None else read.occurred_at.astimezone(UTC),
        time_reported=read.occurred_at is not None,
        tenant_id=read.tenant_id,
        endpoint_tag=read.endpoint_tag,
        prompt_version=read.prompt_version,
        workflow=read.workflow,
        external_request_id=read.external_request_id,
        trace_id=read.trace_id,
        cost_center=read.cost_center,
        data_mode=read.data_mode,
        environment=read.environment,
        tags=read.tags,
    )


def _require(sent: Mapping[str, Any]) -> None:
    for name in ("outcomeId", "outcome"):
        if sent.get(name) in (None, ""):
            raise Unreadable("missing_field", f"{name} is required, and no empty text", name)


def _read(payload: bytes) -> Sent:
    try:
        return _decode(payload)
    except msgspec.ValidationError:
        return _decode(without_absent(payload))


def _of_cloud_event(sent: Mapping[str, Any], attributes: AttributeMap) -> dict[str, Any]:
    event = cloud_event(sent)
    told = attributes.read(event.data, event.extensions)
    joins = {
        field: next(
            (
                holder[name]
                for holder in (event.data, event.extensions)
                for name in names
                if holder.get(name) not in (None, "")
            ),
            None,
        )
        for field, names in _JOINS.items()
    }
    quantity = joins["quantity"]
    return {
        "outcomeId": name_of(event.source, event.id),
        "outcome": event.type,
        "quantity": 1 if quantity is None else quantity,
        "occurredAt": event.time,
        "tenantId": told.get("tenant_id") or event.subject,
        "endpointTag": told.get("endpoint_tag"),
        "promptVersion": told.get("prompt_version"),
        "workflow": told.get("workflow"),
        "externalRequestId": joins["external_request_id"],
        "traceId": joins["trace_id"],
        "costCenter": told.get("cost_center"),
        "dataMode": told.get("data_mode"),
        "environment": told.get("environment"),
        "tags": told.get("tags"),
    }


def _check(read: Sent, received_at: datetime) -> None:
    quantity = read.quantity
    exponent = quantity.as_tuple().exponent
    if not isinstance(exponent, int) or not (
        0 < quantity <= MAX_QUANTITY and exponent >= -QUANTITY_DECIMALS
    ):
        raise Unreadable(
            "quantity",
            f"quantity is {quantity!s:.60}; it lies above 0, up to {MAX_QUANTITY}, with at most"
            f" {QUANTITY_DECIMALS} decimals",
            "quantity",
        )
    at = read.occurred_at
    if at is not None and at < EARLIEST:
        raise Unreadable("past_time", f"occurredAt {at.isoformat()} is too early", "occurredAt")
    if at is not None and at > received_at + FUTURE:
        raise Unreadable(
            "future_time",
            f"occurredAt {at.isoformat()} is more than 24 hours after its receipt at"
            f" {received_at.isoformat()}; check the sender's clock and zone",
            "occurredAt",
        )
    texts = [
        ("outcomeId", read.outcome_id),
        ("outcome", read.outcome),
        ("tenantId", read.tenant_id),
        ("endpointTag", read.endpoint_tag),
        ("promptVersion", read.prompt_version),
        ("workflow", read.workflow),
        ("externalRequestId", read.external_request_id),
        ("traceId", read.trace_id),
        ("costCenter", read.cost_center),
        *(("tags", tag) for tag in read.tags),
    ]
    for field, value in texts:
        problem = None if value is None else name_problem(field, value)
        if problem is not None:
            raise Unreadable(problem.reason, problem.message, field)
    if any("\0" in value for value in read.tags.values()):
        raise Unreadable("control_character", "tags hold NUL (\\u0000); remove it", "tags")
