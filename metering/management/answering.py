"""What all commands share: with `--json` they answer with one JSON object, refusals included."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from django.core.management.base import (
    BaseCommand,
    CommandError,
    CommandParser,
    DjangoHelpFormatter,
)

from config.health import what_the_database_lacks

_JSON: Final = "--json"
_USAGE_EXIT: Final = 2


def day_of(text: str) -> date:
    """An argument that is a day."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no day; write it like 2026-10-01") from error


class AnsweringCommand(BaseCommand):
    """A command whose refusal is an answer too.

    A `CommandError` goes to stderr and ends with a code other than 0, as Django has it. With
    `--json`, stdout then holds `{"error": {"type", "message"}}` as well, unless the command has
    already answered with an object that says what does not hold. `type` is the name of the
    exception that the refusal came from, or of the refusal itself.

    On a command line it begins only on a database that is set up.
    """

    def run_from_argv(self, argv: list[str]) -> None:
        try:
            super().run_from_argv(argv)
        except CommandError as error:  # the arguments: whatever comes later, Django prints itself
            sys.stdout.write(_refusal(error))
            self.stderr.write(str(error))
            sys.exit(_USAGE_EXIT)

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        if "\n" in self.help:  # it has a table: filled like a paragraph, nobody could read it
            kwargs.setdefault("formatter_class", _AsWritten)
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        if _asks_for_json(sys.argv):
            # argparse would end the process; as for `call_command`, it raises instead.
            parser.called_from_command_line = False
        return parser

    def execute(self, *args: Any, **options: Any) -> str | None:
        if not options.get("json"):
            return self._execute(*args, **options)
        answer = _Answer(options.get("stdout") or sys.stdout)
        try:
            return self._execute(*args, **{**options, "stdout": answer})
        except CommandError as error:
            if not answer.given:
                answer.write(_refusal(error))
            raise

    def _execute(self, *args: Any, **options: Any) -> str | None:
        if not options["skip_checks"]:  # it comes from a command line, maybe somebody's first
            lacking = what_the_database_lacks()
            if lacking is not None:
                raise CommandError(lacking)
        return super().execute(*args, **options)


class _AsWritten(DjangoHelpFormatter, RawDescriptionHelpFormatter):
    """Django's help, of which the description keeps its lines."""


class _Answer:
    """A stream that knows whether anything was written to it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.given = False

    def write(self, text: str) -> None:
        self.given = True
        self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _refusal(error: CommandError) -> str:
    kind = type(error.__cause__ or error).__name__
    value = {"error": {"type": kind, "message": str(error)}}
    return json.dumps(value, ensure_ascii=False) + "\n"


def _asks_for_json(argv: Sequence[str]) -> bool:
    return _JSON in argv
