"""Who uses and who bears: tenants, cost centres, sources, and the dated mappings between them."""

import django.contrib.postgres.constraints
import django.contrib.postgres.fields.ranges
import django.db.models.deletion
import django.utils.timezone
import metering.models.owners
import pgtrigger.compiler
import pgtrigger.migrations
from django.contrib.postgres.operations import BtreeGistExtension
from django.db import migrations, models

from config.schema_operations import AtOnce

VERSION = """
CREATE TABLE owner_book_version (
    only_one   boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    changed_by xid8 NOT NULL
);
INSERT INTO owner_book_version (changed_by) VALUES (pg_current_xact_id());
"""
"""Which transaction changed owners or mappings last, so that a remembered book is seen to be old."""

UNALLOCATED = """
INSERT INTO cost_centre (code, name, responsible, team, mode)
VALUES ('unallocated', 'Unallocated', 'controller', '', 'showback')
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
        ("pghistory", "0007_auto_20250421_0444"),
    ]

    operations = [
        BtreeGistExtension(),
        migrations.RunSQL(VERSION, "DROP TABLE owner_book_version"),
        AtOnce(
            [
                migrations.CreateModel(
                    name="Provider",
                    fields=[
                        ("key", models.TextField(primary_key=True, serialize=False)),
                        ("name", models.TextField(blank=True, default="")),
                    ],
                    options={
                        "db_table": "provider",
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="provider",
                    trigger=pgtrigger.compiler.Trigger(
                        name="owner_book_changes",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="\n            UPDATE owner_book_version SET changed_by = pg_current_xact_id()\n            WHERE changed_by <> pg_current_xact_id();\n            RETURN NULL;\n        ",
                            hash="883d4907acfb5adffd3a14fd9c56c68ba3bddd34",
                            level="STATEMENT",
                            operation="INSERT OR UPDATE OR DELETE",
                            pgid="pgtrigger_owner_book_changes_2aaf7",
                            table="provider",
                            when="AFTER",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="Source",
                    fields=[
                        ("key", models.TextField(primary_key=True, serialize=False)),
                        (
                            "provider_project",
                            models.TextField(
                                blank=True,
                                default="",
                                help_text="the provider's project its calls are billed under, where events do not say",
                            ),
                        ),
                        (
                            "identifiers_hashed",
                            models.BooleanField(
                                default=False,
                                help_text="the source sends user identifiers that are already hashed",
                            ),
                        ),
                    ],
                    options={
                        "db_table": "source",
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="source",
                    trigger=pgtrigger.compiler.Trigger(
                        name="owner_book_changes",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="\n            UPDATE owner_book_version SET changed_by = pg_current_xact_id()\n            WHERE changed_by <> pg_current_xact_id();\n            RETURN NULL;\n        ",
                            hash="e5e4eceb74f34b054380f3f0168660110b7b7b36",
                            level="STATEMENT",
                            operation="INSERT OR UPDATE OR DELETE",
                            pgid="pgtrigger_owner_book_changes_b4a8c",
                            table="source",
                            when="AFTER",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="Tenant",
                    fields=[
                        ("key", models.TextField(primary_key=True, serialize=False)),
                        ("name", models.TextField(blank=True, default="")),
                        ("time_zone", models.TextField(default="UTC")),
                        ("registered_at", models.DateTimeField(default=django.utils.timezone.now)),
                    ],
                    options={
                        "db_table": "tenant",
                    },
                ),
                migrations.CreateModel(
                    name="ServiceAccount",
                    fields=[
                        ("pseudonym", models.UUIDField(primary_key=True, serialize=False)),
                        ("name", models.TextField()),
                    ],
                    options={
                        "db_table": "service_account",
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="serviceaccount",
                    trigger=pgtrigger.compiler.Trigger(
                        name="owner_book_changes",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="\n            UPDATE owner_book_version SET changed_by = pg_current_xact_id()\n            WHERE changed_by <> pg_current_xact_id();\n            RETURN NULL;\n        ",
                            hash="4b9f760fbf4310276c713d18db0a6928cb7be086",
                            level="STATEMENT",
                            operation="INSERT OR UPDATE OR DELETE",
                            pgid="pgtrigger_owner_book_changes_a2173",
                            table="service_account",
                            when="AFTER",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="UserIdentity",
                    fields=[
                        ("lookup_hash", models.BinaryField(primary_key=True, serialize=False)),
                        ("pseudonym", models.UUIDField(unique=True)),
                        ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                    ],
                    options={
                        "db_table": "user_identity",
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="useridentity",
                    trigger=pgtrigger.compiler.Trigger(
                        name="owner_book_changes",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="\n            UPDATE owner_book_version SET changed_by = pg_current_xact_id()\n            WHERE changed_by <> pg_current_xact_id();\n            RETURN NULL;\n        ",
                            hash="7e73afa79ff135cf27982751cce60647e291482e",
                            level="STATEMENT",
                            operation="DELETE",
                            pgid="pgtrigger_owner_book_changes_dbfb7",
                            table="user_identity",
                            when="AFTER",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="CostCentre",
                    fields=[
                        ("code", models.TextField(primary_key=True, serialize=False)),
                        ("name", models.TextField()),
                        ("responsible", models.TextField()),
                        ("team", models.TextField(blank=True, default="")),
                        (
                            "mode",
                            models.TextField(
                                choices=[
                                    ("showback", "showback: sees its cost"),
                                    ("chargeback", "chargeback: owes its cost"),
                                ],
                                default="showback",
                            ),
                        ),
                    ],
                    options={
                        "db_table": "cost_centre",
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(("responsible", ""), _negated=True),
                                name="cost_centre_has_a_responsible_person",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("mode__in", ["showback", "chargeback"])),
                                name="cost_centre_mode_known",
                            ),
                        ],
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="costcentre",
                    trigger=pgtrigger.compiler.Trigger(
                        name="owner_book_changes",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="\n            UPDATE owner_book_version SET changed_by = pg_current_xact_id()\n            WHERE changed_by <> pg_current_xact_id();\n            RETURN NULL;\n        ",
                            hash="5cf566f4b078dcfd0df74ac2bcb638d7693b11e6",
                            level="STATEMENT",
                            operation="INSERT OR UPDATE OR DELETE",
                            pgid="pgtrigger_owner_book_changes_b9eac",
                            table="cost_centre",
                            when="AFTER",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="OwnerMapping",
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
                        ("key", models.TextField()),
                        ("valid_from", models.DateTimeField(blank=True, null=True)),
                        ("valid_to", models.DateTimeField(blank=True, null=True)),
                        ("reason", models.TextField(blank=True, default="")),
                        ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                        (
                            "cost_centre",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                to="metering.costcentre",
                            ),
                        ),
                    ],
                    options={
                        "db_table": "owner_mapping",
                        "constraints": [
                            django.contrib.postgres.constraints.ExclusionConstraint(
                                expressions=[
                                    ("kind", "="),
                                    ("key", "="),
                                    (
                                        metering.models.owners._InstantRange(
                                            models.F("valid_from"),
                                            models.F("valid_to"),
                                            django.contrib.postgres.fields.ranges.RangeBoundary(),
                                        ),
                                        "&&",
                                    ),
                                ],
                                name="one_cost_centre_at_a_time",
                            )
                        ],
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="ownermapping",
                    trigger=pgtrigger.compiler.Trigger(
                        name="owner_book_changes",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="\n            UPDATE owner_book_version SET changed_by = pg_current_xact_id()\n            WHERE changed_by <> pg_current_xact_id();\n            RETURN NULL;\n        ",
                            hash="3d198f7924aac2ea65801a8f91273ead65c6a4cf",
                            level="STATEMENT",
                            operation="INSERT OR UPDATE OR DELETE",
                            pgid="pgtrigger_owner_book_changes_27c26",
                            table="owner_mapping",
                            when="AFTER",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="TenantMapping",
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
                        ("key", models.TextField()),
                        ("valid_from", models.DateTimeField(blank=True, null=True)),
                        ("valid_to", models.DateTimeField(blank=True, null=True)),
                        ("reason", models.TextField(blank=True, default="")),
                        ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                        (
                            "tenant",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT, to="metering.tenant"
                            ),
                        ),
                    ],
                    options={
                        "db_table": "tenant_mapping",
                        "constraints": [
                            django.contrib.postgres.constraints.ExclusionConstraint(
                                expressions=[
                                    ("kind", "="),
                                    ("key", "="),
                                    (
                                        metering.models.owners._InstantRange(
                                            models.F("valid_from"),
                                            models.F("valid_to"),
                                            django.contrib.postgres.fields.ranges.RangeBoundary(),
                                        ),
                                        "&&",
                                    ),
                                ],
                                name="one_tenant_at_a_time",
                            )
                        ],
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="tenantmapping",
                    trigger=pgtrigger.compiler.Trigger(
                        name="owner_book_changes",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="\n            UPDATE owner_book_version SET changed_by = pg_current_xact_id()\n            WHERE changed_by <> pg_current_xact_id();\n            RETURN NULL;\n        ",
                            hash="7ede8e89b61e2f90b92eb1d4eeb34901adff86fa",
                            level="STATEMENT",
                            operation="INSERT OR UPDATE OR DELETE",
                            pgid="pgtrigger_owner_book_changes_e8caa",
                            table="tenant_mapping",
                            when="AFTER",
                        ),
                    ),
                ),
            ]
        ),
        migrations.RunSQL(UNALLOCATED, migrations.RunSQL.noop),
    ]
