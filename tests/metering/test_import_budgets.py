"""The file of budgets: all of it or nothing, a message that names the line, and once only."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from metering import budgets
from metering.domain.periods import Month
from metering.models import BudgetRow, CostCentre, Tenant

pytestmark = pytest.mark.django_db

HEAD = "owner,key,month,amount,currency,until,warn_share,book,reason\n"
GOOD = """\
everything,,2026-10,50000,USD,,0.9,,board
cost_centre,cc-a,2026-10,2500.50,USD,2026-12,,,
tenant,acme,2026-10,300,EUR,,,charge,contract
source,shop,2026-10,10,USD,,,,
"""


@pytest.fixture(autouse=True)
def _owners() -> None:
    Tenant.objects.create(key="acme")
    CostCentre.objects.create(code="cc-a", name="A", responsible="head of A")


def imported(folder: Path, rows: str) -> dict[str, Any]:
    path, out = folder / "budgets.csv", StringIO()
    path.write_text(HEAD + rows)
    call_command("import_budgets", str(path), "--json", stdout=out)
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer


def standing(month: str = "2026-10") -> list[str]:
    rows = budgets.in_force(Month.parse(month)).order_by("amount")
    return [f"{row} {row.amount} {row.currency} {row.warn_share}" for row in rows]


def test_budgets_come_from_a_file_once(tmp_path: Path) -> None:
    assert imported(tmp_path, GOOD) == {"rows": 4, "added": 4, "ended": 0}
    assert imported(tmp_path, GOOD) == {"rows": 4, "added": 0, "ended": 0}
    assert standing() == [
        "cost of shop from 2026-10 10 USD 0.8",
        "charge of acme from 2026-10 300 EUR 0.8",
        "cost of cc-a from 2026-10 2500.50 USD 0.8",
        "cost of everything from 2026-10 50000 USD 0.9",
    ]
    assert len(standing("2027-01")) == 3, "cc-a's is over"


def test_a_later_budget_ends_the_one_that_holds(tmp_path: Path) -> None:
    imported(tmp_path, GOOD)
    later = "everything,,2026-12,60000,USD,,,,\n"
    assert imported(tmp_path, later) == {"rows": 1, "added": 1, "ended": 1}
    assert standing("2026-11")[-1] == "cost of everything from 2026-10 50000 USD 0.9"
    assert standing("2026-12")[-1] == "cost of everything from 2026-12 60000 USD 0.8"
    assert imported(tmp_path, GOOD + later) == {"rows": 5, "added": 0, "ended": 0}


def test_another_amount_for_the_same_month_takes_its_place(tmp_path: Path) -> None:
    imported(tmp_path, GOOD)
    assert imported(tmp_path, "source,shop,2026-10,11,USD,,,,\n")["ended"] == 1
    assert standing()[0] == "cost of shop from 2026-10 11 USD 0.8"
    assert BudgetRow.objects.filter(source="shop").count() == 2, "the other stays, for the record"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("nobody,x,2026-10,1,USD,,,,", "owner 'nobody' is none of cost_centre"),
        ("tenant,globex,2026-10,1,USD,,,,", "tenant 'globex' is not registered"),
        ("cost_centre,cc-z,2026-10,1,USD,,,,", "cost centre 'cc-z' is not registered"),
        ("tenant,acme,2026-10,0,USD,,,,", "0 is no amount above 0"),
        ("tenant,acme,2026-10,NaN,USD,,,,", "NaN is no amount above 0"),
        ("tenant,acme,2026-10,ten,USD,,,,", "are numbers like"),
        ("tenant,acme,2026-10,1,XXY,,,,", "ISO 4217"),
        ("tenant,acme,October,1,USD,,,,", "YYYY-MM"),
        ("tenant,acme,2026-10,1,USD,2026-09,,,", "before it begins"),
        ("tenant,acme,2026-10,1,USD,,2,,", "no share above 0"),
        ("tenant,acme,2026-10,1,USD,,,billed,", "book 'billed' is none of cost, charge"),
        ("source,shop,2026-10,1,USD,,,charge,", "only a tenant is charged"),
        ("everything,all,2026-10,1,USD,,,,", "of one owner, or of everything"),
        ("source,,2026-10,1,USD,,,,", "of one owner, or of everything"),
        ("source,a\u202eb,2026-10,1,USD,,,,", "cannot be seen"),
    ],
)
def test_a_wrong_row_is_named_and_nothing_is_stored(tmp_path: Path, row: str, said: str) -> None:
    with pytest.raises(CommandError, match=f"line 6: .*{said}"):
        imported(tmp_path, GOOD + row + "\n")
    assert not BudgetRow.objects.exists()


def test_one_that_reaches_into_a_later_one_is_refused(tmp_path: Path) -> None:
    imported(tmp_path, "everything,,2026-12,1,USD,,,,\n")
    with pytest.raises(CommandError, match="begins before this one ends"):
        imported(tmp_path, "everything,,2026-10,1,USD,,,,\n")
    assert imported(tmp_path, "everything,,2026-10,1,USD,2026-11,,,\n")["added"] == 1


def test_a_column_that_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "budgets.csv"
    path.write_text("owner,key,month,amount\n")
    with pytest.raises(CommandError, match="no column currency"):
        call_command("import_budgets", str(path))
