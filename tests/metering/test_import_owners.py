"""The owners file: all of it or nothing, and a message that names the line."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from metering.domain.attribution import SourceDefaults
from metering.models import Source, Tenant
from metering.owners import current_book

pytestmark = pytest.mark.usefixtures("db")

WRONG = {
    "a field without end": (b"tenant," + b"a" * 200_000 + b",x,,", "no CSV that can be read"),
    "NUL": (b"tenant,a\0b,x,,", "line 3: key .* holds a character that cannot be seen"),
    "writing direction": ("tenant,\u202eemca,x,,".encode(), "line 3: key .* cannot be seen"),
    "an unknown kind": (b"team,good,x,,", "line 3: kind 'team' is not known; write cost_centre, "),
    "another encoding": (b"tenant,\xff,x,,", "is not UTF-8 .*; save it as UTF-8"),
    "an end before the start": (
        b"tenant:source,s,t,2026-02-01,2026-01-01",
        "line 3: valid_to 2026-01-01 is not after valid_from 2026-02-01",
    ),
}


@pytest.mark.parametrize(("row", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_row_is_named_and_nothing_is_stored(
    tmp_path: Path, row: bytes, message: str
) -> None:
    path = tmp_path / "owners.csv"
    path.write_bytes(b"kind,key,target,valid_from,valid_to\ntenant,good,Good,,\n" + row + b"\n")
    with pytest.raises(CommandError, match=message):
        call_command("import_owners", str(path))
    assert not Tenant.objects.filter(key="good").exists()


def imported(tmp_path: Path, text: str) -> None:
    path = tmp_path / "owners.csv"
    path.write_text(text)
    call_command("import_owners", str(path))


def test_what_is_believed_of_a_source_may_stand_in_the_file(tmp_path: Path) -> None:
    def roles() -> dict[str, str]:
        return dict(Source.objects.values_list("key", "role"))

    imported(tmp_path, "kind,key,target,role\nsource,app,,application\nsource,gw,proj-1,meter\n")
    assert roles() == {"app": "application", "gw": "meter"}
    assert current_book().sources["gw"] == SourceDefaults(provider_project="proj-1", role="meter")
    imported(tmp_path, "kind,key,target\nsource,gw,proj-2\n")
    assert roles()["gw"] == "meter", "a file without the column leaves it"
    imported(tmp_path, "kind,key,target,role\nsource,gw,proj-2,\n")
    assert roles()["gw"] == ""
    with pytest.raises(CommandError, match="line 2: role 'boss' is none of application, meter"):
        imported(tmp_path, "kind,key,target,role\nsource,gw,proj-2,boss\n")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="is a folder"):
        call_command("import_owners", str(tmp_path))
