"""The waterfall finds what was planted, to the last digit: documents in, causes out, no database.

The metered side comes from the generator's own sums, priced by `genai-prices` directly.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from allocation.bills import delimited, openai_costs
from allocation.bills.reading import ParsedBill, Terms
from allocation.domain.bill_lines import BillLine
from allocation.domain.matching import match
from allocation.domain.waterfall import Waterfall, waterfall
from billing.demo import planted
from billing.demo.bill_documents import CSV_COLUMNS
from billing.demo.billed_usage import BilledCell, ProviderLog
from billing.demo.bills import MadeBills, make_bills
from billing.demo.month import calls
from billing.demo.traffic import MONTH, YEAR
from metering.domain.cells import Cell, MeteredCell, Owner

PROVIDERS = ("openai", "anthropic")


def read_lines(bills: MadeBills, provider: str) -> tuple[BillLine, ...]:
    if provider == "openai":
        reading = openai_costs.read(bills.openai_costs, Terms("openai"))
    else:
        terms = Terms("anthropic", columns=CSV_COLUMNS)
        reading = delimited.read(bills.anthropic_csv, terms)
    assert isinstance(reading, ParsedBill), str(reading)
    return tuple(line._replace(bill_id=1) for line in reading.lines)


def as_metered(cell: BilledCell) -> MeteredCell:
    """The cell as the application reported it: a silent reroute under the model it asked for."""
    model = planted.REROUTED_MODEL if cell.model == planted.REROUTED_TO else cell.model
    day = date(YEAR, MONTH, cell.day)
    key = Cell(cell.provider, cell.project, day, model, cell.token_class, cell.tier)
    return MeteredCell(key, Owner("cc-any"), Decimal(cell.quantity), cell.metered, "USD", 1)


@pytest.fixture(scope="module", params=[2_000, 9_000])
def month(request: pytest.FixtureRequest) -> tuple[MadeBills, list[BilledCell]]:
    log = ProviderLog()
    log.add(calls(request.param))
    return make_bills(log.cells()), list(log.cells())


@pytest.fixture(params=PROVIDERS)
def explained(
    request: pytest.FixtureRequest, month: tuple[MadeBills, list[BilledCell]]
) -> tuple[str, MadeBills, Waterfall]:
    bills, cells = month
    provider: str = request.param
    metered = [as_metered(cell) for cell in cells if cell.provider == provider]
    return provider, bills, waterfall(match(read_lines(bills, provider), metered))


def test_every_cause_has_the_planted_amount(
    explained: tuple[str, MadeBills, Waterfall],
) -> None:
    provider, bills, found = explained
    wanted = {p.cause: p.amount for p in bills.planted if p.provider == provider}
    assert {step.cause: step.amount for step in found.steps if step.amount} == wanted


def test_both_ends_are_the_generators(explained: tuple[str, MadeBills, Waterfall]) -> None:
    provider, bills, found = explained
    assert (found.metered, found.bill) == (bills.metered[provider], bills.totals[provider])
