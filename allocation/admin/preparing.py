"""What finance does before a month is closed, as pages of the lists that it makes rows of: take in
a provider's bill, reconcile, allocate. Each does what the command of that name does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.forms import BooleanField, CharField, ChoiceField, FileField, Form
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from allocation import allocation_run, provider_bills, reconciliation
from allocation.bill_checks import BillRefused, Confirmed
from allocation.bills.reading import Terms, currency_code
from allocation.closed_months import MonthIsClosed
from allocation.domain.pools import AmountTooFine
from allocation.domain.rules import InvalidRule
from allocation.models import Rule
from allocation.rule_book import NoSuchRule
from config.roles import IMPORT_BILLS, RECONCILE, RUN_ALLOCATION
from metering.admin.acts import Act
from metering.admin.figures import link
from metering.domain.apportionment import InvalidWeight
from metering.domain.money import UnknownCurrency, plain
from metering.domain.periods import Month
from metering.month_usage import months_with_usage, today
from metering.people import NotAllowed, author

if TYPE_CHECKING:
    from django.forms import CheckboxInput, ClearableFileInput, Select, TextInput
else:
    from unfold.widgets import UnfoldAdminFileFieldWidget as ClearableFileInput
    from unfold.widgets import UnfoldAdminSelectWidget as Select
    from unfold.widgets import UnfoldAdminTextInputWidget as TextInput
    from unfold.widgets import UnfoldBooleanSwitchWidget as CheckboxInput

_LARGEST_BILL: Final = 100 * 1024 * 1024


class NoColumns(ValueError):
    """What was said of a bill's columns cannot be read."""


def _months() -> list[tuple[str, str]]:
    months = months_with_usage(today(timezone.now()))
    return [(str(month), str(month)) for month in reversed(months)]


def _rules() -> list[tuple[str, str]]:
    names = Rule.objects.order_by("name").values_list("name", flat=True)
    return [("", "the one in use"), *((name, name) for name in names)]


class MonthForm(Form):
    """Which month."""

    month = ChoiceField(label="Month", choices=_months, widget=Select)


class RunForm(MonthForm):
    """Which month, and by which rule."""

    rule = ChoiceField(label="Rule", choices=_rules, required=False, widget=Select)


class BillForm(Form):
    """A bill as the provider gave it, and what it leaves unsaid."""

    file = FileField(label="The bill, as the provider gave it", widget=ClearableFileInput)
    provider = CharField(label="Whose bill it is", help_text="like openai", widget=TextInput)
    account = CharField(
        label="Account", help_text="of lines that name none", required=False, widget=TextInput
    )
    columns = CharField(
        label="Columns of a CSV",
        help_text="which holds what, like: day=date amount=cost",
        required=False,
        widget=TextInput,
    )
    currency = CharField(
        label="Currency", help_text="of lines that name none", required=False, widget=TextInput
    )
    confirmed = BooleanField(
        label="Unit, currency and provider are right, however odd the amounts look",
        required=False,
        widget=CheckboxInput,
    )


def reconciling(request: HttpRequest) -> Act:
    """Explain a month's bills."""

    def do(asked: dict[str, Any]) -> SafeString:
        author(request.user.get_username(), RECONCILE)
        found = reconciliation.reconcile(Month.parse(asked["month"]), now=timezone.now())
        words = f"reconciliation {found.number}"
        return format_html(
            "{}: {}.", found.month, link("allocation_reconciliation", found.pk, words)
        )

    return Act(
        title="Reconcile a month",
        note="From what was metered to what the providers billed, cause by cause. The same bills "
        "and usage give the reconciliation that there is already.",
        button="Reconcile",
        form=MonthForm,
        do=do,
        refusals=(
            reconciliation.NothingToReconcile,
            reconciliation.CannotCompare,
            MonthIsClosed,
            NotAllowed,
        ),
        back=reverse("admin:allocation_reconciliation_changelist"),
    )


def allocating(request: HttpRequest) -> Act:
    """Divide a month's bills; another person approves the run."""

    def do(asked: dict[str, Any]) -> SafeString:
        person = author(request.user.get_username(), RUN_ALLOCATION)
        run = allocation_run.run(
            Month.parse(asked["month"]),
            rule=asked["rule"] or None,
            author=person,
            now=timezone.now(),
        )
        words = f"run {run.number}"
        return format_html("{}: {}.", run.month, link("allocation_allocationrun", run.pk, words))

    return Act(
        title="Allocate a month",
        note="Divides the month's bills over cost centres and tenants, to the last cent. You are "
        "the run's author, so another person approves it.",
        button="Allocate",
        form=RunForm,
        do=do,
        refusals=(
            allocation_run.NoBills,
            MonthIsClosed,
            NoSuchRule,
            InvalidRule,
            AmountTooFine,
            InvalidWeight,
            UnknownCurrency,
            NotAllowed,
        ),
        back=reverse("admin:allocation_allocationrun_changelist"),
    )


def importing(request: HttpRequest) -> Act:
    """Take in a provider's bill."""

    def do(asked: dict[str, Any]) -> SafeString:
        author(request.user.get_username(), IMPORT_BILLS)
        file = asked["file"]
        if file.size > _LARGEST_BILL:
            raise BillRefused("a file of more than 100 MB: take it in with manage.py import_bill")
        currency = asked["currency"]
        terms = Terms(
            provider=asked["provider"],
            account=asked["account"],
            currency=currency_code(currency) if currency else None,
            columns=_columns(asked["columns"]),
        )
        sure = Confirmed(unit=asked["confirmed"], provider=asked["confirmed"])
        taken = provider_bills.import_bill(
            file.read(), terms, now=timezone.now(), name=file.name, confirmed=sure
        )
        told = "" if taken.new else "The same bill was taken in before; nothing changed. "
        bills = ", ".join(
            f"bill {bill.id} of {bill.month}, {plain(bill.payable)} {bill.currency}"
            for bill in taken.bills
        )
        return format_html("{}{}: {}.", told, file.name, bills)

    return Act(
        title="Take in a provider's bill",
        note="The file is kept as it is; its lines are read from it, and its unit, currency and "
        "days are checked. A month's run that waits begins anew with it.",
        button="Take in the bill",
        form=BillForm,
        do=do,
        refusals=(BillRefused, UnknownCurrency, NoColumns, NotAllowed),
        back=reverse("admin:allocation_providerbill_changelist"),
    )


def _columns(said: str) -> dict[str, str]:
    columns: dict[str, str] = {}
    for pair in said.split():
        field, equals, column = pair.partition("=")
        if not (equals and field and column):
            raise NoColumns(f"{pair!r} is not field=column, like day=usage_date")
        columns[field] = column
    return columns
