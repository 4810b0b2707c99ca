"""Whether a month may be closed: four questions, each answered with what is missing and how to
mend it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Final, Literal, NamedTuple, get_args

from metering.domain.money import EXACT, from_minor
from metering.domain.periods import Month

Question = Literal["complete", "allocated", "accurate", "cut_off"]

QUESTIONS: Final[dict[Question, str]] = {
    "complete": "Is every bill in?",
    "allocated": "Are all bills allocated, from what is known now?",
    "accurate": "Is the difference between bill and metering explained?",
    "cut_off": "Is the month over, and all of it in?",
}
"""What a person reads for each answer."""


class Finding(NamedTuple):
    """Something that stands in the way of a close, and how to mend it."""

    missing: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One question's answer: yes, if nothing was found to stand in the way. `facts` say what the
    answer rests on."""

    question: Question
    findings: tuple[Finding, ...]
    facts: tuple[str, ...] = ()

    @property
    def yes(self) -> bool:
        return not self.findings


@dataclass(frozen=True, slots=True)
class Readiness:
    """The four answers for a month, each once and in order."""

    month: Month
    answers: tuple[Answer, ...]

    def __post_init__(self) -> None:
        if tuple(answer.question for answer in self.answers) != get_args(Question):
            raise ValueError("a month's readiness is four answers, in order")

    @property
    def ready(self) -> bool:
        return all(answer.yes for answer in self.answers)

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(finding for answer in self.answers for finding in answer.findings)


def unexplained_tolerance(bill_lines: int, currency: str) -> Decimal:
    """How much of a bill may stay unexplained: 100 minor units, or half a minor unit times the
    square root of its lines, whichever is more (FOCUS, appendix on rounding variance)."""
    unit = from_minor(1, currency)
    with localcontext(EXACT):
        return max(100 * unit, Decimal(bill_lines).sqrt() * unit / 2)
