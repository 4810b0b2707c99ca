"""The rows of what owners mean to spend in a month."""

from __future__ import annotations

import pgtrigger
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateRangeField, RangeBoundary, RangeOperators
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Coalesce

from metering.domain.budgets import BOOKS, LARGEST
from metering.fields import ExactField
from metering.models.owners import CostCentre, Tenant


class _Months(Func):
    """The half-open range of a row's months, for the exclusion constraint."""

    function = "DATERANGE"
    output_field = DateRangeField()


class BudgetRow(models.Model):
    """A budget (`metering.domain.budgets.Budget`) for each month from `valid_from` until before
    `valid_to`, both the first day of a month (none: until further notice).

    At most one owner is named; none is everything. What it says never changes; only its end may
    be set, or moved to an earlier month. One that was taken back ends where it starts.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, null=True, blank=True)
    cost_centre = models.ForeignKey(CostCentre, on_delete=models.PROTECT, null=True, blank=True)
    source = models.TextField(
        blank=True, default="", help_text="a source: a workspace, in Opsmeter's words"
    )
    book = models.TextField(
        choices=[
            ("cost", "cost: what calls should have cost"),
            ("charge", "charge: what the tenant is charged"),
        ],
        default="cost",
    )
    amount = ExactField(help_text="a month, in the currency")
    currency = models.CharField(max_length=3)
    warn_share = ExactField(
        default="0.8", help_text="of the amount, from which on it is warned: 0.8"
    )
    valid_from = models.DateField(help_text="the first month's first day")
    valid_to = models.DateField(
        null=True, blank=True, help_text="first day of the month from which on it no longer holds"
    )
    reason = models.TextField(blank=True, default="")

    class Meta:
        db_table = "budget"
        verbose_name = "budget"
        ordering = ["valid_from", "id"]
        constraints = [
            ExclusionConstraint(
                name="one_budget_of_an_owner_at_a_time",
                expressions=[
                    (Coalesce("tenant_id", Value("")), RangeOperators.EQUAL),
                    (Coalesce("cost_centre_id", Value("")), RangeOperators.EQUAL),
                    ("source", RangeOperators.EQUAL),
                    ("book", RangeOperators.EQUAL),
                    (
                        _Months(F("valid_from"), F("valid_to"), RangeBoundary()),
                        RangeOperators.OVERLAPS,
                    ),
                ],
            ),
            models.CheckConstraint(
                condition=Q(tenant=None, cost_centre=None)
                | Q(tenant=None, source="")
                | Q(cost_centre=None, source=""),
                name="budget_is_of_one_owner_or_of_everything",
            ),
            models.CheckConstraint(condition=Q(book__in=list(BOOKS)), name="budget_book_known"),
            models.CheckConstraint(
                condition=Q(book="cost") | Q(tenant__isnull=False),
                name="budget_of_charges_is_of_a_tenant",
            ),
            models.CheckConstraint(
                condition=Q(amount__gt=0) & Q(amount__lt=LARGEST),
                name="budget_is_an_amount_above_zero",
            ),
            models.CheckConstraint(
                condition=Q(warn_share__gt=0) & Q(warn_share__lte=1),
                name="budget_warns_at_a_share_of_it",
            ),
            models.CheckConstraint(
                condition=Q(currency__regex=r"^[A-Z]{3}$"), name="budget_currency_is_a_code"
            ),
            models.CheckConstraint(
                condition=Q(valid_from__day=1) & (Q(valid_to=None) | Q(valid_to__day=1)),
                name="budget_is_of_whole_months",
            ),
            models.CheckConstraint(
                condition=Q(valid_to=None) | Q(valid_to__gte=F("valid_from")),
                name="budget_ends_after_it_starts",
            ),
        ]
        triggers = [
            pgtrigger.ReadOnly(name="only_a_budgets_end_may_change", exclude=["valid_to"]),
            pgtrigger.Protect(
                name="a_budget_may_only_end_earlier",
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition(
                    "OLD.valid_to IS NOT NULL"
                    " AND (NEW.valid_to IS NULL OR NEW.valid_to > OLD.valid_to)"
                ),
            ),
            pgtrigger.Protect(name="a_budget_is_never_deleted", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        owner = self.tenant_id or self.cost_centre_id or self.source or "everything"
        return f"{self.book} of {owner} from {self.valid_from:%Y-%m}"
