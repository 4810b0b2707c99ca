"""`--as USER` of the commands that prepare a month: who may, who may not, and who is recorded."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command

from config import history
from metering import people
from metering.models import CostCentre

pytestmark = pytest.mark.django_db

COMMANDS = {
    "import_owners": ("{file}",),
    "import_budgets": ("{file}",),
    "import_plans": ("{file}",),
    "import_prices": ("{file}",),
    "import_bill": ("{file}", "--provider", "openai"),
    "reconcile": ("2026-10",),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_person_without_the_right_is_refused_before_anything_is_read(
    command: str, tmp_path: Path
) -> None:
    people.add("vic", ["viewer"])
    arguments = [each.format(file=tmp_path / "absent") for each in COMMANDS[command]]
    with pytest.raises(CommandError, match="vic lacks the right"):
        call_command(command, *arguments, "--as", "vic")
    with pytest.raises(CommandError, match="no active user 'nobody'"):
        call_command(command, *arguments, "--as", "nobody")


def test_who_imports_stands_in_the_history(tmp_path: Path) -> None:
    people.add("ana", ["finance"])
    file = tmp_path / "owners.csv"
    file.write_text("kind,key,target,responsible\ncost_centre,cc-new,New,somebody\n")
    with history.of_command(["manage.py", "import_owners"]):
        call_command("import_owners", file, "--as", "ana", stdout=StringIO())
    assert CostCentre.objects.filter(code="cc-new").exists()
    recorded = apps.get_model("metering", "CostCentreHistory")._default_manager.latest("pgh_id")
    assert recorded.pgh_context["by"] == "ana"
