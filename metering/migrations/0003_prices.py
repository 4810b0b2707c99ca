"""Dated prices, the lists and contracts that they came from; what cannot be right is not stored."""

import django.contrib.postgres.constraints
import django.contrib.postgres.fields.ranges
import django.db.models.deletion
import django.utils.timezone
import metering.models.owners
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

from config.schema_operations import AtOnce

RIGHT = """
CREATE FUNCTION prices_can_be_right(prices jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $body$
    SELECT coalesce(bool_and(
        (price ->> 'per')::numeric >= 1
        AND (price ->> 'base')::numeric >= 0 AND (price ->> 'base')::numeric < 'Infinity'
        AND NOT EXISTS (
            SELECT FROM (
                SELECT floor, amount, lag(floor, 1, -1) OVER (ORDER BY place) AS below FROM (
                    SELECT (tier ->> 1)::numeric AS amount, place,
                           (tier ->> 0)::numeric
                           - (coalesce(tier ->> 2, '') = 'inclusive')::int AS floor
                    FROM jsonb_array_elements(price -> 'tiers') WITH ORDINALITY t (tier, place)
                ) tiers
            ) ordered
            WHERE floor <= below OR amount < 0 OR NOT amount < 'Infinity'
        )
    ), true) FROM jsonb_each(prices) AS said (unit, price)
$body$;
ALTER TABLE price_row ADD CONSTRAINT price_row_can_be_right CHECK (prices_can_be_right(unit_prices));
"""


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0002_usage"),
    ]

    operations = [
        AtOnce(
            [
                migrations.CreateModel(
                    name="PriceListImport",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True,
                                primary_key=True,
                                serialize=False,
                                verbose_name="ID",
                            ),
                        ),
                        (
                            "book",
                            models.TextField(
                                help_text="the list's name: genai-prices, contract:acme"
                            ),
                        ),
                        (
                            "source",
                            models.TextField(
                                help_text="the list and its version, genai-prices 0.2.3"
                            ),
                        ),
                        ("rules", models.JSONField()),
                        (
                            "terms",
                            models.JSONField(
                                default=list,
                                help_text="what a contract says, from which its prices are worked out",
                            ),
                        ),
                        (
                            "refused",
                            models.JSONField(
                                default=list, help_text="what of the edition could not be taken"
                            ),
                        ),
                        ("digest", models.TextField()),
                        ("effective_at", models.DateTimeField()),
                        ("imported_at", models.DateTimeField(default=django.utils.timezone.now)),
                    ],
                    options={
                        "db_table": "price_list_import",
                        "ordering": ["effective_at"],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("book", "effective_at"),
                                name="one_price_list_takes_effect_at_a_time",
                            )
                        ],
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="pricelistimport",
                    trigger=pgtrigger.compiler.Trigger(
                        name="price_list_is_permanent",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                            hash="1cd0871d0cab7f3fe923f2f671c5fe252288b985",
                            operation="UPDATE OR DELETE",
                            pgid="pgtrigger_price_list_is_permanent_0a9d8",
                            table="price_list_import",
                            when="BEFORE",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="PriceRow",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True,
                                primary_key=True,
                                serialize=False,
                                verbose_name="ID",
                            ),
                        ),
                        ("book", models.TextField()),
                        ("provider", models.TextField()),
                        ("model_id", models.TextField()),
                        ("conditions", models.JSONField()),
                        ("conditions_digest", models.TextField()),
                        ("unit_prices", models.JSONField()),
                        ("currency", models.TextField()),
                        ("rank", models.IntegerField()),
                        ("content_digest", models.TextField()),
                        ("valid_from", models.DateTimeField(null=True)),
                        ("valid_to", models.DateTimeField(null=True)),
                        (
                            "opened_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="opened",
                                to="metering.pricelistimport",
                            ),
                        ),
                        (
                            "derived_from",
                            models.ForeignKey(
                                help_text="the public price that a contract takes a discount from",
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="derived",
                                to="metering.pricerow",
                            ),
                        ),
                        (
                            "discount_percent",
                            models.DecimalField(
                                decimal_places=6,
                                help_text="taken from the public price",
                                max_digits=9,
                                null=True,
                            ),
                        ),
                    ],
                    options={
                        "db_table": "price_row",
                        "constraints": [
                            django.contrib.postgres.constraints.ExclusionConstraint(
                                expressions=[
                                    ("book", "="),
                                    ("provider", "="),
                                    ("model_id", "="),
                                    ("conditions_digest", "="),
                                    (
                                        metering.models.owners._InstantRange(
                                            models.F("valid_from"),
                                            models.F("valid_to"),
                                            django.contrib.postgres.fields.ranges.RangeBoundary(),
                                        ),
                                        "&&",
                                    ),
                                ],
                                name="one_price_of_a_model_and_condition_at_a_time",
                            ),
                            django.contrib.postgres.constraints.ExclusionConstraint(
                                condition=models.Q(("book__startswith", "contract:")),
                                expressions=[
                                    ("provider", "="),
                                    ("model_id", "="),
                                    ("book", "<>"),
                                    (
                                        metering.models.owners._InstantRange(
                                            models.F("valid_from"),
                                            models.F("valid_to"),
                                            django.contrib.postgres.fields.ranges.RangeBoundary(),
                                        ),
                                        "&&",
                                    ),
                                ],
                                name="one_contract_prices_a_model_at_a_time",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("valid_to", None),
                                    ("valid_from", None),
                                    ("valid_to__gte", models.F("valid_from")),
                                    _connector="OR",
                                ),
                                name="price_row_ends_after_it_starts",
                            ),
                        ],
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="pricerow",
                    trigger=pgtrigger.compiler.Trigger(
                        name="only_a_prices_end_may_change",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."id" IS DISTINCT FROM (NEW."id") OR OLD."book" IS DISTINCT FROM (NEW."book") OR OLD."provider" IS DISTINCT FROM (NEW."provider") OR OLD."model_id" IS DISTINCT FROM (NEW."model_id") OR OLD."conditions" IS DISTINCT FROM (NEW."conditions") OR OLD."conditions_digest" IS DISTINCT FROM (NEW."conditions_digest") OR OLD."unit_prices" IS DISTINCT FROM (NEW."unit_prices") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."rank" IS DISTINCT FROM (NEW."rank") OR OLD."content_digest" IS DISTINCT FROM (NEW."content_digest") OR OLD."valid_from" IS DISTINCT FROM (NEW."valid_from") OR OLD."opened_by_id" IS DISTINCT FROM (NEW."opened_by_id") OR OLD."derived_from_id" IS DISTINCT FROM (NEW."derived_from_id") OR OLD."discount_percent" IS DISTINCT FROM (NEW."discount_percent"))',
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                            hash="74cbfa8a88301a85fbbf289d2e33b4b29c3189c6",
                            operation="UPDATE",
                            pgid="pgtrigger_only_a_prices_end_may_change_e4076",
                            table="price_row",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="pricerow",
                    trigger=pgtrigger.compiler.Trigger(
                        name="a_price_may_only_end_earlier",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition="WHEN (OLD.valid_to IS NOT NULL AND (NEW.valid_to IS NULL OR NEW.valid_to > OLD.valid_to))",
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                            hash="780ad886321cc07e7bd23d4e1b8e130c4c0842bc",
                            operation="UPDATE",
                            pgid="pgtrigger_a_price_may_only_end_earlier_c97a9",
                            table="price_row",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="pricerow",
                    trigger=pgtrigger.compiler.Trigger(
                        name="a_price_is_never_deleted",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;",
                            hash="b05b80a785840fa0bc00228aa8849d87fc614814",
                            operation="DELETE",
                            pgid="pgtrigger_a_price_is_never_deleted_ada89",
                            table="price_row",
                            when="BEFORE",
                        ),
                    ),
                ),
            ]
        ),
        migrations.RunSQL(
            RIGHT,
            """ALTER TABLE price_row DROP CONSTRAINT price_row_can_be_right;
               DROP FUNCTION prices_can_be_right(jsonb)""",
        ),
    ]
