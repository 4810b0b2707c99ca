"""Errors as `application/problem+json` (RFC 9457): one shape for all of them.

`type` is stable (`urn:apportion:problem:` and a name that programs can branch on); `title` says
what kind of thing went wrong, `detail` what went wrong this time and how to mend it.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.views import defaults
from rest_framework import exceptions
from rest_framework.views import set_rollback

from metering.api_keys import KeyRefused

CONTENT_TYPE: Final = "application/problem+json"
_URN: Final = "urn:apportion:problem:"
_encode: Final = msgspec.json.Encoder(decimal_format="string").encode


def problem(
    status: int,
    type: str,  # noqa: A002 - the member's name in RFC 9457
    title: str,
    detail: str,
    **more: object,
) -> HttpResponse:
    """The response; `type` is the name alone (`malformed-json`), `more` are further members."""
    body = {"type": _URN + type, "title": title, "status": status, "detail": detail, **more}
    return HttpResponse(_encode(body), status=status, content_type=CONTENT_TYPE)


def key_refused(refused: KeyRefused) -> HttpResponse:
    """401 with a challenge, or 403, with the reason in `type`."""
    title = "Not allowed with this key" if refused.status == HTTPStatus.FORBIDDEN else "No access"
    response = problem(refused.status, refused.reason.replace("_", "-"), title, refused.detail)
    if refused.status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = 'Bearer realm="apportion"'
    return response


def method_not_allowed(request: HttpRequest, *allowed: str) -> HttpResponse:
    response = problem(
        405,
        "method-not-allowed",
        "Method not allowed",
        f"{request.method} is not understood here; send {' or '.join(allowed)}",
    )
    response["Allow"] = ", ".join(allowed)
    return response


def unavailable() -> HttpResponse:
    """The database does not answer, or asked for one retry too many. Nothing was stored."""
    response = problem(
        503,
        "unavailable",
        "Not available at the moment",
        "nothing was stored; send it again in a moment: what was stored before is a duplicate",
    )
    response["Retry-After"] = "1"
    return response


def overloaded() -> HttpResponse:
    """More comes in than can be stored in good time, so this was refused."""
    response = problem(
        503,
        "overloaded",
        "Too much at once",
        "more is waiting to be stored than can be in good time; send it again in a moment: what"
        " was stored all the same is a duplicate then",
    )
    response["Retry-After"] = "1"
    return response


def too_many() -> HttpResponse:
    """More of this sender's is waiting than its share; others' is taken."""
    response = problem(
        429,
        "too-many-requests",
        "Too many requests at once",
        "more that was sent with this key is waiting to be stored than its share; send it again in"
        " a moment, in larger batches or over fewer connections",
    )
    response["Retry-After"] = "1"
    return response


def fault() -> HttpResponse:
    """A fault of ours; the log has its cause."""
    return problem(
        500, "server-error", "Server error", "a fault of this server, which has been logged"
    )


def handle(
    error: Exception,
    context: Mapping[str, Any],  # noqa: ARG001 - the framework's
) -> HttpResponse | None:
    """Django REST framework's exception handler: its errors, and refused keys, as problems."""
    if isinstance(error, KeyRefused):
        set_rollback()
        return key_refused(error)
    if isinstance(error, Http404):
        error = exceptions.NotFound(str(error) or None)
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied(str(error) or None)
    if not isinstance(error, exceptions.APIException):
        return None
    set_rollback()
    response = _of_framework(error)
    for name, value in _headers(error).items():
        response[name] = value
    return response


def _of_framework(error: exceptions.APIException) -> HttpResponse:
    code = error.default_code.replace("_", "-")
    title = HTTPStatus(error.status_code).phrase
    if isinstance(error.detail, str):
        return problem(error.status_code, code, title, str(error.detail))
    return problem(
        error.status_code,
        code,
        title,
        "some of what was sent is not valid; `errors` names each field",
        errors=_plain(error.detail),
    )


def _plain(detail: object) -> object:
    if isinstance(detail, Mapping):
        return {str(name): _plain(value) for name, value in detail.items()}
    if isinstance(detail, list | tuple):
        return [_plain(value) for value in detail]
    return str(detail)


def _headers(error: exceptions.APIException) -> dict[str, str]:
    headers = {}
    challenge = getattr(error, "auth_header", None)
    if challenge:
        headers["WWW-Authenticate"] = str(challenge)
    wait = getattr(error, "wait", None)
    if wait:
        headers["Retry-After"] = str(int(wait))
    return headers


_PROGRAMS: Final = (
    *("/api/", "/v1/", "/stripe/", "/integrations/"),
    *("/openmeter/", "/lago/", "/langfuse/", "/langsmith/"),
)
"""Where programs ask; everywhere else people do, and get Django's pages."""


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's 400 (a host or a header that it refuses), as a problem where programs ask."""
    if request.path.startswith(_PROGRAMS):
        return problem(400, "bad-request", "Bad request", "the request cannot be understood")
    return defaults.bad_request(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """An address that leads nowhere, as a problem where programs ask."""
    if request.path.startswith(_PROGRAMS):
        return problem(
            404,
            "not-found",
            "Not found",
            f"there is nothing at {request.path!r:.200}; /api/docs/ lists what there is",
        )
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """A fault of ours, as a problem where programs ask; the log has its cause."""
    if request.path.startswith(_PROGRAMS):
        return fault()
    return defaults.server_error(request)
