"""The door for programs that send usage: straight to the view, without what people's pages need.

Sessions, CSRF tokens, messages and a logged-in person cost three quarters of what it takes to
answer a request that brings one event. The paths named here are answered by their view under the
one middleware that concerns them (HTTPS and its headers); the host's name is checked as elsewhere.
Every other path, and every path named here where it is asked for by another server than
`config.wsgi`, goes the usual way, with the same answer: a test holds the two doors together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, cast

from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.middleware.security import SecurityMiddleware
from django.urls import resolve
from django.utils.log import log_response

PATHS: Final = (
    "/api/v1/usage",
    "/v1/ingest/llm-request",
    "/openmeter/api/v1/events",
    "/lago/api/v1/events",
    "/lago/api/v1/events/batch",
)

Environ = dict[str, Any]
Start = Callable[[str, list[tuple[str, str]]], object]
Application = Callable[[Environ, Start], Iterable[bytes]]
View = Callable[[HttpRequest], HttpResponse]


def senders_door(usual: Application, paths: Iterable[str] = PATHS) -> Application:
    """`usual`, but for these paths, whose views must be exempt from CSRF and know no person."""
    views: Mapping[str, View] = {path: _guarded(resolve(path).func) for path in paths}

    def answer(environ: Environ, start: Start) -> Iterable[bytes]:
        view = views.get(environ["PATH_INFO"])
        if view is None or environ.get("SCRIPT_NAME"):
            return usual(environ, start)
        request = WSGIRequest(environ)
        response = view(request)
        if response.status_code >= 400:  # noqa: PLR2004 - refusals are logged, as Django does
            log_response(
                "%s: %s",
                response.reason_phrase,
                request.path,
                response=response,
                request=request,
            )
        start(f"{response.status_code} {response.reason_phrase}", list(response.items()))
        return response

    return answer


def _guarded(view: View) -> View:
    assert getattr(view, "csrf_exempt", False), "what asks for a CSRF token is a page of people"

    def checked(request: HttpRequest) -> HttpResponse:
        request.get_host()
        response = view(request)
        response["Content-Length"] = str(len(response.content))
        return response

    inner = SecurityMiddleware(convert_exception_to_response(checked))
    return cast("View", convert_exception_to_response(inner))
