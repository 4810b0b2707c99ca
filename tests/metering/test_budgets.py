"""Budgets as rows: what the database refuses, which holds, and what was spent of it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.apps import apps
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.urls import reverse

from metering import budgets
from metering.domain.budgets import Budget
from metering.domain.periods import Month
from metering.domain.usage import Share
from metering.ingestion import ingest
from metering.models import BudgetRow, CostCentre, Tenant
from metering.rollups import fold
from tests.admin_pages import browser, page_of, person, text, told
from tests.metering.events import NOW, call

pytestmark = pytest.mark.django_db

OCTOBER = Month(2026, 10)
IN_OCTOBER = datetime(2026, 10, 20, tzinfo=UTC)
ONE = Decimal("0.0002475")


@pytest.fixture(autouse=True)
def _owners() -> None:
    for key in ("acme", "globex"):
        Tenant.objects.create(key=key)
    CostCentre.objects.create(code="cc-a", name="A", responsible="head of A")


def row(**different: Any) -> BudgetRow:
    plain: dict[str, Any] = {
        "amount": "100",
        "currency": "USD",
        "valid_from": date(2026, 1, 1),
    }
    return BudgetRow.objects.create(**{**plain, **different})


def everything(**different: Any) -> Budget:
    plain: dict[str, Any] = {
        "scope": "everything",
        "key": "",
        "book": "cost",
        "amount": Decimal(100),
        "currency": "USD",
        "warn_share": Decimal("0.8"),
    }
    return Budget(**{**plain, **different})


@pytest.mark.parametrize(
    ("different", "constraint"),
    [
        ({"amount": "0"}, "amount_above_zero"),
        ({"warn_share": "0"}, "warns_at_a_share"),
        ({"warn_share": "1.5"}, "warns_at_a_share"),
        ({"currency": "usd"}, "currency_is_a_code"),
        ({"book": "billed"}, "book_known"),
        ({"book": "charge"}, "charges_is_of_a_tenant"),
        ({"tenant_id": "acme", "cost_centre_id": "cc-a"}, "one_owner_or_of_everything"),
        ({"tenant_id": "acme", "source": "shop"}, "one_owner_or_of_everything"),
        ({"valid_from": date(2026, 1, 2)}, "whole_months"),
        ({"valid_to": date(2026, 2, 2)}, "whole_months"),
        ({"valid_to": date(2025, 12, 1)}, "ends_after_it_starts"),
    ],
)
def test_the_database_refuses_what_no_budget_can_be(
    different: dict[str, Any], constraint: str
) -> None:
    with pytest.raises(DatabaseError, match=constraint):
        row(**different)


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity", "1e15"])
def test_the_database_takes_no_amount_that_is_none(amount: str) -> None:
    with pytest.raises(DatabaseError, match="amount_above_zero"), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO budget (source, book, amount, currency, warn_share, valid_from, reason)"
            " VALUES ('', 'cost', %s, 'USD', 1, '2026-01-01', '')",
            [amount],
        )


@pytest.mark.parametrize(
    "owner", [{}, {"tenant_id": "acme"}, {"cost_centre_id": "cc-a"}, {"source": "shop"}]
)
def test_an_owner_has_one_budget_of_a_book_at_a_time(owner: dict[str, Any]) -> None:
    first = row(**owner, valid_to=date(2026, 10, 1))
    row(**owner, valid_from=date(2026, 10, 1))
    with pytest.raises(IntegrityError, match="one_budget_of_an_owner"), transaction.atomic():
        row(**owner, amount="5", valid_from=date(2026, 9, 1))
    first.valid_to = date(2026, 9, 1)
    first.save()
    row(**owner, amount="5", valid_from=date(2026, 9, 1), valid_to=date(2026, 10, 1))


def test_budgets_of_different_owners_and_books_stand_side_by_side() -> None:
    for owner in ({}, {"tenant_id": "acme"}, {"tenant_id": "globex"}, {"source": "acme"}):
        row(**owner)
    row(tenant_id="acme", book="charge", currency="EUR")
    assert budgets.in_force(OCTOBER).count() == 5


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE budget SET amount = 1",
        "UPDATE budget SET valid_from = '2026-02-01'",
        "UPDATE budget SET valid_to = NULL",
        "UPDATE budget SET valid_to = '2027-01-01'",
        "DELETE FROM budget",
    ],
)
def test_what_a_budget_says_does_not_change(statement: str) -> None:
    row(valid_to=date(2026, 12, 1))
    with pytest.raises(DatabaseError), connection.cursor() as cursor:
        cursor.execute(statement)


def test_a_budget_holds_for_its_months_only() -> None:
    row(valid_from=date(2026, 10, 1), valid_to=date(2026, 11, 1))
    row(tenant_id="acme", valid_from=date(2026, 10, 1), valid_to=date(2026, 10, 1))
    assert [
        [str(each) for each in budgets.in_force(month)]
        for month in (OCTOBER.previous(), OCTOBER, OCTOBER.next())
    ] == [[], ["cost of everything from 2026-10"], []]


def test_a_sender_is_told_of_its_own_budget_before_that_of_everything() -> None:
    row(amount="1")
    row(amount="2", source="shop")
    row(amount="3", tenant_id="acme")
    row(amount="4", cost_centre_id="cc-a")
    row(amount="5", tenant_id="globex", book="charge")

    def told_of(source: str, tenant: str | None = None) -> Decimal | None:
        found = budgets.of_sender(source, tenant, OCTOBER)
        return None if found is None else found.amount

    assert told_of("shop") == 2
    assert told_of("another") == 1
    assert told_of("shop", "acme") == 3
    assert told_of("shop", "globex") is None, "nor of what everybody spends"
    assert told_of("shop", "cc-a") is None


def test_spend_is_exact_before_and_after_folding() -> None:
    shares = (Share(tenant_id="globex", input_tokens=500, output_tokens=100),)
    ingest(
        [
            call("a"),
            call("b", tenant_id="globex", source="shop"),
            call("c", shares=shares),
            call("d", data_mode="test"),
            call("e", environment="staging"),
            call("f", occurred_at=datetime(2026, 11, 1, tzinfo=UTC)),
        ],
        now=NOW,
    )
    owners = [
        ("everything", "", 4 * ONE),
        ("tenant", "acme", Decimal("2.5") * ONE),
        ("tenant", "globex", Decimal("1.5") * ONE),
        ("source", "shop", ONE),
        ("cost_centre", "unallocated", 4 * ONE),
        ("cost_centre", "cc-a", Decimal(0)),
    ]
    for _ in range(2):
        for scope, key, cost in owners:
            spent = budgets.cost_spent(everything(scope=scope, key=key), OCTOBER.period)
            assert (spent.known, spent.is_whole) == (cost, True), (scope, key)
        fold()
        ingest([call("a")], now=NOW)


def test_what_has_no_price_is_told_and_not_taken_for_nothing() -> None:
    shares = (Share(tenant_id="globex", input_tokens=500, output_tokens=100),)
    ingest([call("a"), call("b", model="nobody-prices-this", shares=shares)], now=NOW)
    spent = budgets.cost_spent(everything(), OCTOBER.period)
    assert (spent.known, spent.unpriced_calls, spent.unpriced_tokens) == (ONE, 1, 1200)
    part = budgets.cost_spent(everything(scope="tenant", key="globex"), OCTOBER.period)
    assert (part.known, part.unpriced_calls, part.unpriced_tokens) == (Decimal(0), 0, 600)
    assert not part.is_whole


def test_spend_in_another_currency_is_told_and_not_added() -> None:
    ingest([call()], now=NOW)
    spent = budgets.cost_spent(everything(currency="EUR"), OCTOBER.period)
    assert (spent.known, spent.elsewhere) == (Decimal(0), {"USD": ONE})


# ------------------------------------------------------------------------------------ the page

ADD = reverse("admin:metering_budgetrow_add")
FORM = {
    "tenant": "",
    "cost_centre": "cc-a",
    "source": "",
    "book": "cost",
    "amount": "2500.50",
    "currency": "usd",
    "warn_share": "0.8",
    "valid_from": "2026-01-01",
    "valid_to": "",
    "reason": "board, January",
}


def test_finance_enters_a_budget_and_sees_where_it_stands() -> None:
    client = browser(person("f", "finance"))
    assert "added successfully" in told(client.post(ADD, FORM, follow=True))
    entered = BudgetRow.objects.get()
    assert (entered.amount, entered.currency) == (Decimal("2500.50"), "USD")
    page = text(client.get(page_of(entered)))
    assert "Where it stands" in page
    assert "cc-a" in text(client.get(reverse("admin:metering_budgetrow_changelist")))


def test_a_budgets_page_names_what_has_no_price() -> None:
    now = datetime.now(UTC)
    ingest([call("b", model="nobody-prices-this", occurred_at=now)], now=now)
    page = text(browser(person("v", "viewer")).get(page_of(row())))
    assert "1 calls (1,200 tokens) have no price" in page


@pytest.mark.parametrize(
    ("different", "said"),
    [
        ({"tenant": "acme"}, "Name one tenant, cost centre or source"),
        ({"book": "charge"}, "Only a tenant is charged"),
        ({"amount": "-1"}, "above zero"),
        ({"valid_from": "2026-01-15"}, "first day of a month"),
        ({"currency": "XXY"}, "ISO 4217"),
    ],
)
def test_a_budget_that_cannot_be_says_why(different: dict[str, str], said: str) -> None:
    response = browser(person("f", "finance")).post(ADD, {**FORM, **different})
    assert said in text(response)
    assert not BudgetRow.objects.exists()


def test_a_budget_is_ended_and_followed_by_another() -> None:
    client = browser(person("f", "finance"))
    client.post(ADD, FORM)
    overlap = client.post(ADD, {**FORM, "amount": "1"})
    assert "Another budget of this owner holds in that time" in text(overlap)
    old = BudgetRow.objects.get()
    client.post(page_of(old), {**FORM, "amount": "9", "valid_to": "2026-06-01"})
    client.post(ADD, {**FORM, "amount": "1", "valid_from": "2026-06-01"})
    assert [str(each.amount) for each in BudgetRow.objects.order_by("valid_from")] == [
        "2500.50",
        "1",
    ]
    kept = apps.get_model("metering", "BudgetRowHistory").objects.filter(id=old.pk)
    assert list(kept.values_list("pgh_label", flat=True).order_by("pgh_id")) == ["insert", "update"]


def test_only_finance_enters_budgets() -> None:
    for role in ("viewer", "engineer", "approver", "auditor"):
        assert browser(person(role, role)).post(ADD, FORM).status_code == 403
