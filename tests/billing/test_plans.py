from __future__ import annotations

from datetime import date
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import Error, transaction

from billing.domain.plans import plan_digest
from billing.models import PlanVersion, Subscription
from billing.plans import InvalidPlanFile, PlanConflict, PlanImport, import_plans
from tests.billing.billed import PLANS, on_pro, plans

pytestmark = pytest.mark.django_db


def subscription(tenant: str, plan: str, valid_from: str, terms: str = "") -> str:
    table = f'tenant = "{tenant}"\nplan = "{plan}"\nvalid_from = {valid_from}'
    return f"[[subscriptions]]\n{table}\n{terms}\n"


def test_a_file_is_stored_and_the_same_file_again_is_harmless() -> None:
    assert plans(on_pro("acme")) == PlanImport(plan_versions=1, subscriptions=1)
    again = plans(on_pro("acme"))
    assert again == PlanImport(plan_versions_unchanged=1, subscriptions_unchanged=1)
    version = PlanVersion.objects.get()
    assert version.terms.charges[0].included == 1_000
    assert version.digest == plan_digest(version.terms)


def test_a_later_version_closes_the_one_before_it() -> None:
    dearer = PLANS.replace('"49.00"', '"59.00"').replace("2026-01-01", "2026-07-01")
    plans(text=PLANS)
    plans(text=dearer)
    stored = PlanVersion.objects.order_by("valid_from")
    assert [(x.valid_from, x.valid_to) for x in stored] == [
        (date(2026, 1, 1), date(2026, 7, 1)),
        (date(2026, 7, 1), None),
    ]
    assert plans(text=PLANS + dearer) == PlanImport(plan_versions_unchanged=2)
    earlier = PLANS.replace("2026-01-01", "2025-01-01")
    plans(text=earlier)
    assert PlanVersion.objects.get(valid_from=date(2025, 1, 1)).valid_to == date(2026, 1, 1)


def test_a_change_of_plan_closes_the_subscription_before_it() -> None:
    plans(on_pro("acme"))
    plans('tenant = "acme"\nplan = "pro"\nvalid_from = 2026-05-15\nzone = "Asia/Kolkata"')
    assert list(
        Subscription.objects.order_by("valid_from").values_list("valid_from", "valid_to", "zone")
    ) == [
        (date(2026, 1, 1), date(2026, 5, 15), "UTC"),
        (date(2026, 5, 15), None, "Asia/Kolkata"),
    ]
    assert plans(on_pro("acme")).subscriptions_unchanged == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PLANS.replace("49.00", "59.00"), "other terms; give changed terms a later valid_from"),
        (PLANS.replace("2026-01-01", "2025-06-01\nvalid_to = 2026-02-01"), "ends after the stored"),
        (
            subscription("acme", "pro", "2026-01-01", "anchor_day = 5"),
            "is already stored",
        ),
        (
            subscription("hooli", "gold", "2026-01-01"),
            "plan 'gold', which is not there",
        ),
        (
            subscription("closed", "pro", "2026-01-15"),
            "begins before the stored one ends, 2026-02-01",
        ),
        (
            subscription("closed", "pro", "2026-01-01", "valid_to = 2026-03-01"),
            "already stored until 2026-02-01",
        ),
    ],
)
def test_a_file_that_contradicts_what_is_stored_stores_nothing(text: str, message: str) -> None:
    plans(on_pro("acme"), on_pro("closed", "valid_to = 2026-02-01"))
    new = PLANS.replace('"pro"', '"new"')
    before = (PlanVersion.objects.count(), Subscription.objects.count())
    with pytest.raises(PlanConflict, match=message), transaction.atomic():
        import_plans((new + text).encode())
    assert (PlanVersion.objects.count(), Subscription.objects.count()) == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[plans]", "not TOML.*line 1"),
        ("[[plan]]\ncode = 1", "unknown field `plan`"),
        (PLANS.replace("currency", "curency"), r"at `plans\[0\]`"),
        (
            PLANS.replace("2.50", "-2.50"),
            r"unit_price is -2.50.*at `plans\[0\].charges\[0\].price`",
        ),
        (PLANS.replace("included = 2", "included = 2.5"), r"`plans\[0\].charges\[1\].included`"),
        (PLANS.replace("2026-01-01", '"soon"'), r"`plans\[0\].valid_from`"),
        (
            PLANS.replace("2026-01-01", "2026-01-01\nvalid_to = 2026-01-01"),
            r"ends on 2026-01-01.*`plans\[0\].valid_to`",
        ),
        (
            subscription("a", "pro", "2026-01-01", 'zone = "IST!"'),
            r"no time zone.*`subscriptions\[0\]`",
        ),
        (
            subscription(" ", "pro", "2026-01-01"),
            r"tenant is empty.*`subscriptions\[0\]`",
        ),
    ],
)
def test_an_error_names_the_table_and_the_key(text: str, message: str) -> None:
    with pytest.raises(InvalidPlanFile, match=message):
        import_plans(text.encode())
    assert not PlanVersion.objects.exists()


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(InvalidPlanFile, match="not UTF-8"):
        import_plans(b"\xff\xfe")


def test_what_is_stored_cannot_be_changed_by_hand() -> None:
    plans(on_pro("acme"))
    for change in (
        lambda: PlanVersion.objects.update(content={}),
        lambda: PlanVersion.objects.all().delete(),
        lambda: Subscription.objects.update(anchor_day=2),
        lambda: Subscription.objects.all().delete(),
        lambda: Subscription.objects.create(
            tenant="acme", plan_id="pro", valid_from=date(2026, 3, 1)
        ),
    ):
        with pytest.raises(Error), transaction.atomic():
            change()
    Subscription.objects.update(valid_to=date(2026, 6, 1))
    with pytest.raises(Error, match="Cannot update"), transaction.atomic():
        Subscription.objects.update(valid_to=date(2026, 7, 1))


def test_the_command_says_what_it_did_or_where_the_file_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "plans.toml"
    path.write_text(PLANS)
    out = StringIO()
    call_command("import_plans", str(path), stdout=out)
    assert out.getvalue() == ("plan versions: 1 new, 0 known; subscriptions: 0 new, 0 known\n")
    path.write_text(PLANS.replace("USD", "USDX"))
    with pytest.raises(CommandError, match=r"plans.toml: currency: 'USDX' is no ISO 4217"):
        call_command("import_plans", str(path))
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("import_plans", str(tmp_path / "none.toml"))
