"""`POST /integrations/litellm`: what LiteLLM's `generic_api` callback posts.

An array, one object, or one object a line, by its `log_format`. The answer is that of
`POST /api/v1/usage`; LiteLLM reads its status only. It sends again after 5xx and broken connections
and if `max_retries` is set, which is 0 by default: then what we could not store is lost.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from metering.api.usage import receiving
from metering.attribute_names import parser_for

receive: Final = receiving(partial(parser_for, "litellm"))
