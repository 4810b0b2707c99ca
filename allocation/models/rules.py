"""Rules by version and drivers from outside usage: dated, and never edited."""

from __future__ import annotations

import pgtrigger
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateRangeField, RangeBoundary, RangeOperators
from django.db import models
from django.db.models import F, Func, Q
from django.utils import timezone

from metering.fields import ExactField


class DayRange(Func):
    """The half-open range of days of a row's validity, for exclusion constraints."""

    function = "DATERANGE"
    output_field = DateRangeField()


def validity() -> DayRange:
    return DayRange(F("valid_from"), F("valid_to"), RangeBoundary())


ENDS_ONLY_EARLIER = (
    pgtrigger.ReadOnly(name="only_its_end_may_change", exclude=["valid_to"]),
    pgtrigger.Protect(
        name="it_may_only_end_earlier",
        operation=pgtrigger.Update,
        condition=pgtrigger.Condition(
            "OLD.valid_to IS NOT NULL AND (NEW.valid_to IS NULL OR NEW.valid_to > OLD.valid_to)"
        ),
    ),
    pgtrigger.Protect(name="it_is_never_deleted", operation=pgtrigger.Delete),
)
"""Of a dated row only the end may move, and only to an earlier day; what it said stays."""


class Rule(models.Model):
    """A rule by its name; what it says is in its versions."""

    name = models.TextField(primary_key=True)

    class Meta:
        db_table = "allocation_rule"
        triggers = [
            pgtrigger.Protect(
                name="rule_is_permanent", operation=pgtrigger.Update | pgtrigger.Delete
            )
        ]

    def __str__(self) -> str:
        return self.name


class RuleVersion(models.Model):
    """What a rule says from the month of `valid_from` until before that of `valid_to`.

    Both are first days of months; no end means until further notice. A version that another one
    replaced from its first day on is valid for no day (`valid_to` equals `valid_from`).
    """

    rule = models.ForeignKey(Rule, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    content = models.JSONField()
    digest = models.TextField()
    valid_from = models.DateField()
    valid_to = models.DateField(null=True, blank=True)
    author = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "allocation_rule_version"
        ordering = ["rule_id", "number"]
        constraints = [
            models.UniqueConstraint(fields=["rule", "number"], name="rule_version_number_once"),
            ExclusionConstraint(
                name="one_version_of_a_rule_at_a_time",
                expressions=[
                    ("rule", RangeOperators.EQUAL),
                    (validity(), RangeOperators.OVERLAPS),
                ],
            ),
            models.CheckConstraint(
                condition=Q(valid_from__day=1)
                & (Q(valid_to=None) | Q(valid_to__day=1, valid_to__gte=F("valid_from"))),
                name="rule_version_holds_for_whole_months",
            ),
        ]
        triggers = ENDS_ONLY_EARLIER

    def __str__(self) -> str:
        return f"{self.rule_id} version {self.number}"


class DriverValue(models.Model):
    """So many seats, heads or square metres of an owner, from a day until before another.

    `tenant` is `""` where the value belongs to the cost centre alone.
    """

    driver = models.TextField()
    cost_centre = models.TextField()
    tenant = models.TextField(blank=True, default="")
    value = ExactField()
    valid_from = models.DateField()
    valid_to = models.DateField(null=True, blank=True)
    author = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "driver_value"
        constraints = [
            ExclusionConstraint(
                name="one_driver_value_at_a_time",
                expressions=[
                    ("driver", RangeOperators.EQUAL),
                    ("cost_centre", RangeOperators.EQUAL),
                    ("tenant", RangeOperators.EQUAL),
                    (validity(), RangeOperators.OVERLAPS),
                ],
            ),
            models.CheckConstraint(condition=Q(value__gte=0), name="driver_value_not_negative"),
            models.CheckConstraint(
                condition=~Q(driver="") & ~Q(cost_centre=""), name="driver_value_has_an_owner"
            ),
            models.CheckConstraint(
                condition=Q(valid_to=None) | Q(valid_to__gte=F("valid_from")),
                name="driver_value_ends_after_it_starts",
            ),
        ]
        triggers = ENDS_ONLY_EARLIER

    def __str__(self) -> str:
        return f"{self.driver} {self.cost_centre}/{self.tenant} {self.value}"
