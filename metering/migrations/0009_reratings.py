"""Re-ratings as acts: who had which month rated with other prices, why, and what came of it."""

import django.db.models.deletion
import metering.fields
import pghistory.utils
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

from config.schema_operations import AtOnce


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0008_business_outcomes"),
    ]

    operations = [
        AtOnce(
            [
                migrations.CreateModel(
                    name="Rerating",
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
                        ("month", models.TextField()),
                        (
                            "model",
                            models.TextField(
                                blank=True, help_text="all models, unless one is named"
                            ),
                        ),
                        ("author", models.TextField()),
                        ("reason", models.TextField()),
                        ("started_at", models.DateTimeField()),
                        ("prices_digest", models.TextField()),
                        ("usage_digest", models.TextField()),
                    ],
                    options={
                        "verbose_name": "re-rating",
                        "db_table": "rerating",
                        "ordering": ["-id"],
                    },
                ),
                migrations.CreateModel(
                    name="ReratingDifference",
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
                        ("provider", models.TextField()),
                        ("model", models.TextField(help_text="the executed one")),
                        ("pricing_before", models.TextField()),
                        ("pricing_after", models.TextField()),
                        ("currency_before", models.TextField()),
                        ("currency_after", models.TextField()),
                        ("events", models.PositiveBigIntegerField()),
                        (
                            "cost_before",
                            metering.fields.ExactField(decimal_places=30, max_digits=60),
                        ),
                        (
                            "cost_after",
                            metering.fields.ExactField(decimal_places=30, max_digits=60),
                        ),
                    ],
                    options={
                        "db_table": "rerating_difference",
                    },
                ),
                migrations.CreateModel(
                    name="ReratingHistory",
                    fields=[
                        ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                        ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                        ("pgh_label", models.TextField(help_text="The event label.")),
                        ("pgh_context", pghistory.utils.JSONField(null=True)),
                        ("pgh_context_id", models.UUIDField(null=True)),
                        ("id", models.BigIntegerField()),
                        ("month", models.TextField()),
                        (
                            "model",
                            models.TextField(
                                blank=True, help_text="all models, unless one is named"
                            ),
                        ),
                        ("author", models.TextField()),
                        ("reason", models.TextField()),
                        ("started_at", models.DateTimeField()),
                        ("prices_digest", models.TextField()),
                        ("usage_digest", models.TextField()),
                    ],
                    options={
                        "db_table": "rerating_history",
                        "abstract": False,
                        "default_permissions": (),
                    },
                ),
                migrations.CreateModel(
                    name="ReratingEnd",
                    fields=[
                        (
                            "rerating",
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.PROTECT,
                                primary_key=True,
                                related_name="end",
                                serialize=False,
                                to="metering.rerating",
                            ),
                        ),
                        ("ended_at", models.DateTimeField()),
                        ("looked_at", models.PositiveBigIntegerField()),
                        ("usage_digest", models.TextField()),
                    ],
                    options={
                        "db_table": "rerating_end",
                    },
                ),
                migrations.AddConstraint(
                    model_name="rerating",
                    constraint=models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True), name="rerating_says_why"
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="rerating",
                    trigger=pgtrigger.compiler.Trigger(
                        name="rerating_is_permanent",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                            hash="b4894b97e61a08bc2e4d60b7a3a9b79555308dbe",
                            operation="UPDATE OR DELETE",
                            pgid="pgtrigger_rerating_is_permanent_b7bf4",
                            table="rerating",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="rerating",
                    trigger=pgtrigger.compiler.Trigger(
                        name="insert_insert",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "rerating_history" ("author", "id", "model", "month", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "prices_digest", "reason", "started_at", "usage_digest") VALUES (NEW."author", NEW."id", NEW."model", NEW."month", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'insert\', NEW."id", NEW."prices_digest", NEW."reason", NEW."started_at", NEW."usage_digest"); RETURN NULL;',
                            hash="259779e6f3f9e8f35954a60d07451bc410b1c4ba",
                            operation="INSERT",
                            pgid="pgtrigger_insert_insert_01886",
                            table="rerating",
                            when="AFTER",
                        ),
                    ),
                ),
                migrations.AddField(
                    model_name="reratingdifference",
                    name="rerating",
                    field=models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="differences",
                        to="metering.rerating",
                    ),
                ),
                migrations.AddField(
                    model_name="reratinghistory",
                    name="pgh_obj",
                    field=models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="history",
                        to="metering.rerating",
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="reratingend",
                    trigger=pgtrigger.compiler.Trigger(
                        name="rerating_end_is_permanent",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                            hash="f1c6e589ae2b43da7b06ead0df41c3d30e08edd0",
                            operation="UPDATE OR DELETE",
                            pgid="pgtrigger_rerating_end_is_permanent_27af7",
                            table="rerating_end",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="reratingdifference",
                    trigger=pgtrigger.compiler.Trigger(
                        name="rerating_difference_is_permanent",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                            hash="0e59699fcad73b88a4a3c4501a3ff1ac1ad2ab3c",
                            operation="UPDATE OR DELETE",
                            pgid="pgtrigger_rerating_difference_is_permanent_465ee",
                            table="rerating_difference",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="reratingdifference",
                    trigger=pgtrigger.compiler.Trigger(
                        name="rerating_difference_joins_no_ended_act",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="\n    IF EXISTS (SELECT FROM rerating_end WHERE rerating_id = NEW.rerating_id) THEN\n        RAISE EXCEPTION 're-rating % has ended: it takes no more differences', NEW.rerating_id\n            USING ERRCODE = 'integrity_constraint_violation';\n    END IF;\n    RETURN NEW;\n",
                            hash="f58dc6bd080431273d89bd08d78d6432a11c5c09",
                            operation="INSERT",
                            pgid="pgtrigger_rerating_difference_joins_no_ended_act_1072b",
                            table="rerating_difference",
                            when="BEFORE",
                        ),
                    ),
                ),
            ],
        ),
    ]
