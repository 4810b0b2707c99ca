"""Why an event costs what it costs, as programs get it: JSON of decimal strings and instants."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from metering.domain.money import plain
from metering.domain.rating import Rating
from metering.pricing.explanation import Explanation, PriceFacts


def as_value(found: Explanation) -> dict[str, Any]:
    """The explanation as programs get it: amounts as decimal strings, instants as ISO 8601."""
    valued, reported = found.story.valued, found.story.reported
    return {
        "event": str(found.story.event_key),
        "external_request_id": reported["external_request_id"],
        "occurred_at": found.story.occurred_at.isoformat(),
        "provider": reported["provider"],
        "model": reported["model"],
        "model_executed": found.model,
        "state": found.story.state,
        "superseded_by": None
        if found.story.superseded_by is None
        else str(found.story.superseded_by),
        "in_place_of": [
            {
                "event": str(each.event_key),
                "state": each.state,
                "reason": each.reason,
                "source": each.source,
                "external_request_id": each.external_request_id,
            }
            for each in found.story.in_place_of
        ],
        "revision": found.story.revisions[-1].number if found.story.revisions else 0,
        "usage_quality": reported["usage_quality"],
        "pricing": valued["pricing"],
        "reason": valued["pricing_reason"],
        "cost": None if valued["cost"] is None else plain(valued["cost"]),
        "currency": valued["currency"],
        "lines": [
            {
                "token_class": each.line.token_class,
                "quantity": plain(each.line.quantity),
                "unit_price": plain(each.line.unit_price),
                "amount": plain(each.line.amount),
                "arithmetic": each.arithmetic,
                "quoted": each.quoted,
                "price": _price_value(each.price),
            }
            for each in found.lines
        ],
        "books": [
            {
                "book": each.book,
                "source": each.source,
                "why": each.why,
                "prices": [
                    {
                        "price_row": verdict.price.id,
                        "conditions": verdict.price.conditions.as_json(),
                        "valid_from": _instant(verdict.price.valid_from),
                        "valid_to": _instant(verdict.price.valid_to),
                        "used": verdict.is_used,
                        "why": verdict.why,
                    }
                    for verdict in each.verdicts
                ],
            }
            for each in found.books
        ],
        "candidates": [
            {"provider": each.provider, "model": each.model_id} for each in found.candidates
        ],
        "now": _rating_value(found.now),
        "requested": None if found.requested is None else _rating_value(found.requested),
        "is_current": found.is_current,
    }


def _rating_value(rating: Rating) -> dict[str, Any]:
    return {
        "pricing": rating.pricing,
        "reason": rating.reason,
        "cost": None if rating.cost is None else plain(rating.cost),
        "currency": rating.currency,
    }


def _price_value(price: PriceFacts | None) -> dict[str, Any] | None:
    if price is None:
        return None
    return {
        **price._asdict(),
        "valid_from": _instant(price.valid_from),
        "valid_to": _instant(price.valid_to),
        "discount_percent": None
        if price.discount_percent is None
        else plain(price.discount_percent),
    }


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
