"""What tracing formats say of a call: in parts, in any order, and more than once.

A span of a trace is told by one message or by several (created, then updated; its parent before
it or after it). A format turns each message into a `CallReport`; what they come to together is
decided here, and never by the order in which they arrive.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class CallReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one message says of one span of a trace: all of it, or a part.

    `span_id` is unique within its trace. `parent_span_id` is `None` for a root and where the
    message does not tell; `ancestors` are all of them, outermost first, where the format tells
    them. `is_call` is true of a model call, false of an agent, chain or tool, whose usage never
    counts, and `None` where the message does not tell. `said_at` (aware UTC) is when the message
    was made and `rank` breaks its ties: the later one wins, field by field. `ended` is true when
    the call is over and no more usage is expected. `fields` are fields of `UsageEvent` by their
    names, as JSON values; only what is told, and never the text of a prompt or a completion.
    """

    trace_id: str
    span_id: str
    parent_span_id: str | None
    ancestors: tuple[str, ...] = ()
    is_call: bool | None
    said_at: datetime
    rank: int = 0
    ended: bool | None
    fields: dict[str, Any]
