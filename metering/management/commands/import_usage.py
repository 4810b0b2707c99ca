"""`manage.py import_usage FILE`: take usage in from a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, cast

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from metering.attribute_names import attributes_for
from metering.calls import late_usage
from metering.files.call_parsers import UnknownField, attributes_of
from metering.files.file_ingestion import WorkerDied, ingest_file
from metering.files.trace_files import (
    TRACE_FORMATS,
    TraceFormat,
    format_of,
    ingest_traces,
    open_traces,
)
from metering.files.usage_files import FORMATS, Format, UnreadableFile, open_usage
from metering.formats.span_facts import Interpretation
from metering.ingestion import Books, known_providers
from metering.management.answering import AnsweringCommand
from metering.outcomes import IngestResult, Outcome

SHOWN: Final = 10


class Command(AnsweringCommand):
    help = (
        "Import usage events from a file: JSON Lines or an array (native, Opsmeter, LiteLLM, "
        "OpenMeter, Lago, providers' own responses), traces (OpenTelemetry in JSON or protobuf, "
        "Langfuse, LangSmith), CSV or Parquet, plain or gzipped. Each event "
        "counts once, however often the file is imported. Exits with 1 if anything was rejected "
        "or in conflict; what is good is stored all the same."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument(
            "--format", choices=(*FORMATS, *TRACE_FORMATS), help="default: as the file shows it"
        )
        parser.add_argument(
            "--map",
            action="append",
            default=[],
            metavar="FIELD=COLUMN",
            help="a native field and the column that carries it (tags.NAME and units.NAME too); "
            "columns named like a field need none. In litellm, openmeter, lago and responses: the "
            "property, tag or metadata that carries it",
        )
        parser.add_argument(
            "--provider",
            default="",
            help="whose models they are, where records of openmeter, lago or responses do not say",
        )
        parser.add_argument("--source", default="file", help="default: %(default)s")
        parser.add_argument(
            "--naive-utc",
            action="store_true",
            help="times without a zone in a table are UTC (otherwise they are rejected)",
        )
        parser.add_argument(
            "--rejects", type=Path, metavar="FILE", help="write all that was not taken, as JSONL"
        )
        parser.add_argument(
            "--workers",
            type=int,
            choices=range(1, 65),
            metavar="N",
            help="processes that take events in (default: two for a file of any size)",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        column_map = _column_map(options["map"])
        shown: list[dict[str, str]] = []
        with ExitStack() as stack:
            rejects = _open_rejects(stack, options["rejects"])

            def on_outcome(outcome: Outcome) -> None:
                if outcome.outcome not in ("rejected", "conflict"):
                    return
                line = _line(outcome)
                if len(shown) < SHOWN:
                    shown.append(line)
                if rejects is not None:
                    rejects.write(json.dumps(line, ensure_ascii=False) + "\n")

            try:
                imported = _import(stack, options, column_map, on_outcome)
            except (UnreadableFile, UnknownField, WorkerDied) as error:
                raise CommandError(_named(options["file"], error)) from error
        report = _report(options["file"], options["source"], imported, shown)
        result = imported.result
        self.stdout.write(
            json.dumps(report, ensure_ascii=False) if options["json"] else _text(report)
        )
        if result.rejected or result.conflicts:
            sys.exit(1)


class _Imported(NamedTuple):
    """What came of a file: its format, the columns of a table that carry no field, the counts."""

    format: str
    ignored: tuple[str, ...]
    result: IngestResult


def _import(
    stack: ExitStack,
    options: dict[str, Any],
    column_map: dict[str, str],
    on_outcome: Callable[[Outcome], None],
) -> _Imported:
    path: Path = options["file"]
    format: Format | TraceFormat = options["format"] or format_of(path)
    if format in TRACE_FORMATS:
        names = tuple(column_map.items())
        providers = known_providers(Books.load())
        how = Interpretation(attributes_of(attributes_for(options["source"]), names), providers)
        traces = open_traces(path, format)
        moved = _progress(stack, traces.size, traces.position, quiet=options["json"])
        told = ingest_traces(
            traces,
            source=options["source"],
            now=None,
            how=how,
            on_outcome=on_outcome,
            on_progress=moved,
        )
        return _Imported(format, (), told)
    usage = open_usage(
        path,
        source=options["source"],
        received_at=datetime.now(UTC),
        format=cast("Format", format),
        column_map=column_map,
        naive_utc=options["naive_utc"],
        provider=options["provider"],
    )
    result = ingest_file(
        usage,
        now=None,
        workers=options["workers"],
        on_outcome=on_outcome,
        on_progress=_progress(stack, usage.size, usage.position, quiet=options["json"]),
    )
    return _Imported(usage.format, usage.ignored, result)


def _named(path: Path, error: Exception) -> str:
    """The error with the file's name, which some say themselves."""
    return str(error) if isinstance(error, UnreadableFile) else f"{path}: {error}"


