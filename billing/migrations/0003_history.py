"""A history beside each table that can move money, written by triggers (`metering.recording`)."""

import django.db.models.deletion
import django.utils.timezone
import pghistory.utils
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

from config.schema_operations import AtOnce


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0002_stripe"),
    ]

    operations = [
        AtOnce(
            [
                migrations.CreateModel(
                    name="PlanHistory",
                    fields=[
                        ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                        ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                        ("pgh_label", models.TextField(help_text="The event label.")),
                        (
                            "pgh_obj",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="history",
                                to="billing.plan",
                            ),
                        ),
                        ("pgh_context", pghistory.utils.JSONField(null=True)),
                        ("pgh_context_id", models.UUIDField(null=True)),
                        ("code", models.TextField(serialize=False)),
                    ],
                    options={
                        "db_table": "plan_history",
                        "abstract": False,
                        "default_permissions": (),
                    },
                ),
                migrations.CreateModel(
                    name="PlanVersionHistory",
                    fields=[
                        ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                        ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                        ("pgh_label", models.TextField(help_text="The event label.")),
                        (
                            "pgh_obj",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="history",
                                to="billing.planversion",
                            ),
                        ),
                        ("pgh_context", pghistory.utils.JSONField(null=True)),
                        ("pgh_context_id", models.UUIDField(null=True)),
                        ("id", models.BigIntegerField()),
                        (
                            "plan",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                related_query_name="+",
                                to="billing.plan",
                            ),
                        ),
                        ("digest", models.TextField()),
                        ("valid_from", models.DateField()),
                        ("valid_to", models.DateField(blank=True, null=True)),
                        ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                    ],
                    options={
                        "db_table": "plan_version_history",
                        "abstract": False,
                        "default_permissions": (),
                    },
                ),
                migrations.CreateModel(
                    name="SubscriptionHistory",
                    fields=[
                        ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                        ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                        ("pgh_label", models.TextField(help_text="The event label.")),
                        (
                            "pgh_obj",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="history",
                                to="billing.subscription",
                            ),
                        ),
                        ("pgh_context", pghistory.utils.JSONField(null=True)),
                        ("pgh_context_id", models.UUIDField(null=True)),
                        ("id", models.BigIntegerField()),
                        ("tenant", models.TextField()),
                        (
                            "plan",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                related_query_name="+",
                                to="billing.plan",
                            ),
                        ),
                        ("zone", models.TextField(default="UTC")),
                        ("anchor_day", models.PositiveSmallIntegerField(default=1)),
                        ("valid_from", models.DateField()),
                        ("valid_to", models.DateField(blank=True, null=True)),
                        ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                    ],
                    options={
                        "db_table": "subscription_history",
                        "abstract": False,
                        "default_permissions": (),
                    },
                ),
                migrations.CreateModel(
                    name="InvoiceHistory",
                    fields=[
                        ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                        ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                        ("pgh_label", models.TextField(help_text="The event label.")),
                        (
                            "pgh_obj",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="history",
                                to="billing.invoice",
                            ),
                        ),
                        ("pgh_context", pghistory.utils.JSONField(null=True)),
                        ("pgh_context_id", models.UUIDField(null=True)),
                        ("id", models.BigIntegerField()),
                        ("tenant", models.TextField()),
                        (
                            "subscription",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                related_query_name="+",
                                to="billing.subscription",
                            ),
                        ),
                        (
                            "plan_version",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                related_query_name="+",
                                to="billing.planversion",
                            ),
                        ),
                        ("cycle_start", models.DateTimeField()),
                        ("cycle_end", models.DateTimeField()),
                        ("first_day", models.DateField()),
                        ("end_day", models.DateField()),
                        ("full_days", models.PositiveSmallIntegerField()),
                        ("zone", models.TextField()),
                        ("currency", models.CharField(max_length=3)),
                        ("total_minor", models.BigIntegerField()),
                        ("inputs_digest", models.TextField()),
                        ("outputs_digest", models.TextField()),
                        ("author", models.TextField()),
                        ("created_at", models.DateTimeField()),
                        (
                            "replaces",
                            models.ForeignKey(
                                blank=True,
                                db_constraint=False,
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                related_query_name="+",
                                to="billing.invoice",
                            ),
                        ),
                        (
                            "state",
                            models.TextField(
                                choices=[
                                    ("draft", "Draft"),
                                    ("approved", "Approved"),
                                    ("finalized", "Finalized"),
                                    ("void", "Void"),
                                ],
                                default="draft",
                            ),
                        ),
                        ("approved_by", models.TextField(blank=True, null=True)),
                        ("approved_at", models.DateTimeField(blank=True, null=True)),
                        ("number", models.TextField(blank=True, null=True)),
                        ("finalized_at", models.DateTimeField(blank=True, null=True)),
                        ("voided_at", models.DateTimeField(blank=True, null=True)),
                        ("void_reason", models.TextField(blank=True, default="")),
                    ],
                    options={
                        "db_table": "invoice_history",
                        "abstract": False,
                        "default_permissions": (),
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="plan",
                    trigger=pgtrigger.compiler.Trigger(
                        name="insert_insert",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "plan_history" ("code", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id") VALUES (NEW."code", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'insert\', NEW."code"); RETURN NULL;',
                            hash="9b8b521dbd8af26e4b7f86757831962e70b52e31",
                            operation="INSERT",
                            pgid="pgtrigger_insert_insert_85755",
                            table="plan",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="plan",
                    trigger=pgtrigger.compiler.Trigger(
                        name="update_update",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition="WHEN (OLD.* IS DISTINCT FROM NEW.*)",
                            func='INSERT INTO "plan_history" ("code", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id") VALUES (NEW."code", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'update\', NEW."code"); RETURN NULL;',
                            hash="bf02c3658dccafc2d4ca14fa8f98462300e80f80",
                            operation="UPDATE",
                            pgid="pgtrigger_update_update_586bc",
                            table="plan",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="plan",
                    trigger=pgtrigger.compiler.Trigger(
                        name="delete_delete",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "plan_history" ("code", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id") VALUES (OLD."code", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'delete\', OLD."code"); RETURN NULL;',
                            hash="30012daaf555ca334bee973b0ba76f0885c73b0c",
                            operation="DELETE",
                            pgid="pgtrigger_delete_delete_92eaf",
                            table="plan",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="planversion",
                    trigger=pgtrigger.compiler.Trigger(
                        name="insert_insert",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "plan_version_history" ("created_at", "digest", "id", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "plan_id", "valid_from", "valid_to") VALUES (NEW."created_at", NEW."digest", NEW."id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'insert\', NEW."id", NEW."plan_id", NEW."valid_from", NEW."valid_to"); RETURN NULL;',
                            hash="ea6023cf5275f3ce1b10db9ba833f4d793628f15",
                            operation="INSERT",
                            pgid="pgtrigger_insert_insert_c938c",
                            table="plan_version",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="planversion",
                    trigger=pgtrigger.compiler.Trigger(
                        name="update_update",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."content" IS DISTINCT FROM (NEW."content") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."digest" IS DISTINCT FROM (NEW."digest") OR OLD."plan_id" IS DISTINCT FROM (NEW."plan_id") OR OLD."valid_from" IS DISTINCT FROM (NEW."valid_from") OR OLD."valid_to" IS DISTINCT FROM (NEW."valid_to"))',
                            func='INSERT INTO "plan_version_history" ("created_at", "digest", "id", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "plan_id", "valid_from", "valid_to") VALUES (NEW."created_at", NEW."digest", NEW."id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'update\', NEW."id", NEW."plan_id", NEW."valid_from", NEW."valid_to"); RETURN NULL;',
                            hash="2b48738cf3244e66a679852252cfcb27be6f03d7",
                            operation="UPDATE",
                            pgid="pgtrigger_update_update_0c26f",
                            table="plan_version",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="subscription",
                    trigger=pgtrigger.compiler.Trigger(
                        name="insert_insert",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "subscription_history" ("anchor_day", "created_at", "id", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "plan_id", "tenant", "valid_from", "valid_to", "zone") VALUES (NEW."anchor_day", NEW."created_at", NEW."id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'insert\', NEW."id", NEW."plan_id", NEW."tenant", NEW."valid_from", NEW."valid_to", NEW."zone"); RETURN NULL;',
                            hash="f9b5c57fabef54ca66bb7f85f6f6747d37d5e88d",
                            operation="INSERT",
                            pgid="pgtrigger_insert_insert_6f62d",
                            table="subscription",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="subscription",
                    trigger=pgtrigger.compiler.Trigger(
                        name="update_update",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."anchor_day" IS DISTINCT FROM (NEW."anchor_day") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."plan_id" IS DISTINCT FROM (NEW."plan_id") OR OLD."tenant" IS DISTINCT FROM (NEW."tenant") OR OLD."valid_from" IS DISTINCT FROM (NEW."valid_from") OR OLD."valid_to" IS DISTINCT FROM (NEW."valid_to") OR OLD."zone" IS DISTINCT FROM (NEW."zone"))',
                            func='INSERT INTO "subscription_history" ("anchor_day", "created_at", "id", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "plan_id", "tenant", "valid_from", "valid_to", "zone") VALUES (NEW."anchor_day", NEW."created_at", NEW."id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'update\', NEW."id", NEW."plan_id", NEW."tenant", NEW."valid_from", NEW."valid_to", NEW."zone"); RETURN NULL;',
                            hash="824459eafb1f25b2f417b0d08b2dda40ef7b9457",
                            operation="UPDATE",
                            pgid="pgtrigger_update_update_5c2d2",
                            table="subscription",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="invoice",
                    trigger=pgtrigger.compiler.Trigger(
                        name="insert_insert",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "invoice_history" ("approved_at", "approved_by", "author", "created_at", "currency", "cycle_end", "cycle_start", "end_day", "finalized_at", "first_day", "full_days", "id", "inputs_digest", "number", "outputs_digest", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "plan_version_id", "replaces_id", "state", "subscription_id", "tenant", "total_minor", "void_reason", "voided_at", "zone") VALUES (NEW."approved_at", NEW."approved_by", NEW."author", NEW."created_at", NEW."currency", NEW."cycle_end", NEW."cycle_start", NEW."end_day", NEW."finalized_at", NEW."first_day", NEW."full_days", NEW."id", NEW."inputs_digest", NEW."number", NEW."outputs_digest", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'insert\', NEW."id", NEW."plan_version_id", NEW."replaces_id", NEW."state", NEW."subscription_id", NEW."tenant", NEW."total_minor", NEW."void_reason", NEW."voided_at", NEW."zone"); RETURN NULL;',
                            hash="ff2f1f364459f5083c5ae4104fd7ecf6c4001009",
                            operation="INSERT",
                            pgid="pgtrigger_insert_insert_0c624",
                            table="invoice",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="invoice",
                    trigger=pgtrigger.compiler.Trigger(
                        name="update_update",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."approved_at" IS DISTINCT FROM (NEW."approved_at") OR OLD."approved_by" IS DISTINCT FROM (NEW."approved_by") OR OLD."author" IS DISTINCT FROM (NEW."author") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."cycle_end" IS DISTINCT FROM (NEW."cycle_end") OR OLD."cycle_start" IS DISTINCT FROM (NEW."cycle_start") OR OLD."end_day" IS DISTINCT FROM (NEW."end_day") OR OLD."finalized_at" IS DISTINCT FROM (NEW."finalized_at") OR OLD."first_day" IS DISTINCT FROM (NEW."first_day") OR OLD."full_days" IS DISTINCT FROM (NEW."full_days") OR OLD."inputs_digest" IS DISTINCT FROM (NEW."inputs_digest") OR OLD."number" IS DISTINCT FROM (NEW."number") OR OLD."outputs_digest" IS DISTINCT FROM (NEW."outputs_digest") OR OLD."plan_version_id" IS DISTINCT FROM (NEW."plan_version_id") OR OLD."replaces_id" IS DISTINCT FROM (NEW."replaces_id") OR OLD."state" IS DISTINCT FROM (NEW."state") OR OLD."subscription_id" IS DISTINCT FROM (NEW."subscription_id") OR OLD."tenant" IS DISTINCT FROM (NEW."tenant") OR OLD."total_minor" IS DISTINCT FROM (NEW."total_minor") OR OLD."void_reason" IS DISTINCT FROM (NEW."void_reason") OR OLD."voided_at" IS DISTINCT FROM (NEW."voided_at") OR OLD."zone" IS DISTINCT FROM (NEW."zone"))',
                            func='INSERT INTO "invoice_history" ("approved_at", "approved_by", "author", "created_at", "currency", "cycle_end", "cycle_start", "end_day", "finalized_at", "first_day", "full_days", "id", "inputs_digest", "number", "outputs_digest", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "plan_version_id", "replaces_id", "state", "subscription_id", "tenant", "total_minor", "void_reason", "voided_at", "zone") VALUES (NEW."approved_at", NEW."approved_by", NEW."author", NEW."created_at", NEW."currency", NEW."cycle_end", NEW."cycle_start", NEW."end_day", NEW."finalized_at", NEW."first_day", NEW."full_days", NEW."id", NEW."inputs_digest", NEW."number", NEW."outputs_digest", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'update\', NEW."id", NEW."plan_version_id", NEW."replaces_id", NEW."state", NEW."subscription_id", NEW."tenant", NEW."total_minor", NEW."void_reason", NEW."voided_at", NEW."zone"); RETURN NULL;',
                            hash="3e3f4bb3efd5659963e640e4370e81b8ac0d3be1",
                            operation="UPDATE",
                            pgid="pgtrigger_update_update_28c43",
                            table="invoice",
                            when="AFTER",
                        ),
                    ),
                ),
            ]
        ),
    ]
