"""With `--json` a command answers with one JSON object, whether it does its work or refuses."""

from __future__ import annotations

import json
import sys
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command, get_commands, load_command_class

from metering.management.answering import AnsweringCommand

OURS = sorted(
    name for name, app in get_commands().items() if app in ("metering", "allocation", "billing")
)


@pytest.mark.parametrize("name", OURS)
def test_every_command_that_answers_in_json_refuses_in_json(name: str) -> None:
    command = load_command_class(get_commands()[name], name)
    offers_json = "--json" in command.create_parser("manage.py", name).format_help()
    assert isinstance(command, AnsweringCommand) == offers_json


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        (("reconcile", "2026-13"), "InvalidPeriod", "2026-13"),
        (("import_owners", "/nowhere/owners.csv"), "UnreadableInput", "/nowhere/owners.csv"),
        (("import_usage", "x", "--map", "model"), "CommandError", "--map model"),
    ],
)
def test_a_refusal_is_one_object(arguments: tuple[str, ...], kind: str, said: str) -> None:
    out = StringIO()
    with pytest.raises(CommandError) as refused:
        call_command(*arguments, "--json", stdout=out)
    answer = json.loads(out.getvalue())
    assert answer == {"error": {"type": kind, "message": str(refused.value)}}
    assert said in answer["error"]["message"]


@pytest.mark.parametrize(
    "arguments",
    [["reconcile"], ["reconcile", "2026-10", "--nope"], ["import_usage", "x", "--format", "yaml"]],
)
def test_wrong_arguments_are_refused_in_json_too(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["manage.py", *arguments, "--json"]
    monkeypatch.setattr(sys, "argv", argv)
    command = load_command_class(get_commands()[arguments[0]], arguments[0])
    with pytest.raises(SystemExit) as ended:
        command.run_from_argv(argv)
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert json.loads(printed.out)["error"]["type"] == "CommandError"
    assert printed.err


class _Verdict(AnsweringCommand):
    def handle(self, *_: Any, **__: Any) -> None:
        self.stdout.write(json.dumps({"holds": False}))
        raise CommandError("it does not hold")


def test_an_answer_that_was_given_stays_the_only_one() -> None:
    out = StringIO()
    with pytest.raises(CommandError, match="does not hold"):
        _Verdict().execute(
            json=True, stdout=out, force_color=False, no_color=True, skip_checks=True
        )
    assert json.loads(out.getvalue()) == {"holds": False}


def test_without_json_nothing_is_printed_on_stdout() -> None:
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("reconcile", "2026-13", stdout=out)
    assert out.getvalue() == ""


def test_a_table_in_the_help_keeps_its_lines() -> None:
    command = load_command_class("metering", "import_owners")
    shown = command.create_parser("manage.py", "import_owners").format_help()
    assert "\n| `tenant` | key | name; with `time_zone` |\n" in shown
