"""`POST /stripe/webhook`: what Stripe tells, believed by its signature only."""

from __future__ import annotations

import logging
from typing import Final

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from billing.stripe_events import NotAnEvent, WebhooksNotConfigured, apply, receive
from billing.stripe_gateway import WebhookRefused
from metering.api.problems import method_not_allowed, problem

MAX_BYTES: Final = 1024 * 1024
"""Stripe's events are some kilobytes; an invoice in one carries ten lines at most."""

logger = logging.getLogger(__name__)


@csrf_exempt
def webhook(request: HttpRequest) -> HttpResponse:
    """Store, then apply. 200 means that the event is stored, whether it could be applied or not:
    what could not is applied by the schedule, and Stripe need not send it again."""
    if request.method != "POST":
        return method_not_allowed(request, "POST")
    body = request.read(MAX_BYTES + 1)
    if len(body) > MAX_BYTES:
        return problem(
            413, "body-too-large", "Body too large", f"webhooks have at most {MAX_BYTES:,} bytes"
        )
    now = timezone.now()
    try:
        event = receive(body, request.headers.get("Stripe-Signature", ""), now=now)
    except WebhooksNotConfigured as unset:
        return problem(503, "webhooks-not-configured", "Webhooks are not configured", str(unset))
    except WebhookRefused as refused:
        return problem(400, "webhook-signature", "The signature does not hold", str(refused))
    except NotAnEvent as wrong:
        return problem(400, "webhook-body", "Not an event", str(wrong))
    try:
        apply(event.pk, now=now)
    except DatabaseError:
        logger.exception("event %s is stored and not applied yet", event.event)
    return JsonResponse({"received": event.event})
