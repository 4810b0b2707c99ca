"""What reports of calls come to when they arrive by HTTP: taken in with whatever else is there."""

from __future__ import annotations

from typing import Final

from metering.api_keys import KeyFacts
from metering.attribute_names import attributes_for
from metering.formats.span_facts import Interpretation
from metering.ingestion import Books, known_providers
from metering.outcomes import Outcome
from metering.report_intake import Message, Read, Taken, take_message

MAX_BODY: Final = 25_000_000
"""Bytes, as sent and as unpacked: what is traced carries prompts and files, which are passed
over. The originals take 4.5 MB (Langfuse) and 20 MB (LangSmith)."""
_KEPT: Final = "late"
"""Not counted, and kept where people see it: nothing that the sender could mend."""


def interpretation(books: Books, key: KeyFacts) -> Interpretation:
    """How the metadata of the key's source are read."""
    assert key.source is not None, "a key that sends has a source"
    return Interpretation(attributes_for(key.source), known_providers(books))


def take_reports(key: KeyFacts, read: Read, *, size: int) -> Taken:
    """What a message of so many reports told, with an outcome for each, once all are committed.
    Raises `KeyRefused`, one of `small_intake.NOT_TAKEN`, or what `read` does."""
    return take_message(Message(key, read, max(size, 1)))


def is_refused(outcome: Outcome) -> bool:
    """Whether the sender has to hear that what it sent does not count."""
    return outcome.outcome in ("rejected", "conflict") and outcome.reason != _KEPT
