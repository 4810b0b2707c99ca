"""Signed webhooks, sent when and how often and in which order one likes."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
from typing import Literal
from urllib.parse import urlsplit

from tests.doubles.stripe.objects import Content

Order = Literal["as_made", "reversed"]


def signature(body: bytes, secret: str, at: int) -> str:
    """The `Stripe-Signature` header: HMAC-SHA256 over the time, a dot, and the body."""
    mac = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={mac}"


def body_of(event: Content) -> bytes:
    return json.dumps(event, indent=2).encode()


def post(url: str, event: Content, secret: str, at: int) -> int:
    """Send one webhook; the status of the answer."""
    body = body_of(event)
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=10)
    try:
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature(body, secret, at),
        }
        connection.request("POST", parts.path, body, headers)
        return connection.getresponse().status
    finally:
        connection.close()
