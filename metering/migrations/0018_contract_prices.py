"""Contracts over public price lists; what cannot be right as a price cannot be stored."""

import django.contrib.postgres.constraints
import django.contrib.postgres.fields.ranges
import django.db.models.deletion
import metering.models.owners
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

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
        ("metering", "0017_day_rollup"),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name="pricerow",
            name="only_a_prices_end_may_change",
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="pricerow",
            name="update_update",
        ),
        migrations.AddField(
            model_name="pricelistimport",
            name="refused",
            field=models.JSONField(
                default=list, help_text="what of the edition could not be taken"
            ),
        ),
        migrations.AddField(
            model_name="pricelistimport",
            name="terms",
            field=models.JSONField(
                default=list, help_text="what a contract says, from which its prices are worked out"
            ),
        ),
        migrations.AddField(
            model_name="pricerow",
            name="derived_from",
            field=models.ForeignKey(
                help_text="the public price that a contract takes a discount from",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="derived",
                to="metering.pricerow",
            ),
        ),
        migrations.AddField(
            model_name="pricerow",
            name="discount_percent",
            field=models.DecimalField(
                decimal_places=6, help_text="taken from the public price", max_digits=9, null=True
            ),
        ),
        migrations.AlterField(
            model_name="pricelistimport",
            name="book",
            field=models.TextField(help_text="the list's name: genai-prices, contract:acme"),
        ),
        migrations.AlterField(
            model_name="pricelistimporthistory",
            name="book",
            field=models.TextField(help_text="the list's name: genai-prices, contract:acme"),
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
                name="update_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."book" IS DISTINCT FROM (NEW."book") OR OLD."conditions" IS DISTINCT FROM (NEW."conditions") OR OLD."conditions_digest" IS DISTINCT FROM (NEW."conditions_digest") OR OLD."content_digest" IS DISTINCT FROM (NEW."content_digest") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."derived_from_id" IS DISTINCT FROM (NEW."derived_from_id") OR OLD."discount_percent" IS DISTINCT FROM (NEW."discount_percent") OR OLD."model_id" IS DISTINCT FROM (NEW."model_id") OR OLD."opened_by_id" IS DISTINCT FROM (NEW."opened_by_id") OR OLD."provider" IS DISTINCT FROM (NEW."provider") OR OLD."rank" IS DISTINCT FROM (NEW."rank") OR OLD."unit_prices" IS DISTINCT FROM (NEW."unit_prices") OR OLD."valid_from" IS DISTINCT FROM (NEW."valid_from") OR OLD."valid_to" IS DISTINCT FROM (NEW."valid_to"))',
                    func='INSERT INTO "price_row_history" ("book", "conditions_digest", "content_digest", "currency", "id", "model_id", "opened_by_id", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "provider", "rank", "valid_from", "valid_to") VALUES (NEW."book", NEW."conditions_digest", NEW."content_digest", NEW."currency", NEW."id", NEW."model_id", NEW."opened_by_id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'update\', NEW."id", NEW."provider", NEW."rank", NEW."valid_from", NEW."valid_to"); RETURN NULL;',
                    hash="60f47fbc41049072f4a63d8183081984128e0429",
                    operation="UPDATE",
                    pgid="pgtrigger_update_update_1f450",
                    table="price_row",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddConstraint(
            model_name="pricerow",
            constraint=django.contrib.postgres.constraints.ExclusionConstraint(
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
        ),
        migrations.RunSQL(
            RIGHT,
            """ALTER TABLE price_row DROP CONSTRAINT price_row_can_be_right;
               DROP FUNCTION prices_can_be_right(jsonb)""",
        ),
    ]
