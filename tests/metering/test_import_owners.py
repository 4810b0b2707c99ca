"""The owners file: all of it or nothing, and a message that names the line."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from metering.models import Tenant

pytestmark = pytest.mark.usefixtures("db")

WRONG = {
    "a field without end": (b"tenant," + b"a" * 200_000 + b",x,,", "no CSV that can be read"),
    "NUL": (b"tenant,a\0b,x,,", "line 3: key .* holds a character that cannot be seen"),
    "writing direction": ("tenant,\u202eemca,x,,".encode(), "line 3: key .* cannot be seen"),
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


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="is a folder"):
        call_command("import_owners", str(tmp_path))
