"""Budgets: what an owner means to spend in a month, and where that stands."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.forms import CharField, DecimalField
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from metering import budgets
from metering.admin.bases import EditableAdmin, ModelForm, shown
from metering.admin.figures import day, exact, link, number
from metering.admin.tables import Section, figures, text
from metering.domain.budgets import Spending
from metering.domain.money import EXACT, UnknownCurrency, minor_digits
from metering.models import BudgetRow


class BudgetForm(ModelForm):
    """A currency that there is, in capitals."""

    def clean_currency(self) -> str:
        code = str(self.cleaned_data["currency"]).strip().upper()
        try:
            minor_digits(code)
        except UnknownCurrency as error:
            raise ValidationError(str(error)) from error
        return code


@admin.register(BudgetRow)
class BudgetRowAdmin(EditableAdmin):
    """A budget that holds is never rewritten: it is ended, and another one is added."""

    form = BudgetForm
    list_display = ("owner", "book", "amount_figure", "warns", "valid", "reason")
    list_filter = ("book", "currency", "cost_centre")
    search_fields = ("tenant__key", "cost_centre__code", "source")
    ordering = ("tenant", "cost_centre", "source", "book", "valid_from")
    fields = (
        ("tenant", "cost_centre", "source"),
        "book",
        ("amount", "currency", "warn_share"),
        ("valid_from", "valid_to"),
        "reason",
    )
    fixed = (
        *("tenant", "cost_centre", "source", "book", "amount", "currency", "warn_share"),
        *("valid_from", "reason"),
    )
    refusals = {  # noqa: RUF012 - read only
        "one_budget_of_an_owner_at_a_time": "Another budget of this owner holds in that time. End"
        " it first, at the month from which this one is to hold.",
        "budget_is_of_one_owner_or_of_everything": "Name one tenant, cost centre or source; none"
        " for everything.",
        "budget_of_charges_is_of_a_tenant": "Only a tenant is charged: name it, or choose cost.",
        "budget_is_of_whole_months": "A budget begins and ends on the first day of a month.",
        "budget_ends_after_it_starts": "The end comes before the start.",
        "budget_is_an_amount_above_zero": "A budget is an amount above zero.",
        "budget_warns_at_a_share_of_it": "The warning's share lies above 0, up to 1.",
    }

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if isinstance(field, DecimalField):
            field.widget.attrs["step"] = "any"
        if db_field.name == "reason" and isinstance(field, CharField):
            field.help_text = "who decided it, and why"
        return field

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        fixed = super().get_readonly_fields(request, obj)
        ended = obj is not None and obj.valid_to is not None
        return (*fixed, "valid_to") if ended else fixed

    def sections(self, request: HttpRequest, row: BudgetRow) -> Sequence[Section]:  # noqa: ARG002
        """Where it stands now, whether it holds or not."""
        found = budgets.standing(budgets.value_of(row), timezone.now())
        spending = found.spending
        return [
            Section(
                "Where it stands",
                [*text("from", "to"), *figures("spent", "of it", "left"), *text("and")],
                [
                    (
                        day(spending.period.start.date()),
                        day(spending.period.end.date()),
                        exact(spending.known, row.currency),
                        _percent(found.used),
                        exact(found.left, row.currency),
                        "exceeded" if found.is_exceeded else "warned" if found.is_warning else "",
                    )
                ],
                note=not_in_it(spending),
            )
        ]

    @shown("of")
    def owner(self, row: BudgetRow) -> SafeString | str:
        if row.tenant_id:
            return link("metering_tenant", row.tenant_id, row.tenant_id)
        if row.cost_centre_id:
            return link("metering_costcentre", row.cost_centre_id, row.cost_centre_id)
        return f"source {row.source}" if row.source else "everything"

    @shown("a month", order="amount")
    def amount_figure(self, row: BudgetRow) -> SafeString:
        return exact(row.amount, row.currency)

    @shown("warns at", order="warn_share")
    def warns(self, row: BudgetRow) -> str:
        return _percent(row.warn_share)

    @shown("valid", order="valid_from")
    def valid(self, row: BudgetRow) -> SafeString | str:
        if row.valid_from == row.valid_to:
            return "taken back before it began"
        if row.valid_to is None:
            return f"since {day(row.valid_from)}"
        return format_html("{} to {}", day(row.valid_from), day(row.valid_to))


def not_in_it(spending: Spending) -> str:
    """What was spent beside what is known, in words; nothing where it is all known."""
    said = []
    if spending.unknown:
        said.append(f"Nothing is known: {spending.unknown}.")
    if spending.unpriced_calls or spending.unpriced_tokens:
        said.append(
            f"{spending.unpriced_calls:,} calls ({spending.unpriced_tokens:,} tokens) have no price"
            " yet and are not in it."
        )
    for currency, amount in sorted(spending.elsewhere.items()):
        said.append(f"{amount:f} {currency} are not in it.")
    return " ".join(said)


def _percent(share: Decimal) -> str:
    return f"{number(EXACT.quantize(EXACT.multiply(share, Decimal(100)), Decimal('0.1')))} %"
