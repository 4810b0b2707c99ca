"""`POST /integrations/litellm`: what LiteLLM's `generic_api` callback posts.

An array, one object, or one object a line, by its `log_format`. The answer is that of
`POST /api/v1/usage`; LiteLLM reads its status only. It sends again after 5xx and broken connections
and if `max_retries` is set, which is 0 by default: then what we could not store is lost. What it
is answered 429 it drops, so it is told 503 where another sender would be told to send less.
"""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from metering.api.dialects import Refusal, speakers
from metering.api.problems import overloaded
from metering.api.usage import receiving
from metering.attribute_names import parser_for

_receive: Final = receiving(partial(parser_for, "litellm"))


@csrf_exempt
def receive(request: HttpRequest) -> HttpResponse:
    """Calls that LiteLLM has logged."""
    answer = _receive(request)
    return overloaded() if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS else answer


def _say(_: HttpRequest, refusal: Refusal) -> HttpResponse:  # noqa: ARG001 - there is one answer
    return overloaded()


speakers[receive] = _say
