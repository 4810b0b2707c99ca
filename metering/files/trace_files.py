"""Traces in files, of which one record tells several spans: exports of Langfuse and LangSmith, and
OpenTelemetry's spans as its collector writes them.

A file is one JSON document (an object, or an array of records), or one record a line;
OpenTelemetry's may be protobuf (`otlp_frames`). What a record tells become reports of calls; they
are taken in as those that come over HTTP, so that importing a file again, or after its traces were
sent, counts nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

import msgspec

from metering.calls.call_reports import take
from metering.domain.call_reports import CallReport
from metering.domain.usage import Rejection
from metering.files.input_files import UnreadableInput
from metering.files.otlp_frames import open_frames
from metering.files.usage_files import Format, guess_format, unreadable
from metering.files.usage_lines import TextFile, UnreadableText
from metering.formats import langfuse
from metering.formats.batches import UnreadableBatch, take_apart
from metering.formats.langsmith import runs
from metering.formats.malformed import UNDECODABLE
from metering.formats.otlp import traces
from metering.formats.otlp.spans import UndecodableExport
from metering.formats.span_facts import Interpretation
from metering.ingestion import Books
from metering.outcomes import IngestResult, Outcome

TraceFormat = Literal["langfuse", "langsmith", "otlp"]
TRACE_FORMATS: Final[tuple[TraceFormat, ...]] = get_args(TraceFormat)
MARKS: Final[tuple[tuple[bytes, TraceFormat], ...]] = (
    (b'"observations"', "langfuse"),
    (b'"parentObservationId"', "langfuse"),
    (b'"projectId"', "langfuse"),
    (b'"dotted_order"', "langsmith"),
    (b'"run_type"', "langsmith"),
    (b'"resourceSpans"', "otlp"),
)
"""Names that only one of the formats has."""

MAX_DOCUMENT: Final = 64 << 20
"""Bytes of a file that is one JSON document, which has to be in memory as a whole."""
MAX_RECORDS: Final = 1_000_000
BLOCK: Final = 500
"""Reports that are taken in at once."""

Item = CallReport | Rejection
Reading = Callable[[bytes, str, datetime, Interpretation], Sequence[Item]]
_whole: Final = msgspec.json.Decoder(msgspec.Raw).decode


class Record(NamedTuple):
    """One record as it was read, and where it stands; or why it cannot be read."""

    place: str
    content: bytes | Rejection


@dataclass(frozen=True)
class TraceFile:
    """An open file of traces; `records` reads it, once. `size` and `position()` are bytes on
    disk."""

    format: TraceFormat
    records: Iterator[Record]
    size: int
    position: Callable[[], int]
    binary: bool = False


@dataclass
class TraceResult(IngestResult):
    """As of events; `kept` are reports that make none: of agents and tools, of calls whose leaves
    count, and what adds to a call beside another report of it."""

    kept: int = 0


def format_of(path: Path) -> Format | TraceFormat:
    """The format that the file's content, or else its name, shows; raises `UnreadableFile`."""
    guessed = guess_format(path)
    if guessed in ("csv", "parquet"):
        return guessed
    text = TextFile(path)
    text.close()
    return next((format for mark, format in MARKS if mark in text.head), guessed)


def open_traces(path: Path, format: TraceFormat) -> TraceFile:
    """Open the file. Raises `UnreadableFile`."""
    try:
        frames = open_frames(path) if format == "otlp" else None
        if frames is not None:
            messages = (Record(place, content) for place, content in frames.messages)
            return TraceFile(format, messages, frames.size, frames.position, binary=True)
        text = TextFile(path)
        first, newline, _ = text.head.partition(b"\n")
        records = _lines(text) if newline and _is_whole(first) else _documents(text)
    except (UnreadableText, UnreadableInput, OSError) as error:
        raise unreadable(path, error) from error
    return TraceFile(format, records, text.size, text.position)


def ingest_traces(
    file: TraceFile,
    *,
    source: str,
    now: datetime | None,
    how: Interpretation,
    on_progress: Callable[[IngestResult], None] | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> TraceResult:
    """Take in the whole file, block by block, each in a transaction of its own: received at `now`,
    or (`None`) as it is taken in. `on_outcome` hears of everything that is no new event."""
    result = TraceResult()
    books = Books.load()
    index = 0
    for block in _blocks(file, how, now or datetime.now(UTC)):
        received_at = now or datetime.now(UTC)
        outcomes = take(block, source=source, now=received_at, key_tenant=None, books=books)
        made: set[str | None] = set()
        for outcome in outcomes:
            placed = msgspec.structs.replace(outcome, index=index)
            index += 1
            if _makes_none(outcome) or (outcome.outcome == "accepted" and outcome.key in made):
                result.kept += 1
                continue
            made.add(outcome.key)
            result.count(placed)
            if on_outcome is not None and outcome.outcome != "accepted":
                on_outcome(placed)
        if on_progress is not None:
            on_progress(result)
    return result


def _makes_none(outcome: Outcome) -> bool:
    return outcome.outcome in ("accepted", "duplicate") and outcome.reason is not None


def _blocks(file: TraceFile, how: Interpretation, now: datetime) -> Iterator[list[Item]]:
    read = _otlp_protobuf if file.binary else _READINGS[file.format]
    block: list[Item] = []
    for place, content in file.records:
        if isinstance(content, Rejection):
            block.append(content)
        else:
            block += read(content, place, now, how)
        if len(block) >= BLOCK:
            yield block
            block = []
    if block:
        yield block


def _langfuse(content: bytes, place: str, now: datetime, how: Interpretation) -> Sequence[Item]:
    return langfuse.parse_export(content, place=place, received_at=now, how=how)


def _langsmith(content: bytes, place: str, now: datetime, how: Interpretation) -> Sequence[Item]:
    return runs.parse_export(content, place=place, received_at=now, how=how)


def _otlp(content: bytes, place: str, now: datetime, how: Interpretation) -> Sequence[Item]:
    return _spans(content, "json", place, now, how)


def _otlp_protobuf(
    content: bytes, place: str, now: datetime, how: Interpretation
) -> Sequence[Item]:
    return _spans(content, "protobuf", place, now, how)


def _spans(
    content: bytes, encoding: traces.Encoding, place: str, now: datetime, how: Interpretation
) -> Sequence[Item]:
    try:
        found = traces.read(
            content,
            encoding,
            received_at=now,
            attributes=how.attributes,
            providers=how.providers,
        )
    except UndecodableExport as error:
        return [Rejection(place=place, reason="malformed_export", message=str(error))]
    return [
        msgspec.structs.replace(each, place=f"{place}, {each.place}")
        if isinstance(each, Rejection)
        else each
        for each in found
    ]


_READINGS: Final[Mapping[TraceFormat, Reading]] = {
    "langfuse": _langfuse,
    "langsmith": _langsmith,
    "otlp": _otlp,
}


def _is_whole(line: bytes) -> bool:
    try:
        _whole(line)
    except UNDECODABLE:
        return False
    return True


def _lines(text: TextFile) -> Iterator[Record]:
    for number, content in text.lines():
        if isinstance(content, Rejection):
            yield Record(content.place, content)
        elif content and not content.isspace():
            yield Record(f"line {number}", content)


def _documents(text: TextFile) -> Iterator[Record]:
    """The records of a file that is one document, or of one whose first line is very long."""
    content = text.read(MAX_DOCUMENT)
    text.close()
    try:
        placed = take_apart(content, limit=MAX_RECORDS)
    except UnreadableBatch as error:
        raise UnreadableText(f"the file is no JSON: {error}") from error
    return (Record(place, bytes(record)) for place, record in placed)
