"""Plans as dated versions, and who subscribes to them from which day."""

from __future__ import annotations

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateRangeField, RangeBoundary, RangeOperators
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import F, Func, Q
from django.utils import timezone

from billing.domain.cycles import Term
from billing.domain.plans import Plan as Terms
from billing.domain.plans import plan_of
from billing.models.guards import only_closing


class DayRange(Func):
    """The half-open range of days of a row's validity, for exclusion constraints."""

    function = "DATERANGE"
    output_field = DateRangeField()


def _validity() -> DayRange:
    return DayRange(F("valid_from"), F("valid_to"), RangeBoundary())


class Plan(models.Model):
    """A plan by its code. What it offers stands in its versions."""

    code = models.TextField(primary_key=True)

    class Meta:
        db_table = "plan"

    def __str__(self) -> str:
        return self.code


class PlanVersion(models.Model):
    """The terms of a plan for cycles that begin from `valid_from` until before `valid_to` (days
    by the customer's clock; none: until further notice). Immutable, so an invoice can be
    recomputed from the version it names."""

    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="versions")
    content = models.JSONField(encoder=DjangoJSONEncoder)
    digest = models.TextField()
    valid_from = models.DateField()
    valid_to = models.DateField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "plan_version"
        constraints = [
            ExclusionConstraint(
                name="one_plan_version_at_a_time",
                expressions=[
                    ("plan", RangeOperators.EQUAL),
                    (_validity(), RangeOperators.OVERLAPS),
                ],
            ),
            models.CheckConstraint(
                condition=Q(valid_to__isnull=True) | Q(valid_to__gt=F("valid_from")),
                name="plan_version_ends_after_it_starts",
            ),
        ]
        triggers = only_closing("plan_version")

    def __str__(self) -> str:
        return f"{self.plan_id} from {self.valid_from}"

    @property
    def terms(self) -> Terms:
        return plan_of(self.content)


class Subscription(models.Model):
    """A customer on a plan, from the day `valid_from` until before `valid_to`, days of its zone.

    Cycles turn over on `anchor_day`. A customer has one subscription at a time; a change of plan,
    zone or anchor day is a new one.
    """

    tenant = models.TextField()
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="subscriptions")
    zone = models.TextField(default="UTC")
    anchor_day = models.PositiveSmallIntegerField(default=1)
    valid_from = models.DateField()
    valid_to = models.DateField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "subscription"
        constraints = [
            ExclusionConstraint(
                name="one_subscription_at_a_time",
                expressions=[
                    ("tenant", RangeOperators.EQUAL),
                    (_validity(), RangeOperators.OVERLAPS),
                ],
            ),
            models.CheckConstraint(condition=~Q(tenant=""), name="subscription_has_a_tenant"),
            models.CheckConstraint(
                condition=Q(anchor_day__gte=1, anchor_day__lte=31),
                name="subscription_anchor_is_a_day_of_a_month",
            ),
            models.CheckConstraint(
                condition=Q(valid_to__isnull=True) | Q(valid_to__gt=F("valid_from")),
                name="subscription_ends_after_it_starts",
            ),
        ]
        triggers = only_closing("subscription")

    def __str__(self) -> str:
        return f"{self.tenant} on {self.plan_id} from {self.valid_from}"

    @property
    def term(self) -> Term:
        return Term(self.valid_from, self.valid_to, self.zone, self.anchor_day)
