"""What became of the events that were sent: every one of them has an outcome."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

KEPT_OUTCOMES: Final = 1_000

OutcomeKind = Literal["accepted", "duplicate", "amended", "conflict", "rejected"]


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What became of one event of a batch. `index` counts from 0 in the order of sending."""

    index: int
    outcome: OutcomeKind
    key: str | None = None
    reason: str | None = None
    message: str | None = None
    place: str | None = None


@dataclass
class IngestResult:
    """Counts of all outcomes, and the outcomes that need a look (at most `KEPT_OUTCOMES`).
    `remarks` counts the accepted events of which there is more to say, by the reason."""

    accepted: int = 0
    duplicates: int = 0
    conflicts: int = 0
    amended: int = 0
    rejected: int = 0
    remarks: Counter[str] = field(default_factory=Counter)
    problems: list[Outcome] = field(default_factory=list)

    @property
    def total(self) -> int:
        return self.accepted + self.duplicates + self.conflicts + self.amended + self.rejected

    def count(self, outcome: Outcome) -> None:
        match outcome.outcome:
            case "accepted":
                self.accepted += 1
                if outcome.reason is not None:
                    self.remarks[outcome.reason] += 1
            case "duplicate":
                self.duplicates += 1
            case "amended":
                self.amended += 1
            case "conflict":
                self.conflicts += 1
            case "rejected":
                self.rejected += 1
        if outcome.outcome in ("conflict", "rejected") and len(self.problems) < KEPT_OUTCOMES:
            self.problems.append(outcome)
