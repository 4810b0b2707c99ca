"""What is owed for time; what a price may say of a period; a way to the events whose usage is a guess."""

from decimal import Decimal

import django.contrib.postgres.constraints
import django.contrib.postgres.fields.ranges
import django.db.models.deletion
import metering.fields
import metering.models.owners
import pghistory.utils
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

from config.schema_operations import AtOnce

RIGHT = """
CREATE OR REPLACE FUNCTION prices_can_be_right(prices jsonb)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $body$
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
        AND (
            price -> 'allowance' IS NULL
            OR (price #>> '{allowance,quantity}')::numeric > 0
            AND (price #>> '{allowance,quantity}')::numeric < 'Infinity'
            AND (price #>> '{allowance,every}') IN ('day', 'month')
        )
        AND NOT EXISTS (
            SELECT FROM (
                SELECT floor, amount, lag(floor, 1, 0) OVER (ORDER BY place) AS below FROM (
                    SELECT (volume ->> 0)::numeric AS floor, (volume ->> 1)::numeric AS amount,
                           place
                    FROM jsonb_array_elements(price -> 'volumes') WITH ORDINALITY t (volume, place)
                ) volumes
            ) ordered
            WHERE floor <= below OR amount < 0 OR NOT amount < 'Infinity' OR NOT floor < 'Infinity'
        )
        AND NOT (
            (price ? 'allowance' OR price ? 'volumes')
            AND (price ? 'tiers' OR price ? 'minimum' OR price ?& '{allowance,volumes}')
        )
    ), true) FROM jsonb_each(prices) AS said (unit, price)
$body$;
"""

