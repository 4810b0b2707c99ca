"""Keys by which programs send and read."""

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0010_prices"),
    ]

    operations = [
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
                            ("finance", "finance: reads the company's costs, runs and invoices"),
                            ("portal", "portal: reads what one tenant used and owes"),
                        ]
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
                        condition=models.Q(("name", ""), _negated=True), name="api_key_has_a_name"
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
                                ("scope__in", ["ingest", "gateway"]), ("source__isnull", False)
                            ),
                            models.Q(
                                ("scope__in", ["finance", "portal"]), ("source__isnull", True)
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
    ]
