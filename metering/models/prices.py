"""The price book's rows: dated prices, and the lists that they came from."""

from __future__ import annotations

import pgtrigger
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, RangeOperators
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.lookups import Exact
from django.utils import timezone

from metering.domain.units import UNITS
from metering.models.owners import validity


class PriceListImport(models.Model):
    """One edition of a price list, as it took effect here.

    `rules` says how the edition finds providers and models; `digest` is of its rules and prices,
    so that importing the same edition again is seen to change nothing.
    """

    book = models.TextField(help_text="the list's name: genai-prices, contract:acme")
    source = models.TextField(help_text="the list and its version, genai-prices 0.2.3")
    rules = models.JSONField()
    terms = models.JSONField(
        default=list, help_text="what a contract says, from which its prices are worked out"
    )
    refused = models.JSONField(default=list, help_text="what of the edition could not be taken")
    digest = models.TextField()
    effective_at = models.DateTimeField()
    imported_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "price_list_import"
        ordering = ["effective_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["book", "effective_at"], name="one_price_list_takes_effect_at_a_time"
            ),
        ]
        triggers = [
            pgtrigger.Protect(
                name="price_list_is_permanent", operation=pgtrigger.Update | pgtrigger.Delete
            )
        ]

    def __str__(self) -> str:
        return f"{self.source} from {self.effective_at:%Y-%m-%d}"


class PriceRow(models.Model):
    """A dated price (`metering.domain.prices.Price`). Events name it as the row that priced them.

    What it says never changes; only its end may be set, or moved to an earlier instant. A row that
    was taken back before it began ends where it starts, and holds at no instant. A price below 0
    or a tier out of order is refused by a check of the table (migration `0003_prices`).
    """

    book = models.TextField()
    provider = models.TextField()
    model_id = models.TextField()
    conditions = models.JSONField()
    conditions_digest = models.TextField()
    unit_prices = models.JSONField()
    currency = models.TextField()
    rank = models.IntegerField()
    content_digest = models.TextField()
    valid_from = models.DateTimeField(null=True)
    valid_to = models.DateTimeField(null=True)
    opened_by = models.ForeignKey(PriceListImport, on_delete=models.PROTECT, related_name="opened")
    derived_from = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        related_name="derived",
        null=True,
        help_text="the public price that a contract takes a discount from",
    )
    discount_percent = models.DecimalField(
        max_digits=9, decimal_places=6, null=True, help_text="taken from the public price"
    )

    class Meta:
        db_table = "price_row"
        constraints = [
            ExclusionConstraint(
                name="one_price_of_a_model_and_condition_at_a_time",
                expressions=[
                    ("book", RangeOperators.EQUAL),
                    ("provider", RangeOperators.EQUAL),
                    ("model_id", RangeOperators.EQUAL),
                    ("conditions_digest", RangeOperators.EQUAL),
                    (validity(), RangeOperators.OVERLAPS),
                ],
            ),
            ExclusionConstraint(
                name="one_contract_prices_a_model_at_a_time",
                expressions=[
                    ("provider", RangeOperators.EQUAL),
                    ("model_id", RangeOperators.EQUAL),
                    ("book", RangeOperators.NOT_EQUAL),
                    (validity(), RangeOperators.OVERLAPS),
                ],
                condition=Q(book__startswith="contract:"),
            ),
            models.CheckConstraint(
                condition=Q(valid_to=None) | Q(valid_from=None) | Q(valid_to__gte=F("valid_from")),
                name="price_row_ends_after_it_starts",
            ),
            models.CheckConstraint(
                condition=Exact(
                    Func(
                        F("unit_prices"),
                        Value(sorted(UNITS), output_field=ArrayField(models.TextField())),
                        # In the order in which a migration writes them, which tells them apart.
                        arg_joiner=" - ",
                        output_field=models.JSONField(),
                        template="(%(expressions)s)",
                    ),
                    Value({}, output_field=models.JSONField()),
                ),
                name="price_row_is_of_known_units",
            ),
        ]
        triggers = [
            pgtrigger.ReadOnly(name="only_a_prices_end_may_change", exclude=["valid_to"]),
            pgtrigger.Protect(
                name="a_price_may_only_end_earlier",
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition(
                    "OLD.valid_to IS NOT NULL"
                    " AND (NEW.valid_to IS NULL OR NEW.valid_to > OLD.valid_to)"
                ),
            ),
            pgtrigger.Protect(name="a_price_is_never_deleted", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.provider}/{self.model_id} {self.conditions or 'standard'}"
