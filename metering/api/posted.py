"""A small post without Django's request: what an event loop hands to an endpoint, and what the
endpoint makes of it if it is in order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple, Protocol

from django.http import HttpResponse
from django.utils.http import parse_header_parameters

from metering.outcomes import Outcome
from metering.small_intake import Sent


class Headers(Protocol):
    """What was sent, by names in small letters, each of which came once."""

    def get(self, key: str, default: str, /) -> str: ...
    def items(self) -> Iterable[tuple[str, str]]: ...
    def __contains__(self, key: str, /) -> bool: ...


class Posted(NamedTuple):
    """A post as it came, `secret` being its API key."""

    secret: str
    headers: Headers
    query: str
    body: bytes
    now: datetime

    @property
    def kind(self) -> str:
        """The content type as it was sent, with its parameters."""
        return self.headers.get("content-type", "")


class Said(NamedTuple):
    """An answer; `kind` is its content type, empty where there is no content."""

    status: int
    content: bytes
    kind: str = "application/json"

    @classmethod
    def by(cls, response: HttpResponse) -> Said:
        """What the response says; it has no headers of its own but its content type."""
        return cls(response.status_code, response.content, response.get("Content-Type", ""))


class Post(Protocol):
    """A post that is in order: its events with whose key they came, and how it is answered."""

    @property
    def sent(self) -> Sent: ...
    def answer(self, outcomes: Sequence[Outcome], /) -> Said:
        """What is said once the events have been taken in."""
        ...

    def refused(self, error: Exception, /) -> HttpResponse | None:
        """How it is said that nothing was taken in; `None` for what nobody foresaw."""
        ...


@lru_cache(maxsize=100)
def media_type(content_type: str) -> str:
    """The content type without its parameters, in small letters."""
    return parse_header_parameters(content_type)[0].lower()
