"""Keys by which programs send and read; work as rows with lease and fence; what schedules began."""

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

from config.schema_operations import AtOnce


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0003_prices"),
    ]

    operations = [
        AtOnce(
            [
                migrations.CreateModel(
                    name="ApiKey",
                    fields=[
                        ("id", models.TextField(primary_key=True, serialize=False)),
                        ("name", models.TextField()),
                        (
                            "scope",
                            models.TextField(
                                choices=[
                                    ("ingest", "ingest: sends usage of one source"),
                                    ("gateway", "gateway: calls models through the gateway"),
                                    (
                                        "finance",
                                        "finance: reads the company's costs, runs and invoices",
                                    ),
                                    ("portal", "portal: reads what one tenant used and owes"),
                                ]
                            ),
                        ),
                        (
                            "tenant",
                            models.ForeignKey(
                                blank=True,
                                help_text="the only tenant that the key sends or reads for; none: any",
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                to="metering.tenant",
                            ),
                        ),
                        (
                            "source",
                            models.ForeignKey(
                                blank=True,
                                help_text="the source that the key's events are booked under",
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                to="metering.source",
                            ),
                        ),
                        ("secret_digest", models.BinaryField()),
                        ("created_at", models.DateTimeField()),
                        ("created_by", models.TextField(blank=True, default="")),
                        ("expires_at", models.DateTimeField(blank=True, null=True)),
                        ("revoked_at", models.DateTimeField(blank=True, null=True)),
                        ("revoked_by", models.TextField(blank=True, default="")),
                        (
                            "last_used_at",
                            models.DateTimeField(
                                blank=True,
                                help_text="to within ten minutes, so that reading costs no writing",
                                null=True,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "API key",
                        "verbose_name_plural": "API keys",
                        "db_table": "api_key",
                        "ordering": ["name", "created_at"],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("scope__in", ["ingest", "gateway", "finance", "portal"])
                                ),
                                name="api_key_scope_known",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("name", ""), _negated=True),
                                name="api_key_has_a_name",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("scope", "portal"), _negated=True),
                                    ("tenant__isnull", False),
                                    _connector="OR",
                                ),
                                name="portal_key_has_a_tenant",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("scope", "finance"), _negated=True),
                                    ("tenant__isnull", True),
                                    _connector="OR",
                                ),
                                name="finance_key_has_no_tenant",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("scope__in", ["ingest", "gateway"]),
                                        ("source__isnull", False),
                                    ),
                                    models.Q(
                                        ("scope__in", ["finance", "portal"]),
                                        ("source__isnull", True),
                                    ),
                                    _connector="OR",
                                ),
                                name="sending_key_has_a_source",
                            ),
                        ],
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="apikey",
                    trigger=pgtrigger.compiler.Trigger(
                        name="what_a_key_may_do_is_permanent",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."id" IS DISTINCT FROM (NEW."id") OR OLD."name" IS DISTINCT FROM (NEW."name") OR OLD."scope" IS DISTINCT FROM (NEW."scope") OR OLD."tenant_id" IS DISTINCT FROM (NEW."tenant_id") OR OLD."source_id" IS DISTINCT FROM (NEW."source_id") OR OLD."secret_digest" IS DISTINCT FROM (NEW."secret_digest") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."created_by" IS DISTINCT FROM (NEW."created_by") OR OLD."expires_at" IS DISTINCT FROM (NEW."expires_at"))',
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                            hash="9c0e1903e473eef4f8be8d76545996247ad04f88",
                            operation="UPDATE",
                            pgid="pgtrigger_what_a_key_may_do_is_permanent_5c2c9",
                            table="api_key",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="apikey",
                    trigger=pgtrigger.compiler.Trigger(
                        name="a_revoked_key_stays_revoked",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition="WHEN (OLD.revoked_at IS NOT NULL AND (OLD.revoked_at, OLD.revoked_by) IS DISTINCT FROM (NEW.revoked_at, NEW.revoked_by))",
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                            hash="4ab4650372f6a4f4503b9b537df9a1cfeb7f4e83",
                            operation="UPDATE",
                            pgid="pgtrigger_a_revoked_key_stays_revoked_527aa",
                            table="api_key",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="apikey",
                    trigger=pgtrigger.compiler.Trigger(
                        name="a_key_is_never_deleted",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;",
                            hash="bda4b7ebf261483aa7c5d0b439d1fbae2247e5eb",
                            operation="DELETE",
                            pgid="pgtrigger_a_key_is_never_deleted_6760c",
                            table="api_key",
                            when="BEFORE",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="WorkRun",
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
                        ("kind", models.TextField()),
                        ("subject", models.TextField()),
                        (
                            "state",
                            models.TextField(
                                choices=[("open", "Open"), ("done", "Done"), ("ended", "Ended")],
                                default="open",
                            ),
                        ),
                        ("step", models.TextField(blank=True)),
                        ("author", models.TextField()),
                        ("arguments", models.JSONField(blank=True, default=dict)),
                        ("as_of", models.DateTimeField(blank=True, null=True)),
                        ("started_at", models.DateTimeField()),
                        ("progressed_at", models.DateTimeField()),
                    ],
                    options={
                        "db_table": "work_run",
                        "ordering": ["kind", "subject", "id"],
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("state", "open")),
                                fields=("kind", "subject"),
                                name="one_open_run_of_a_kind",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("state__in", ["open", "done", "ended"])),
                                name="work_run_state_known",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("state", "open"), _negated=True),
                                    models.Q(("step", ""), _negated=True),
                                    _connector="OR",
                                ),
                                name="open_work_is_at_a_step",
                            ),
                        ],
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="workrun",
                    trigger=pgtrigger.compiler.Trigger(
                        name="work_run_state_moves",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            declare="DECLARE _is_valid_transition BOOLEAN;",
                            func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{open:done,open:ended}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;',
                            hash="0ca023233484eb06a1cbf171110f3fa00ddb8984",
                            operation="UPDATE",
                            pgid="pgtrigger_work_run_state_moves_a14b2",
                            table="work_run",
                            when="BEFORE",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="WorkPart",
                    fields=[
                        ("id", models.BigAutoField(primary_key=True, serialize=False)),
                        (
                            "run",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="parts",
                                to="metering.workrun",
                            ),
                        ),
                        ("step", models.TextField()),
                        ("part", models.TextField(blank=True)),
                        (
                            "state",
                            models.TextField(
                                choices=[
                                    ("waiting", "Waiting"),
                                    ("leased", "Leased"),
                                    ("done", "Done"),
                                    ("failed", "Failed"),
                                ],
                                default="waiting",
                            ),
                        ),
                        ("due_at", models.DateTimeField()),
                        ("hinted_at", models.DateTimeField(blank=True, null=True)),
                        ("lease_until", models.DateTimeField(blank=True, null=True)),
                        ("fence", models.PositiveIntegerField(default=0)),
                        ("attempts", models.PositiveSmallIntegerField(default=0)),
                        ("error", models.TextField(blank=True)),
                        ("note", models.TextField(blank=True)),
                        ("finished_at", models.DateTimeField(blank=True, null=True)),
                        ("material", models.BinaryField(blank=True, null=True)),
                        ("result", models.BinaryField(blank=True, null=True)),
                    ],
                    options={
                        "db_table": "work_part",
                        "ordering": ["run_id", "id"],
                        "indexes": [
                            models.Index(
                                condition=models.Q(("state__in", ["waiting", "leased"])),
                                fields=["due_at"],
                                name="work_to_do",
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("run", "step", "part"), name="part_once_in_a_step"
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("state__in", ["waiting", "leased", "done", "failed"])
                                ),
                                name="work_part_state_known",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("lease_until__isnull", False), ("state", "leased")),
                                    models.Q(
                                        models.Q(("state", "leased"), _negated=True),
                                        ("lease_until__isnull", True),
                                    ),
                                    _connector="OR",
                                ),
                                name="a_lease_ends",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("finished_at__isnull", False),
                                        ("state__in", ["done", "failed"]),
                                    ),
                                    models.Q(
                                        models.Q(("state__in", ["done", "failed"]), _negated=True),
                                        ("finished_at__isnull", True),
                                    ),
                                    _connector="OR",
                                ),
                                name="what_is_finished_has_its_time",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("state", "failed"), _negated=True),
                                    models.Q(("error", ""), _negated=True),
                                    _connector="OR",
                                ),
                                name="a_failure_says_why",
                            ),
                        ],
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="workpart",
                    trigger=pgtrigger.compiler.Trigger(
                        name="work_part_state_moves",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            declare="DECLARE _is_valid_transition BOOLEAN;",
                            func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{waiting:leased,leased:waiting,leased:done,leased:failed,waiting:failed}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;',
                            hash="d55a8db2e9309f6b0c8ceeaee67fd44667e3d9aa",
                            operation="UPDATE",
                            pgid="pgtrigger_work_part_state_moves_ea287",
                            table="work_part",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="workpart",
                    trigger=pgtrigger.compiler.Trigger(
                        name="a_fence_only_rises",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (NEW."fence" < (OLD."fence"))',
                            func="RAISE EXCEPTION 'the fence of work part % only rises', OLD.id USING ERRCODE = 'integrity_constraint_violation'; RETURN NULL;",
                            hash="ca8e7ae30608013600e3a101362e47cb7336f2c3",
                            operation="UPDATE",
                            pgid="pgtrigger_a_fence_only_rises_9f784",
                            table="work_part",
                            when="BEFORE",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="ScheduleFiring",
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
                        ("schedule", models.TextField()),
                        ("due_at", models.DateTimeField()),
                        ("fired_at", models.DateTimeField()),
                        (
                            "run",
                            models.ForeignKey(
                                blank=True,
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="firings",
                                to="metering.workrun",
                            ),
                        ),
                    ],
                    options={
                        "db_table": "schedule_firing",
                        "ordering": ["schedule", "due_at"],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("schedule", "due_at"), name="a_due_moment_is_answered_once"
                            )
                        ],
                    },
                ),
            ]
        ),
    ]
