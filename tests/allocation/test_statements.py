"""Statements drawn from a stored run: everything of the bill, once, by the right owner."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, IntegrityError, connection, transaction

from allocation import statements
from allocation.models import AllocationRun, Statement
from allocation.run_book import RunBook, Whose, open_book
from metering.domain.money import from_minor
from tests.allocation import october
from tests.allocation.october import NOW, OCTOBER
from tests.prebuilt import Prebuilt

pytestmark = pytest.mark.django_db


def _allocated(folder: Path) -> None:
    october.company(folder)
    october.usage_and_bill()
    october.run()


@pytest.fixture
def book(db: None, prebuilt: Prebuilt) -> Iterator[RunBook]:
    with prebuilt.at(_allocated):
        yield open_book(AllocationRun.objects.get())


def printed(*arguments: str) -> str:
    out = StringIO()
    call_command("statement", "2026-10", *arguments, stdout=out)
    return out.getvalue()


def test_issued_statements_are_the_bill(book: RunBook) -> None:
    issued = statements.issue(book.run, now=NOW)
    by_centre = {row.cost_centre: row.amount_minor for row in issued}
    assert set(by_centre) == {"cc-growth", "cc-support", "unallocated"}
    assert sum(by_centre.values()) == 1610
    assert by_centre["cc-growth"] == 1006
    assert {row.cost_centre: row.mode for row in issued}["cc-growth"] == "chargeback"
    assert {row.cost_centre: row.events for row in issued} == {
        "cc-growth": 1,
        "cc-support": 1,
        "unallocated": 1,
    }


def test_issuing_again_gives_the_same_rows(book: RunBook) -> None:
    first = statements.issue(book.run, now=NOW)
    again = statements.issue(book.run, now=NOW + timedelta(days=1))
    assert [row.pk for row in again] == [row.pk for row in first]
    assert Statement.objects.count() == 3


def test_a_statement_drawn_later_has_the_issued_digest(book: RunBook) -> None:
    issued = {row.cost_centre: row.digest for row in statements.issue(book.run, now=NOW)}
    october.call(9, "acme", 1_000)  # arrives late: the statement keeps its evidence
    for code, digest in issued.items():
        subject = statements.cost_centre_subject(book, code)
        assert statements.draw(book, subject, "USD").digest == digest


def test_a_book_of_one_owner_gives_the_statement_that_the_whole_book_gives(book: RunBook) -> None:
    centres = sorted({s.cost_centre for s in book.settlements})
    owners = [
        *((statements.cost_centre_subject, Whose("cost_centre", code)) for code in centres),
        *((statements.tenant_subject, Whose("tenant", key)) for key in sorted(book.tenant_names)),
    ]
    assert len(owners) > 4
    for subject, whose in owners:
        own = open_book(book.run, whose=whose)
        whole = statements.draw(book, subject(book, whose.key), "USD")
        assert statements.draw(own, subject(own, whose.key), "USD") == whole
        assert {line.cost_centre for line in own.lines} < {line.cost_centre for line in book.lines}


def test_a_book_of_one_owner_states_nobody_else(book: RunBook) -> None:
    own = open_book(book.run, whose=Whose("tenant", "globex"))
    others = (
        statements.COMPANY,
        statements.tenant_subject(own, "acme"),
        statements.cost_centre_subject(own, "cc-growth"),
    )
    for subject in others:
        with pytest.raises(statements.BookOfAnother, match="read for tenant 'globex'"):
            statements.draw(own, subject, "USD")


def test_each_line_says_what_it_came_from(book: RunBook) -> None:
    growth = statements.draw(book, statements.cost_centre_subject(book, "cc-growth"), "USD")
    shared, direct = growth.lines
    assert (direct.strategy, direct.amount, direct.share) == ("direct", Decimal(10), Decimal(1))
    assert (direct.driver_value, direct.basis) == (Decimal(10), "metered_cost")
    assert shared.pool == "fees, taxes and adjustments"
    assert shared.share == Decimal(10) / Decimal(16)
    assert growth.rounding == from_minor(growth.total_minor, "USD") - growth.exact
    assert [(f.endpoint_tag, f.metered_cost) for f in growth.metered.features] == [
        ("chat", Decimal(10))
    ]
    assert [(d.day.day, d.metered_cost) for d in growth.metered.days] == [(3, Decimal(10))]


def test_a_tenants_and_the_companys_statement(book: RunBook) -> None:
    globex = statements.draw(book, statements.tenant_subject(book, "globex"), "USD")
    assert (globex.mode, globex.evidence.events) == ("showback", 1)
    assert {line.cost_centre for line in globex.lines} == {"cc-support"}
    company = statements.draw(book, statements.COMPANY, "USD")
    assert (company.total_minor, company.whole_minor, company.evidence.events) == (1610, 1610, 3)
    assert company.exact == Decimal("16.1")


def test_what_nobody_owns_is_explained(book: RunBook) -> None:
    growth = statements.draw(book, statements.cost_centre_subject(book, "cc-growth"), "USD")
    assert growth.unallocated_responsible == "head of platform"
    reasons = {part.reason: part.amount for part in growth.unallocated}
    assert reasons["usage whose owner is not known"] >= Decimal(1)
    assert growth.unallocated_minor == 101


def test_the_command_prints_json_csv_and_a_page(book: RunBook) -> None:
    value = json.loads(printed("--cost-centre", "cc-growth"))
    assert (value["total_minor"], value["mode"], value["state"]) == (1006, "chargeback", "draft")
    rows = list(csv.DictReader(io.StringIO(printed("--tenant", "globex", "--format", "csv"))))
    assert {row["tenant"] for row in rows} == {"globex"}
    page = printed("--cost-centre", "cc-growth", "--format", "html")
    assert page.startswith("<!DOCTYPE html>")
    assert "US$10.06" in page
    assert json.loads(printed())["subject"]["kind"] == "company"


def test_a_file_is_written_byte_for_byte(book: RunBook, tmp_path: Path) -> None:
    path = tmp_path / "growth.csv"
    call_command("statement", "2026-10", "--format", "csv", "--out", str(path))
    assert path.read_bytes().count(b"\r\n") == path.read_bytes().count(b"\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--cost-centre", "cc-nowhere"], "there are cc-growth, cc-support"),
        (["--tenant", "nobody"], "there are acme, globex"),
        (["--currency", "EUR"], "bears nothing in EUR; try USD"),
        (["--format", "pdf"], "pdf is not offered yet; there are json, csv, html"),
        (["--format", "docx"], "no format 'docx'"),
        (["--team", "growth"], "per team are not offered yet"),
        (["--user", "u1"], "per user are not offered yet"),
    ],
)
def test_what_cannot_be_stated_is_said(book: RunBook, arguments: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        printed(*arguments)


@pytest.mark.parametrize(
    ("period", "said"), [("2026-13", "write the month as"), ("2026-09", "has no allocation run")]
)
def test_a_month_that_has_no_statement(book: RunBook, period: str, said: str) -> None:
    with pytest.raises(CommandError, match=said):
        call_command("statement", period)


def test_the_database_refuses_a_statement_that_is_not_the_settlement(book: RunBook) -> None:
    row = statements.issue(book.run, now=NOW)[0]
    for change in (
        "UPDATE statement SET amount_minor = amount_minor + 1 WHERE id = %s",
        "DELETE FROM statement WHERE id = %s",
    ):
        with (
            pytest.raises(DatabaseError, match="Cannot update or delete rows"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(change, [row.pk])
    row.pk, row.cost_centre = None, "cc-support"
    with pytest.raises(IntegrityError, match="not what the run settled"), transaction.atomic():
        row.save(force_insert=True)


def test_the_page_of_a_run_without_evidence_of_metering_still_adds_up(tmp_path: Path) -> None:
    october.company(tmp_path)
    october.bill((3, "10.00", "fee"))
    drawn = statements.draw(open_book(october.run()), statements.COMPANY, "USD")
    assert (drawn.total_minor, drawn.unallocated_minor) == (1000, 1000)
    assert [part.pool for part in drawn.unallocated] == ["fees, taxes and adjustments"]
    assert str(OCTOBER) == "2026-10"


def test_an_empty_name_is_not_the_whole_company(book: RunBook) -> None:
    for whose in ("--cost-centre", "--tenant"):
        with pytest.raises(CommandError, match=f"no {whose[2:].replace('-', ' ')} ''"):
            printed(whose, "")


def test_a_place_that_cannot_be_written_is_said(book: RunBook, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be written: Is a directory"):
        printed("--out", str(tmp_path))
