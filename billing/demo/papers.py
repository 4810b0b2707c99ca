"""What the demo leaves under `out/`: statements, the allocation, waterfalls, invoices, evidence."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from allocation import statements
from allocation.domain.statements import Statement
from allocation.models import AllocationRun
from allocation.reconciliation import ProviderResult
from allocation.rendering.charts import by_model_svg
from allocation.rendering.run_json import allocation_value
from allocation.rendering.statement_csv import statement_csv, statements_csv
from allocation.rendering.statement_html import statement_html
from allocation.rendering.statement_json import statement_value
from allocation.run_book import open_book
from allocation.run_rows import read_allocation
from billing.invoice_run import InvoiceRun
from billing.run_report import as_json
from metering.domain.money import plain

COMPANY_FILE: Final = "company"


def make_ready() -> None:
    """Start what draws the pictures, which takes as long as a dozen of them."""
    by_model_svg((), "USD")


def write_papers(
    run: AllocationRun, results: Sequence[ProviderResult], folder: Path
) -> list[Statement]:
    """Write the run's statements, its lines and the waterfalls into the month's folder; the
    cost centres' statements."""
    place = folder / run.month
    (place / "statements").mkdir(parents=True, exist_ok=True)
    allocation = read_allocation(run.pk)
    book = open_book(run, lines=allocation.lines)
    drawn: list[Statement] = []
    codes = sorted({settlement.cost_centre for settlement in book.settlements})
    for currency in sorted(book.payable_minor):
        company = statements.draw(book, statements.COMPANY, currency)
        _write_statement(place / "statements", f"{COMPANY_FILE}-{currency.lower()}", company)
        for code in codes:
            subject = statements.cost_centre_subject(book, code)
            statement = statements.draw(book, subject, currency)
            if statement.settlements:
                drawn.append(statement)
                _write_statement(place / "statements", f"{code}-{currency.lower()}", statement)
    (place / "statements" / "all.csv").write_text(
        statements_csv(drawn), encoding="utf-8", newline=""
    )
    _write_json(place / "allocation.json", allocation_value(allocation))
    _write_json(
        place / "waterfall.json", {result.provider: waterfall_value(result) for result in results}
    )
    return drawn


def write_invoices(invoices: InvoiceRun, folder: Path) -> None:
    """Write the month's invoices into its folder."""
    place = folder / str(invoices.month)
    place.mkdir(parents=True, exist_ok=True)
    _write_json(place / "invoices.json", as_json(invoices))


def waterfall_value(result: ProviderResult) -> dict[str, Any]:
    """A waterfall's ends, causes and evidence as plain JSON; amounts are decimal strings."""
    return {
        "currency": result.currency,
        "metered": plain(result.metered),
        "bill": None if result.bill is None else plain(result.bill),
        "unexplained_owner": result.unexplained_owner,
        "steps": [{"cause": cause, "amount": plain(amount)} for cause, amount in result.steps],
        "evidence": [
            {name: _plain(value) for name, value in row._asdict().items()}
            for row in result.evidence
            if row.cause != "matched"
        ],
    }


def _plain(value: object) -> object:
    match value:
        case Decimal():
            return plain(value)
        case date():
            return value.isoformat()
        case _:
            return value


def _write_statement(folder: Path, name: str, statement: Statement) -> None:
    (folder / f"{name}.html").write_text(statement_html(statement), encoding="utf-8")
    (folder / f"{name}.csv").write_text(statement_csv(statement), encoding="utf-8", newline="")
    _write_json(folder / f"{name}.json", statement_value(statement))


def _write_json(path: Path, value: object) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")
