"""Re-ratings as acts: who had which month rated with other prices, why, and what came of it.

Rows are written once, by those who did what they say: the act when it begins, its differences each
in the transaction that stored the events' revisions, its end when all was looked at. An act without
an end goes on, or was cut off.
"""

from __future__ import annotations

import pgtrigger
from django.db import models
from django.db.models import Q

from metering.fields import ExactField

_JOINS_NO_ENDED_ACT = """
    IF EXISTS (SELECT FROM rerating_end WHERE rerating_id = NEW.rerating_id) THEN
        RAISE EXCEPTION 're-rating % has ended: it takes no more differences', NEW.rerating_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
"""


def _written_once(name: str) -> pgtrigger.Trigger:
    return pgtrigger.Protect(
        name=f"{name}_is_permanent", operation=pgtrigger.Update | pgtrigger.Delete
    )


class Rerating(models.Model):
    """One act on one month, of one executed model if it is named.

    `prices_digest` is of the price lists that it rated with, `usage_digest` of the month's metered
    cells as it found them (`metering.readings.usage_digest`).
    """

    month = models.TextField()
    model = models.TextField(blank=True, help_text="all models, unless one is named")
    author = models.TextField()
    reason = models.TextField()
    started_at = models.DateTimeField()
    prices_digest = models.TextField()
    usage_digest = models.TextField()

    class Meta:
        db_table = "rerating"
        ordering = ["-id"]
        verbose_name = "re-rating"
        constraints = [
            models.CheckConstraint(condition=~Q(reason=""), name="rerating_says_why"),
        ]
        triggers = [_written_once("rerating")]

    def __str__(self) -> str:
        return f"re-rating {self.pk} of {self.month}"


class ReratingDifference(models.Model):
    """What differed alike in one transaction of the act. Costs are sums over the events, in the
    currency of their side; what has no price costs nothing."""

    rerating = models.ForeignKey(Rerating, on_delete=models.PROTECT, related_name="differences")
    provider = models.TextField()
    model = models.TextField(help_text="the executed one")
    pricing_before = models.TextField()
    pricing_after = models.TextField()
    currency_before = models.TextField()
    currency_after = models.TextField()
    events = models.PositiveBigIntegerField()
    cost_before = ExactField()
    cost_after = ExactField()

    class Meta:
        db_table = "rerating_difference"
        triggers = [
            _written_once("rerating_difference"),
            pgtrigger.Trigger(
                name="rerating_difference_joins_no_ended_act",
                level=pgtrigger.Row,
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                func=_JOINS_NO_ENDED_ACT,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.events} events of {self.provider}/{self.model}"


class ReratingEnd(models.Model):
    """That all of the month was looked at, and how the act left it."""

    rerating = models.OneToOneField(
        Rerating, on_delete=models.PROTECT, primary_key=True, related_name="end"
    )
    ended_at = models.DateTimeField()
    looked_at = models.PositiveBigIntegerField()
    usage_digest = models.TextField()

    class Meta:
        db_table = "rerating_end"
        triggers = [_written_once("rerating_end")]

    def __str__(self) -> str:
        return f"the end of {self.rerating}"