BEFORE = """
CREATE OR REPLACE FUNCTION prices_can_be_right(prices jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $body$
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
"""


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0006_calls_of_several_reports"),
    ]

    operations = [
        AtOnce(
            [
                migrations.CreateModel(
                    name="CommitmentRow",
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
                        ("book", models.TextField(help_text="the contract's: contract:acme")),
                        ("kind", models.TextField()),
                        ("provider", models.TextField()),
                        ("model_id", models.TextField(blank=True)),
                        (
                            "units",
                            models.PositiveIntegerField(help_text="of capacity; 1 for a minimum"),
                        ),
                        (
                            "price",
                            metering.fields.ExactField(
                                decimal_places=30,
                                help_text="of a unit an hour; or the month's minimum",
                                max_digits=60,
                            ),
                        ),
                        ("currency", models.CharField(max_length=3)),
                        ("valid_from", models.DateTimeField()),
                        ("valid_to", models.DateTimeField(null=True)),
                        (
                            "opened_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="commitments",
                                to="metering.pricelistimport",
                            ),
                        ),
                    ],
                    options={
                        "db_table": "commitment",
                        "verbose_name": "commitment",
                        "ordering": ["provider", "model_id", "valid_from"],
                    },
                ),
                migrations.CreateModel(
                    name="CommitmentRowHistory",
                    fields=[
                        ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                        ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                        ("pgh_label", models.TextField(help_text="The event label.")),
                        ("pgh_context", pghistory.utils.JSONField(null=True)),
                        ("pgh_context_id", models.UUIDField(null=True)),
                        ("id", models.BigIntegerField()),
                        ("book", models.TextField(help_text="the contract's: contract:acme")),
                        ("kind", models.TextField()),
                        ("provider", models.TextField()),
                        ("model_id", models.TextField(blank=True)),
                        (
                            "units",
                            models.PositiveIntegerField(help_text="of capacity; 1 for a minimum"),
                        ),
                        (
                            "price",
                            metering.fields.ExactField(
                                decimal_places=30,
                                help_text="of a unit an hour; or the month's minimum",
                                max_digits=60,
                            ),
                        ),
                        ("currency", models.CharField(max_length=3)),
                        ("valid_from", models.DateTimeField()),
                        ("valid_to", models.DateTimeField(null=True)),
                        (
                            "opened_by",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                related_query_name="+",
                                to="metering.pricelistimport",
                            ),
                        ),
                        (
                            "pgh_obj",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="history",
                                to="metering.commitmentrow",
                            ),
                        ),
                    ],
                    options={
                        "db_table": "commitment_history",
                        "abstract": False,
                        "default_permissions": (),
                    },
                ),
                migrations.AddConstraint(
                    model_name="commitmentrow",
                    constraint=django.contrib.postgres.constraints.ExclusionConstraint(
                        expressions=[
                            ("kind", "="),
                            ("provider", "="),
                            ("model_id", "="),
                            (
                                metering.models.owners._InstantRange(
                                    models.F("valid_from"),
                                    models.F("valid_to"),
                                    django.contrib.postgres.fields.ranges.RangeBoundary(),
                                ),
                                "&&",
                            ),
                        ],
                        name="one_commitment_of_a_kind_at_a_time",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="commitmentrow",
                    constraint=models.CheckConstraint(
                        condition=models.Q(("kind__in", ["reserved_capacity", "monthly_minimum"])),
                        name="commitment_kind_known",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="commitmentrow",
                    constraint=models.CheckConstraint(
                        condition=models.Q(
                            ("price__gte", 0),
                            ("price__lt", Decimal(1000000000000000)),
                            ("units__gte", 1),
                        ),
                        name="commitment_is_not_negative",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="commitmentrow",
                    constraint=models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("kind", "reserved_capacity"),
                                models.Q(("model_id", ""), _negated=True),
                            ),
                            models.Q(("kind", "monthly_minimum"), ("model_id", ""), ("units", 1)),
                            _connector="OR",
                        ),
                        name="capacity_is_of_a_model_and_a_minimum_of_none",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="commitmentrow",
                    constraint=models.CheckConstraint(
                        condition=models.Q(
                            ("valid_to", None),
                            ("valid_to__gte", models.F("valid_from")),
                            _connector="OR",
                        ),
                        name="commitment_ends_after_it_starts",
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="commitmentrow",
                    trigger=pgtrigger.compiler.Trigger(
                        name="only_a_commitments_end_may_change",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."id" IS DISTINCT FROM (NEW."id") OR OLD."book" IS DISTINCT FROM (NEW."book") OR OLD."kind" IS DISTINCT FROM (NEW."kind") OR OLD."provider" IS DISTINCT FROM (NEW."provider") OR OLD."model_id" IS DISTINCT FROM (NEW."model_id") OR OLD."units" IS DISTINCT FROM (NEW."units") OR OLD."price" IS DISTINCT FROM (NEW."price") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."valid_from" IS DISTINCT FROM (NEW."valid_from") OR OLD."opened_by_id" IS DISTINCT FROM (NEW."opened_by_id"))',
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                            hash="8fe63e2ef4bd71b93793e5d874629f1867981dea",
                            operation="UPDATE",
                            pgid="pgtrigger_only_a_commitments_end_may_change_5ddd4",
                            table="commitment",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="commitmentrow",
                    trigger=pgtrigger.compiler.Trigger(
                        name="a_commitment_may_only_end_earlier",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition="WHEN (OLD.valid_to IS NOT NULL AND (NEW.valid_to IS NULL OR NEW.valid_to > OLD.valid_to))",
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                            hash="d5d9cbf5429fad5dff2ed458ad2bff1a2197bed1",
                            operation="UPDATE",
                            pgid="pgtrigger_a_commitment_may_only_end_earlier_f36ed",
                            table="commitment",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="commitmentrow",
                    trigger=pgtrigger.compiler.Trigger(
                        name="a_commitment_is_never_deleted",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;",
                            hash="01a5fa4cb6f055ca894f2c72af617bfd8dc0a38d",
                            operation="DELETE",
                            pgid="pgtrigger_a_commitment_is_never_deleted_84da8",
                            table="commitment",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="commitmentrow",
                    trigger=pgtrigger.compiler.Trigger(
                        name="insert_insert",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "commitment_history" ("book", "currency", "id", "kind", "model_id", "opened_by_id", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "price", "provider", "units", "valid_from", "valid_to") VALUES (NEW."book", NEW."currency", NEW."id", NEW."kind", NEW."model_id", NEW."opened_by_id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'insert\', NEW."id", NEW."price", NEW."provider", NEW."units", NEW."valid_from", NEW."valid_to"); RETURN NULL;',
                            hash="f877ad634ab33528428a64d65c0333fefd8f40c7",
                            operation="INSERT",
                            pgid="pgtrigger_insert_insert_8e80e",
                            table="commitment",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="commitmentrow",
                    trigger=pgtrigger.compiler.Trigger(
                        name="update_update",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."book" IS DISTINCT FROM (NEW."book") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."kind" IS DISTINCT FROM (NEW."kind") OR OLD."model_id" IS DISTINCT FROM (NEW."model_id") OR OLD."opened_by_id" IS DISTINCT FROM (NEW."opened_by_id") OR OLD."price" IS DISTINCT FROM (NEW."price") OR OLD."provider" IS DISTINCT FROM (NEW."provider") OR OLD."units" IS DISTINCT FROM (NEW."units") OR OLD."valid_from" IS DISTINCT FROM (NEW."valid_from") OR OLD."valid_to" IS DISTINCT FROM (NEW."valid_to"))',
                            func='INSERT INTO "commitment_history" ("book", "currency", "id", "kind", "model_id", "opened_by_id", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "price", "provider", "units", "valid_from", "valid_to") VALUES (NEW."book", NEW."currency", NEW."id", NEW."kind", NEW."model_id", NEW."opened_by_id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'update\', NEW."id", NEW."price", NEW."provider", NEW."units", NEW."valid_from", NEW."valid_to"); RETURN NULL;',
                            hash="d02c1ebf2b81bb895febb2903a626c5dd2fa6402",
                            operation="UPDATE",
                            pgid="pgtrigger_update_update_1c127",
                            table="commitment",
                            when="AFTER",
                        ),
                    ),
                ),
            ],
        ),
        migrations.RunSQL(RIGHT, BEFORE),
        migrations.RunSQL(
            """CREATE INDEX usage_event_estimated ON usage_event (occurred_at)
               WHERE usage_quality = 'estimated'""",
            "DROP INDEX usage_event_estimated",
        ),
    ]