def _line(outcome: Outcome) -> dict[str, str]:
    return {
        "place": outcome.place or "",
        "outcome": outcome.outcome,
        "reason": outcome.reason or "",
        "message": outcome.message or "",
        "key": outcome.key or "",
    }


def _column_map(pairs: list[str]) -> dict[str, str]:
    column_map: dict[str, str] = {}
    for pair in pairs:
        field, separator, column = pair.partition("=")
        if not (field and separator and column):
            raise CommandError(f"--map {pair}: write it as FIELD=COLUMN, like model=Model")
        if field in column_map:
            raise CommandError(f"--map {pair}: {field} is mapped to {column_map[field]!r} already")
        column_map[field] = column
    return column_map


def _open_rejects(stack: ExitStack, path: Path | None) -> IO[str] | None:
    if path is None:
        return None
    try:
        return stack.enter_context(path.open("w", encoding="utf-8"))
    except OSError as error:
        raise CommandError(f"--rejects {path} cannot be written: {error.strerror}") from error


def _progress(
    stack: ExitStack, size: int, position: Callable[[], int] | None, *, quiet: bool
) -> Any:
    """What ingestion calls after every batch: moves a bar on a terminal, else does nothing."""
    if quiet or not sys.stderr.isatty():
        return None
    bar = stack.enter_context(
        Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
    )
    task = bar.add_task("reading", total=size if position else None)

    def moved(result: IngestResult) -> None:
        bar.update(
            task,
            description=f"{result.total:,} events",
            completed=position() if position else 0,
        )

    return moved


def _report(
    path: Path,
    source: str,
    imported: _Imported,
    problems: list[dict[str, str]],
) -> dict[str, Any]:
    result = imported.result
    return {
        "file": str(path),
        "format": imported.format,
        "source": source,
        "accepted": result.accepted,
        "duplicates": result.duplicates,
        "amended": result.amended,
        "conflicts": result.conflicts,
        "rejected": result.rejected,
        "afterClose": result.remarks[late_usage.REASON],
        "ignoredColumns": list(imported.ignored),
        "problems": problems,
    }


def _text(report: dict[str, Any]) -> str:
    lines = [f"{report['file']} ({report['format']}, source {report['source']})"]
    lines += [
        f"  {name:<11}{report[name]:>12,}"
        for name in ("accepted", "duplicates", "amended", "conflicts", "rejected")
    ]
    if report["afterClose"]:
        lines.append(
            f"  {report['afterClose']:,} of the accepted came after the close of their month and"
            " wait for a correction: late_usage lists them"
        )
    if report["ignoredColumns"]:
        lines.append(f"  columns not used: {', '.join(report['ignoredColumns'])}")
    for problem in report["problems"]:
        lines.append(
            f"  {problem['place']}: {problem['outcome']} ({problem['reason']}): "
            f"{problem['message']}"
        )
    more = report["conflicts"] + report["rejected"] - len(report["problems"])
    if more > 0:
        lines.append(f"  … and {more:,} more; --rejects FILE writes all of them")
    return "\n".join(lines)
