"""The histories are read as changes: who, by what way, why, and which fields."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO

import pghistory
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from metering import history
from metering.models import CostCentre

pytestmark = pytest.mark.django_db


@pytest.fixture
def growth() -> CostCentre:
    with pghistory.context(command="manage.py import_owners owners.csv", account="ops"):
        centre = CostCentre.objects.create(code="growth", name="Growth", responsible="ann")
    with pghistory.context(by="bob", user=7, url="/admin/x", reason="ann has left"):
        CostCentre.objects.filter(code="growth").update(responsible="bob")
    with pghistory.context(api_key="nightly", url="/api/v1/x"):
        CostCentre.objects.filter(code="growth").update(name="Growing")
    return centre


def test_a_row_tells_its_story(growth: CostCentre) -> None:
    made, handed_over, renamed = history.history_of(growth)
    assert (made.act, made.by, made.way, made.reason) == (
        "insert",
        "ops",
        "manage.py import_owners owners.csv",
        "",
    )
    assert made.fields["responsible"] == (None, "ann")
    assert (handed_over.act, handed_over.by, handed_over.way, handed_over.reason) == (
        "update",
        "bob",
        "/admin/x",
        "ann has left",
    )
    assert handed_over.fields == {"responsible": ("ann", "bob")}
    assert (renamed.by, renamed.fields) == ("key:nightly", {"name": ("Growth", "Growing")})


def test_what_was_deleted_still_tells(growth: CostCentre) -> None:
    key = growth.pk
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('pghistory.context_metadata', '', true)")
        cursor.execute("DELETE FROM cost_centre WHERE code = 'growth'")
    gone = history.history_of(CostCentre(code=key))[-1]
    assert (gone.act, gone.by, gone.fields["name"]) == ("delete", history.NOBODY, ("Growing", None))


def test_a_time_is_listed_newest_first(growth: CostCentre) -> None:
    now = timezone.now()
    listed = history.changes(now - timedelta(hours=1), now + timedelta(hours=1), of="costcentre")
    assert len(listed) == 3
    assert {c.of for c in listed} == {"metering.costcentre"}
    assert len(history.changes(now - timedelta(hours=1), now + timedelta(hours=1), limit=2)) == 2
    assert history.changes(now - timedelta(days=2), now - timedelta(days=1), of="costcentre") == []
    with pytest.raises(history.NoHistory, match=r"there are: .*metering\.costcentre"):
        history.changes(now, now, of="nothing")


def test_the_command_lists_changes(growth: CostCentre) -> None:
    out = StringIO()
    call_command("audit", "--object", "costcentre", "--json", stdout=out)
    answer = json.loads(out.getvalue())
    assert {c["by"] for c in answer["changes"]} == {"ops", "bob", "key:nightly"}
    out = StringIO()
    call_command("audit", "--object", "metering.costcentre", stdout=out)
    assert "by bob (/admin/x): responsible; why: ann has left" in out.getvalue()
    with pytest.raises(CommandError, match="no history of 'x'"):
        call_command("audit", "--object", "x", stdout=StringIO())
