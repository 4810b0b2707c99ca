"""What granian serves: Django in threads, and small posts of usage by the event loop itself."""

from __future__ import annotations

import io
import os
import sys
from asyncio import AbstractEventLoop
from typing import TYPE_CHECKING, Final

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from config.wsgi import application as wsgi_application

if TYPE_CHECKING:
    from config.wsgi_in_threads import Exchange, Headers, Scope

from django.core.handlers.wsgi import WSGIRequest

from config.small_posts import SmallPosts
from config.wsgi_in_threads import Body, InThreads, environ_of, whole_body
from metering.api.dialects import refused_at

SWITCH_SECONDS: Final = 0.0005
"""How long a thread may keep the interpreter from another. The committer comes back from the
database some times a group, and each time would wait for the loop for Python's 5 ms."""


class Web:
    """An RSGI application; one for each process."""

    def __init__(self) -> None:
        self._threads = InThreads(wsgi_application, _refused)
        self._small = SmallPosts()

    def __rsgi_init__(self, loop: AbstractEventLoop) -> None:
        sys.setswitchinterval(SWITCH_SECONDS)
        self._small.begin(loop)

    def __rsgi_del__(self, loop: AbstractEventLoop) -> None:
        self._threads.close()

    async def __rsgi__(self, scope: Scope, exchange: Exchange) -> None:
        if scope.proto != "http":
            exchange.close(None)  # type: ignore[attr-defined]  # a WebSocket: there are none here
            return
        body: Body | None = None
        if self._small.are_at(scope):
            body = await whole_body(exchange)
            if isinstance(body, bytes) and await self._small.answer(scope, exchange, body):
                return
        await self._threads.answer(scope, exchange, body)


def _refused(scope: Scope, over_share: bool) -> tuple[int, Headers, bytes]:  # noqa: FBT001 - the one question
    request = WSGIRequest({**environ_of(scope), "wsgi.input": io.BytesIO()})
    response = refused_at(request, over_share=over_share)
    headers = [(name.lower(), value) for name, value in response.items()]
    return response.status_code, headers, response.content


application = Web()
