"""Bills, reconciliations and runs by the admin's buttons: for whoever may, as the commands do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from allocation.models import AllocationRun, ProviderBill, Reconciliation
from tests.admin_pages import browser, person, text, told
from tests.allocation import october
from tests.prebuilt import Prebuilt

pytestmark = pytest.mark.django_db

TAKE_IN = reverse("admin:allocation_providerbill_take_in")
RECONCILE = reverse("admin:allocation_reconciliation_reconcile")
ALLOCATE = reverse("admin:allocation_allocationrun_allocate")

BILL = b"date,model,token_class,amount,currency\n2026-10-03,gpt-4o,input,10.00,USD\n"


def _used(folder: Path) -> None:
    october.company(folder)
    october.call(3, "acme", 4_000_000)


@pytest.fixture(autouse=True)
def _usage(db: None, prebuilt: Prebuilt) -> Iterator[None]:
    with prebuilt.at(_used):
        yield


def bill(content: bytes = BILL, columns: str = "day=date") -> dict[str, object]:
    file = SimpleUploadedFile("october.csv", content)
    return {"file": file, "provider": "openai", "columns": columns}


def test_finance_takes_in_a_bill_reconciles_and_allocates() -> None:
    client = browser(person("fin", "finance"))
    assert "openai" in text(client.get(TAKE_IN))
    assert "10 USD" in told(client.post(TAKE_IN, bill(), follow=True))
    assert ProviderBill.objects.get().month == "2026-10"
    assert "nothing changed" in told(client.post(TAKE_IN, bill(), follow=True))

    assert "reconciliation 1" in told(client.post(RECONCILE, {"month": "2026-10"}, follow=True))
    assert Reconciliation.objects.count() == 1

    assert "run 1" in told(client.post(ALLOCATE, {"month": "2026-10", "rule": ""}, follow=True))
    run = AllocationRun.objects.get()
    assert (run.author, run.state) == ("fin", "draft")


@pytest.mark.parametrize(
    ("content", "columns", "because"),
    [
        (BILL, "day:date", "is not field=column"),
        (b"nothing\n", "", "looks like no known bill"),
        (BILL.replace(b"10.00", b"1000.00"), "day=date", "unit"),
    ],
)
def test_what_is_refused_is_told_on_the_page(content: bytes, columns: str, because: str) -> None:
    response = browser(person("fin", "finance")).post(TAKE_IN, bill(content, columns))
    assert because in told(response)
    assert not ProviderBill.objects.exists()


def test_without_a_bill_there_is_nothing_to_allocate() -> None:
    client = browser(person("fin", "finance"))
    assert "import" in told(client.post(ALLOCATE, {"month": "2026-10"}))


@pytest.mark.parametrize("url", [TAKE_IN, RECONCILE, ALLOCATE])
@pytest.mark.parametrize("role", ["viewer", "approver", "auditor"])
def test_who_may_not_is_not_shown_the_page(url: str, role: str) -> None:
    client = browser(person("someone", role))
    assert client.get(url).status_code == 403
    assert client.post(url, {"month": "2026-10"}).status_code == 403
