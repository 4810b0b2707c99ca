"""Who is asking: the API key of a request, for plain views and for Django REST framework."""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime
from typing import Any

import pghistory
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from metering.api_keys import KeyFacts, KeyRefused, authenticate
from metering.small_intake import recall


def secret_of(request: HttpRequest | Request) -> str | None:
    """The secret in `Authorization` (`Bearer <key>`, or the password of `Basic`, as Langfuse's
    clients send their secret key) or `X-API-Key`; `None` if there is neither.

    Raises `KeyRefused` where the header cannot carry a key, or where the two headers disagree:
    which of them is meant must not depend on who reads it.
    """
    bearer = None
    authorization = request.META.get("HTTP_AUTHORIZATION")
    if authorization is not None:
        kind, _, bearer = authorization.strip().partition(" ")
        bearer = bearer.strip()
        if kind.lower() == "basic":
            bearer = _password(bearer)
        elif kind.lower() != "bearer":
            bearer = None
        if not bearer:
            raise KeyRefused(
                "no_key", "the Authorization header carries no API key; write it as Bearer <key>"
            )
    sent = request.META.get("HTTP_X_API_KEY")
    key = sent.strip() if sent is not None else None
    if bearer and key and bearer != key:
        raise KeyRefused("no_key", "Authorization and X-API-Key carry different keys; send one")
    return bearer or key or None


def _password(credentials: str) -> str | None:
    try:
        name, colon, password = b64decode(credentials, validate=True).decode().partition(":")
    except ValueError:
        return None
    return password.strip() if colon else name.strip()


def key_of(request: HttpRequest, scope: str) -> KeyFacts:
    """The request's key, if it is good for the scope. Raises `KeyRefused`."""
    return _named(authenticate(_secret(request), scope, datetime.now(UTC)))


def sender_of(request: HttpRequest, scope: str) -> KeyFacts:
    """As `key_of`, but from memory where this process has met the key before: what takes the
    request in (`metering.small_intake`) asks whether it is still good. Raises `KeyRefused`."""
    return recall(_secret(request), scope)


def _secret(request: HttpRequest) -> str:
    secret = secret_of(request)
    if secret is None:
        raise KeyRefused(
            "no_key", "this needs an API key: send it as Authorization: Bearer <key> or X-API-Key"
        )
    return secret


class ApiKeyAuthentication(BaseAuthentication):
    """`request.auth` is the key's `KeyFacts`; there is no user, since a key is nobody's hands.

    What a key may do here is a permission's question (`has_scope`), so any live key passes.
    """

    def authenticate(self, request: Request) -> tuple[AnonymousUser, KeyFacts] | None:
        secret = secret_of(request)
        if secret is None:
            return None
        return AnonymousUser(), _named(authenticate(secret, None, datetime.now(UTC)))

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002 - the framework's
        return 'Bearer realm="apportion"'


def _named(key: KeyFacts) -> KeyFacts:
    """The key, which from then on stands in the history of what is changed."""
    pghistory.context(api_key=key.name)
    return key


def has_scope(*scopes: str) -> type[BasePermission]:
    """A permission that lets API keys with one of these scopes in, and nobody else."""

    class HasScope(BasePermission):
        def has_permission(self, request: Request, view: APIView) -> bool:  # noqa: ARG002
            key: Any = request.auth
            if not isinstance(key, KeyFacts):
                return False
            if key.scope not in scopes:
                raise KeyRefused(
                    "wrong_scope",
                    f"the API key {key.name!r} has the scope {key.scope}; this needs a key with"
                    f" the scope {' or '.join(scopes)}",
                )
            return True

    return HasScope
