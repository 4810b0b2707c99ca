"""What goes wrong at will: which call, how, and how often."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal[
    "fail", "fail_after", "unavailable", "lost", "hang", "rate_limit", "conflict", "garbage"
]
KINDS = get_args(Kind)
"""`fail`: 500 without effect; `fail_after`: 500 after the effect; both are kept under the
idempotency key. `unavailable`: 503 from a proxy, nothing kept. `lost`: the effect, and the
connection closed without an answer; `hang`: the effect, and the answer only when it is released.
`rate_limit`: 429; `conflict`: 409, another request with this key is under way. `garbage`: the
effect, and an answer that is no JSON."""


@dataclass
class Fault:
    """The next `times` calls whose `METHOD /path` matches go wrong; `skip` calls do not before."""

    pattern: str
    kind: Kind
    times: int = 1
    skip: int = 0

    def strikes(self, call: str) -> bool:
        if self.times == 0 or not re.fullmatch(self.pattern, call):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return True
