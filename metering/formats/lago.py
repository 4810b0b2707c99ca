"""Lago's events: one `event` object → `UsageEvent` or `Rejection`.

`properties` hold what a billable metric reads; `property_map` says what of it is what. The
subscription is the tenant, unless the properties name one; `code` (the metric's) may name the side
of the call that a bare count of tokens belongs to. A `transaction_id` is unique within its
subscription, as in Lago. `precise_total_amount_cents` is a price of the sender's and is not read.

What Lago itself would refuse has Lago's codes (`value_is_mandatory`, `invalid_format`); what it
would take and count nowhere (a code without usage in it) is refused with ours. A rejection's place
ends with the member at fault.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from metering.domain.usage import Rejection, UsageEvent
from metering.formats import property_map
from metering.formats.property_map import PropertyMap
from metering.formats.spelt_out import (
    Unreadable,
    instant_of_seconds,
    name_of,
    object_of,
    refused,
    spell_out,
)

MANDATORY: Final = "value_is_mandatory"
INVALID: Final = "invalid_format"
MEMBERS: Final = (
    *("transaction_id", "external_subscription_id", "code", "timestamp"),
    "precise_total_amount_cents",
)
_TIMES: Final = ("future_time", "past_time", "late")
_SECONDS: Final = re.compile(r"\d{1,20}(\.\d{1,20})?", re.ASCII)


def parse(
    payload: bytes,
    *,
    place: str,
    source: str,
    received_at: datetime,
    properties: PropertyMap = property_map.DEFAULT,
) -> UsageEvent | Rejection:
    """Read one event, bare or within `{"event": …}`. Nothing that the bytes hold makes this
    raise."""
    sent = object_of(payload, place=place)
    if isinstance(sent, Rejection):
        return sent
    if isinstance(sent.get("event"), Mapping):
        sent = sent["event"]
    try:
        fields = _fields(sent, properties)
    except Unreadable as error:
        key = sent.get("transaction_id")
        return refused(error, place=place, key=key if isinstance(key, str) else None)
    event = spell_out(fields, place=place, source=source, received_at=received_at)
    if isinstance(event, Rejection) and event.reason in _TIMES:
        return msgspec.structs.replace(event, place=f"{place}, timestamp")
    return event


def member_of(rejection: Rejection) -> str:
    """The member of the event that was at fault; `properties` for everything within them."""
    member = rejection.place.rpartition(", ")[2]
    return member if member in MEMBERS else "properties"


def instant(timestamp: object) -> datetime | None:
    """Lago's timestamp: seconds since 1970 as a number or a text of digits. `None` where there is
    none. Raises `Unreadable`."""
    if timestamp is None or timestamp == "":
        return None
    seconds: int | Decimal | None = None
    if isinstance(timestamp, int | Decimal) and not isinstance(timestamp, bool):
        seconds = timestamp
    elif isinstance(timestamp, str) and _SECONDS.fullmatch(timestamp.strip()):
        seconds = Decimal(timestamp.strip())
    found = None if seconds is None else instant_of_seconds(seconds)
    if found is None:
        raise Unreadable(
            INVALID,
            f"timestamp is {timestamp!r:.60}; it is seconds since 1970, like 1710421740 or"
            ' "1710421740.123"',
            "timestamp",
        )
    return found


def _fields(sent: Mapping[str, Any], properties: PropertyMap) -> dict[str, Any]:
    transaction = _required(sent, "transaction_id")
    subscription = _required(sent, "external_subscription_id")
    code = _required(sent, "code")
    occurred_at = instant(sent.get("timestamp"))
    said = sent.get("properties")
    if said is not None and not isinstance(said, Mapping):
        raise Unreadable(INVALID, "properties is no object", "properties")
    fields = properties.read(said or {}, {"external_subscription_id": subscription}, kind=code)
    return {
        **fields,
        "tenant_id": fields.get("tenant_id") or subscription,
        "event_id": name_of(subscription, transaction),
        "external_request_id": fields["external_request_id"] or transaction,
        "occurred_at": occurred_at,
    }


def _required(sent: Mapping[str, Any], name: str) -> str:
    value = sent.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None or value == "":
        raise Unreadable(MANDATORY, f"{name} is required", name)
    if not isinstance(value, str):
        raise Unreadable(INVALID, f"{name} is no text", name)
    return value
