"""Causes of a difference that hang on the month."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("allocation", "0003_history"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="reconciliationstep",
            name="cause_known",
        ),
        migrations.AddConstraint(
            model_name="reconciliationstep",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "cause__in",
                        [
                            "metered_not_billed",
                            "unmetered",
                            "unpriced",
                            "executed_not_requested",
                            "estimated_usage",
                            "free_allowance",
                            "volume_price",
                            "price_difference",
                            "reserved_capacity",
                            "committed_minimum",
                            "fees",
                            "credits",
                            "tax",
                            "adjustments",
                            "rounding",
                            "unexplained",
                        ],
                    )
                ),
                name="cause_known",
            ),
        ),
    ]
