"""Plans, who has which, and the invoices that come of them."""

import billing.models.invoices
import billing.models.plans
import django.contrib.postgres.constraints
import django.contrib.postgres.fields.ranges
import django.core.serializers.json
import django.db.models.deletion
import django.utils.timezone
import metering.fields
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

from config.schema_operations import AtOnce


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("allocation", "0003_history"),
    ]

    operations = [
        AtOnce(
            [
                migrations.CreateModel(
                    name="Plan",
                    fields=[
                        ("code", models.TextField(primary_key=True, serialize=False)),
                    ],
                    options={
                        "db_table": "plan",
                    },
                ),
                migrations.CreateModel(
                    name="PlanVersion",
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
                            "plan",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="versions",
                                to="billing.plan",
                            ),
                        ),
                        (
                            "content",
                            models.JSONField(
                                encoder=django.core.serializers.json.DjangoJSONEncoder
                            ),
                        ),
                        ("digest", models.TextField()),
                        ("valid_from", models.DateField()),
                        ("valid_to", models.DateField(blank=True, null=True)),
                        ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                    ],
                    options={
                        "db_table": "plan_version",
                        "constraints": [
                            django.contrib.postgres.constraints.ExclusionConstraint(
                                expressions=[
                                    ("plan", "="),
                                    (
                                        billing.models.plans.DayRange(
                                            models.F("valid_from"),
                                            models.F("valid_to"),
                                            django.contrib.postgres.fields.ranges.RangeBoundary(),
                                        ),
                                        "&&",
                                    ),
                                ],
                                name="one_plan_version_at_a_time",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("valid_to__isnull", True),
                                    ("valid_to__gt", models.F("valid_from")),
                                    _connector="OR",
                                ),
                                name="plan_version_ends_after_it_starts",
                            ),
                        ],
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="planversion",
                    trigger=pgtrigger.compiler.Trigger(
                        name="plan_version_fixed",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."id" IS DISTINCT FROM (NEW."id") OR OLD."plan_id" IS DISTINCT FROM (NEW."plan_id") OR OLD."content" IS DISTINCT FROM (NEW."content") OR OLD."digest" IS DISTINCT FROM (NEW."digest") OR OLD."valid_from" IS DISTINCT FROM (NEW."valid_from") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at"))',
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                            hash="9f6fa6e6947a0c8a724af65dd2ce5ab25d1e5a1a",
                            operation="UPDATE",
                            pgid="pgtrigger_plan_version_fixed_dbb0e",
                            table="plan_version",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="planversion",
                    trigger=pgtrigger.compiler.Trigger(
                        name="plan_version_closed_once",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."valid_to" IS DISTINCT FROM (NEW."valid_to") AND OLD."valid_to" IS NOT NULL)',
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                            hash="22a0dadf38cf474050f2423fccacf67c1a62e06b",
                            operation="UPDATE",
                            pgid="pgtrigger_plan_version_closed_once_d61f9",
                            table="plan_version",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="planversion",
                    trigger=pgtrigger.compiler.Trigger(
                        name="plan_version_kept",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;",
                            hash="0dfc0593842b5093f4c101c9bbd32b4a1af7443d",
                            operation="DELETE",
                            pgid="pgtrigger_plan_version_kept_0dbc0",
                            table="plan_version",
                            when="BEFORE",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="Subscription",
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
                        ("tenant", models.TextField()),
                        (
                            "plan",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="subscriptions",
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
                        "db_table": "subscription",
                        "constraints": [
                            django.contrib.postgres.constraints.ExclusionConstraint(
                                expressions=[
                                    ("tenant", "="),
                                    (
                                        billing.models.plans.DayRange(
                                            models.F("valid_from"),
                                            models.F("valid_to"),
                                            django.contrib.postgres.fields.ranges.RangeBoundary(),
                                        ),
                                        "&&",
                                    ),
                                ],
                                name="one_subscription_at_a_time",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("tenant", ""), _negated=True),
                                name="subscription_has_a_tenant",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("anchor_day__gte", 1), ("anchor_day__lte", 31)),
                                name="subscription_anchor_is_a_day_of_a_month",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("valid_to__isnull", True),
                                    ("valid_to__gt", models.F("valid_from")),
                                    _connector="OR",
                                ),
                                name="subscription_ends_after_it_starts",
                            ),
                        ],
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="subscription",
                    trigger=pgtrigger.compiler.Trigger(
                        name="subscription_fixed",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."id" IS DISTINCT FROM (NEW."id") OR OLD."tenant" IS DISTINCT FROM (NEW."tenant") OR OLD."plan_id" IS DISTINCT FROM (NEW."plan_id") OR OLD."zone" IS DISTINCT FROM (NEW."zone") OR OLD."anchor_day" IS DISTINCT FROM (NEW."anchor_day") OR OLD."valid_from" IS DISTINCT FROM (NEW."valid_from") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at"))',
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                            hash="c924f63c9e66a522e7d48e246e996dc97b265b71",
                            operation="UPDATE",
                            pgid="pgtrigger_subscription_fixed_ab52a",
                            table="subscription",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="subscription",
                    trigger=pgtrigger.compiler.Trigger(
                        name="subscription_closed_once",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."valid_to" IS DISTINCT FROM (NEW."valid_to") AND OLD."valid_to" IS NOT NULL)',
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                            hash="652274d042acaa601619eff9101cd2254802b778",
                            operation="UPDATE",
                            pgid="pgtrigger_subscription_closed_once_e116c",
                            table="subscription",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="subscription",
                    trigger=pgtrigger.compiler.Trigger(
                        name="subscription_kept",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;",
                            hash="7d2ec19f55f43c5d95df538a73f664739ae49d5e",
                            operation="DELETE",
                            pgid="pgtrigger_subscription_kept_2cefa",
                            table="subscription",
                            when="BEFORE",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="Invoice",
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
                        ("tenant", models.TextField()),
                        (
                            "subscription",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="invoices",
                                to="billing.subscription",
                            ),
                        ),
                        (
                            "plan_version",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
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
                            models.OneToOneField(
                                blank=True,
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="replaced_by",
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
                        ("number", models.TextField(blank=True, null=True, unique=True)),
                        ("finalized_at", models.DateTimeField(blank=True, null=True)),
                        ("voided_at", models.DateTimeField(blank=True, null=True)),
                        ("void_reason", models.TextField(blank=True, default="")),
                    ],
                    options={
                        "db_table": "invoice",
                        "permissions": [
                            ("approve_invoice", "Can approve another person's draft"),
                            ("push_invoice", "Can send an approved invoice to Stripe"),
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("state", "void"), _negated=True),
                                fields=("tenant", "cycle_start", "cycle_end"),
                                name="one_invoice_per_tenant_and_cycle",
                            ),
                            django.contrib.postgres.constraints.ExclusionConstraint(
                                condition=models.Q(("state", "void"), _negated=True),
                                expressions=[
                                    ("tenant", "="),
                                    (
                                        billing.models.invoices.CycleRange(
                                            models.F("cycle_start"),
                                            models.F("cycle_end"),
                                            django.contrib.postgres.fields.ranges.RangeBoundary(),
                                        ),
                                        "&&",
                                    ),
                                ],
                                name="no_instant_is_invoiced_twice",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("cycle_end__gt", models.F("cycle_start"))),
                                name="invoice_cycle_not_empty",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("author", ""), _negated=True),
                                name="invoice_has_an_author",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("approved_by__isnull", False),
                                        ("state__in", ["approved", "finalized"]),
                                    ),
                                    models.Q(("approved_by__isnull", True), ("state", "draft")),
                                    ("state", "void"),
                                    _connector="OR",
                                ),
                                name="invoice_approved_by_somebody",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("approved_by__isnull", True),
                                    models.Q(
                                        models.Q(
                                            ("approved_by", models.F("author")), _negated=True
                                        ),
                                        models.Q(("approved_by", ""), _negated=True),
                                    ),
                                    _connector="OR",
                                ),
                                name="invoice_approved_by_another_person",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("approved_at__isnull", True), ("approved_by__isnull", True)
                                    ),
                                    models.Q(
                                        ("approved_at__isnull", False),
                                        ("approved_by__isnull", False),
                                    ),
                                    _connector="OR",
                                ),
                                name="invoice_approval_has_its_time",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("finalized_at__isnull", False),
                                        ("number__isnull", False),
                                        ("state", "finalized"),
                                    ),
                                    models.Q(
                                        models.Q(("state", "finalized"), _negated=True),
                                        ("finalized_at__isnull", True),
                                        ("number__isnull", True),
                                    ),
                                    _connector="OR",
                                ),
                                name="invoice_numbered_when_finalized",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("state", "void"),
                                        ("voided_at__isnull", False),
                                        models.Q(("void_reason", ""), _negated=True),
                                    ),
                                    models.Q(
                                        models.Q(("state", "void"), _negated=True),
                                        ("void_reason", ""),
                                        ("voided_at__isnull", True),
                                    ),
                                    _connector="OR",
                                ),
                                name="invoice_void_for_a_reason",
                            ),
                        ],
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="invoice",
                    trigger=pgtrigger.compiler.Trigger(
                        name="invoice_starts_as_draft",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition="WHEN (NOT (NEW.\"state\" = 'draft'))",
                            func="RAISE EXCEPTION 'pgtrigger: Cannot insert rows from % table', TG_TABLE_NAME;",
                            hash="4e7133efec02c09dd8cd53ebec83932d2707c666",
                            operation="INSERT",
                            pgid="pgtrigger_invoice_starts_as_draft_5f296",
                            table="invoice",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="invoice",
                    trigger=pgtrigger.compiler.Trigger(
                        name="invoice_states",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            declare="DECLARE _is_valid_transition BOOLEAN;",
                            func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{draft:approved,approved:finalized,draft:void,approved:void}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;',
                            hash="ecad959a0f3211f8744ac9afa9c421fb958fbe2d",
                            operation="UPDATE",
                            pgid="pgtrigger_invoice_states_04b16",
                            table="invoice",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="invoice",
                    trigger=pgtrigger.compiler.Trigger(
                        name="invoice_fixed",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."id" IS DISTINCT FROM (NEW."id") OR OLD."tenant" IS DISTINCT FROM (NEW."tenant") OR OLD."subscription_id" IS DISTINCT FROM (NEW."subscription_id") OR OLD."plan_version_id" IS DISTINCT FROM (NEW."plan_version_id") OR OLD."cycle_start" IS DISTINCT FROM (NEW."cycle_start") OR OLD."cycle_end" IS DISTINCT FROM (NEW."cycle_end") OR OLD."first_day" IS DISTINCT FROM (NEW."first_day") OR OLD."end_day" IS DISTINCT FROM (NEW."end_day") OR OLD."full_days" IS DISTINCT FROM (NEW."full_days") OR OLD."zone" IS DISTINCT FROM (NEW."zone") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."total_minor" IS DISTINCT FROM (NEW."total_minor") OR OLD."inputs_digest" IS DISTINCT FROM (NEW."inputs_digest") OR OLD."outputs_digest" IS DISTINCT FROM (NEW."outputs_digest") OR OLD."author" IS DISTINCT FROM (NEW."author") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."replaces_id" IS DISTINCT FROM (NEW."replaces_id"))',
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                            hash="20da3e95f166d6d3b9ada72e19c882ecaa0321af",
                            operation="UPDATE",
                            pgid="pgtrigger_invoice_fixed_ab1d4",
                            table="invoice",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="invoice",
                    trigger=pgtrigger.compiler.Trigger(
                        name="invoice_approval",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN ((OLD."approved_by" IS DISTINCT FROM (NEW."approved_by") OR OLD."approved_at" IS DISTINCT FROM (NEW."approved_at")) AND NOT (NEW."state" = \'approved\' AND OLD."state" = \'draft\'))',
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                            hash="177e80cc8b2564b73c941320fef2b40a0104f0bb",
                            operation="UPDATE",
                            pgid="pgtrigger_invoice_approval_0b43f",
                            table="invoice",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="invoice",
                    trigger=pgtrigger.compiler.Trigger(
                        name="invoice_numbering",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN ((OLD."number" IS DISTINCT FROM (NEW."number") OR OLD."finalized_at" IS DISTINCT FROM (NEW."finalized_at")) AND NOT (NEW."state" = \'finalized\' AND OLD."state" = \'approved\'))',
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                            hash="1f41efc7ddd387cdfb76fa25ea625469037304df",
                            operation="UPDATE",
                            pgid="pgtrigger_invoice_numbering_7f36d",
                            table="invoice",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="invoice",
                    trigger=pgtrigger.compiler.Trigger(
                        name="invoice_voiding",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN ((OLD."voided_at" IS DISTINCT FROM (NEW."voided_at") OR OLD."void_reason" IS DISTINCT FROM (NEW."void_reason")) AND NOT (NEW."state" = \'void\' AND NOT (OLD."state" = \'void\')))',
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                            hash="1bbb329fa77f906bb3b88b36f58e387e21821d08",
                            operation="UPDATE",
                            pgid="pgtrigger_invoice_voiding_604c1",
                            table="invoice",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="invoice",
                    trigger=pgtrigger.compiler.Trigger(
                        name="invoice_kept",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;",
                            hash="b2b6a05f30919609c70bd30d71de087f38f256b9",
                            operation="DELETE",
                            pgid="pgtrigger_invoice_kept_2288a",
                            table="invoice",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="invoice",
                    trigger=pgtrigger.compiler.Trigger(
                        name="invoice_not_emptied",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'invoices are kept: % cannot be emptied', TG_TABLE_NAME;",
                            hash="6f7b1cfd4c81132245da6137e76d60256bc634e7",
                            level="STATEMENT",
                            operation="TRUNCATE",
                            pgid="pgtrigger_invoice_not_emptied_1a966",
                            table="invoice",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="invoice",
                    trigger=pgtrigger.compiler.Trigger(
                        name="invoice_adds_up",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            constraint="CONSTRAINT",
                            func="\n    IF (SELECT total_minor FROM invoice WHERE id = NEW.id) IS DISTINCT FROM\n       (SELECT coalesce(sum(amount_minor), 0) FROM invoice_line WHERE invoice_id = NEW.id)\n    THEN\n        RAISE EXCEPTION 'the lines of invoice % do not add up to its total', NEW.id\n            USING ERRCODE = 'check_violation';\n    END IF;\n    RETURN NULL;\n",
                            hash="0509e7f2570a5a9f7a0016029b703350130b52a7",
                            operation="INSERT",
                            pgid="pgtrigger_invoice_adds_up_38913",
                            table="invoice",
                            timing="DEFERRABLE INITIALLY DEFERRED",
                            when="AFTER",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="InvoiceLine",
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
                            "invoice",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="lines",
                                to="billing.invoice",
                            ),
                        ),
                        ("position", models.PositiveSmallIntegerField()),
                        (
                            "kind",
                            models.TextField(
                                choices=[
                                    ("fee", "Fee"),
                                    ("allowance", "Allowance"),
                                    ("overage", "Overage"),
                                ]
                            ),
                        ),
                        ("charge_code", models.TextField(blank=True, default="")),
                        ("description", models.TextField()),
                        ("unit", models.TextField()),
                        ("quantity", metering.fields.ExactField(decimal_places=30, max_digits=60)),
                        (
                            "unit_price",
                            metering.fields.ExactField(decimal_places=30, max_digits=60),
                        ),
                        ("per", models.BigIntegerField()),
                        ("amount", metering.fields.ExactField(decimal_places=30, max_digits=60)),
                        ("amount_minor", models.BigIntegerField()),
                        (
                            "evidence_selections",
                            models.JSONField(
                                default=list, encoder=django.core.serializers.json.DjangoJSONEncoder
                            ),
                        ),
                        ("evidence_count", models.BigIntegerField(default=0)),
                        ("evidence_digest", models.TextField(blank=True, default="")),
                    ],
                    options={
                        "db_table": "invoice_line",
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("invoice", "position"), name="one_line_per_position"
                            ),
                            models.UniqueConstraint(
                                fields=("invoice", "kind", "charge_code"),
                                name="one_line_per_kind_and_charge",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("charge_code", ""), ("kind", "fee")),
                                    models.Q(
                                        models.Q(("kind", "fee"), _negated=True),
                                        models.Q(("charge_code", ""), _negated=True),
                                    ),
                                    _connector="OR",
                                ),
                                name="line_names_its_charge",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("kind", "allowance"), _negated=True),
                                    models.Q(("amount", 0), ("amount_minor", 0)),
                                    _connector="OR",
                                ),
                                name="allowance_costs_nothing",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("per__gte", 1), ("quantity__gte", 0), ("unit_price__gte", 0)
                                ),
                                name="line_quantity_and_price_not_negative",
                            ),
                        ],
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="invoiceline",
                    trigger=pgtrigger.compiler.Trigger(
                        name="line_of_a_draft",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            declare="DECLARE standing TEXT;",
                            func="\n    SELECT state INTO standing FROM invoice WHERE id = NEW.invoice_id FOR SHARE;\n    IF standing IS DISTINCT FROM 'draft' THEN\n        RAISE EXCEPTION 'invoice % is no draft: no line can be added', NEW.invoice_id\n            USING ERRCODE = 'check_violation';\n    END IF;\n    RETURN NEW;\n",
                            hash="f02c7c54558df7f8b42c77e11c978a5695cc618f",
                            operation="INSERT",
                            pgid="pgtrigger_line_of_a_draft_bcb2b",
                            table="invoice_line",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="invoiceline",
                    trigger=pgtrigger.compiler.Trigger(
                        name="line_written_once",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                            hash="2fc98aef6d92c8ff2465e32c66b319dfef578087",
                            operation="UPDATE OR DELETE",
                            pgid="pgtrigger_line_written_once_cf281",
                            table="invoice_line",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="invoiceline",
                    trigger=pgtrigger.compiler.Trigger(
                        name="line_not_emptied",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'invoices are kept: % cannot be emptied', TG_TABLE_NAME;",
                            hash="4563b0820d7bbf690a488dec62f3063a16c22aa5",
                            level="STATEMENT",
                            operation="TRUNCATE",
                            pgid="pgtrigger_line_not_emptied_4e0b9",
                            table="invoice_line",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="invoiceline",
                    trigger=pgtrigger.compiler.Trigger(
                        name="line_adds_up",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            constraint="CONSTRAINT",
                            func="\n    IF (SELECT total_minor FROM invoice WHERE id = NEW.invoice_id) IS DISTINCT FROM\n       (SELECT coalesce(sum(amount_minor), 0) FROM invoice_line WHERE invoice_id = NEW.invoice_id)\n    THEN\n        RAISE EXCEPTION 'the lines of invoice % do not add up to its total', NEW.invoice_id\n            USING ERRCODE = 'check_violation';\n    END IF;\n    RETURN NULL;\n",
                            hash="a767ee8fc91377561546d628b3929938ae461480",
                            operation="INSERT",
                            pgid="pgtrigger_line_adds_up_a346e",
                            table="invoice_line",
                            timing="DEFERRABLE INITIALLY DEFERRED",
                            when="AFTER",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="InvoiceLinePart",
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
                            "line",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="parts",
                                to="billing.invoiceline",
                            ),
                        ),
                        ("model", models.TextField()),
                        ("endpoint_tag", models.TextField(blank=True, default="")),
                        ("quantity", metering.fields.ExactField(decimal_places=30, max_digits=60)),
                        ("amount", metering.fields.ExactField(decimal_places=30, max_digits=60)),
                    ],
                    options={
                        "db_table": "invoice_line_part",
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("line", "model", "endpoint_tag"),
                                name="one_part_per_model_and_tag",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("quantity__gt", 0)),
                                name="part_quantity_above_zero",
                            ),
                        ],
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="invoicelinepart",
                    trigger=pgtrigger.compiler.Trigger(
                        name="part_of_a_draft",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            declare="DECLARE standing TEXT;",
                            func="\n    SELECT state INTO standing FROM invoice WHERE id = (SELECT invoice_id FROM invoice_line WHERE id = NEW.line_id) FOR SHARE;\n    IF standing IS DISTINCT FROM 'draft' THEN\n        RAISE EXCEPTION 'invoice % is no draft: no line can be added', (SELECT invoice_id FROM invoice_line WHERE id = NEW.line_id)\n            USING ERRCODE = 'check_violation';\n    END IF;\n    RETURN NEW;\n",
                            hash="2690c073dd774e94262fa8bb5e189d8a0e699b1d",
                            operation="INSERT",
                            pgid="pgtrigger_part_of_a_draft_5130c",
                            table="invoice_line_part",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="invoicelinepart",
                    trigger=pgtrigger.compiler.Trigger(
                        name="part_written_once",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                            hash="c59a3463a98ebff20aa3b915de76c2e91670f2f4",
                            operation="UPDATE OR DELETE",
                            pgid="pgtrigger_part_written_once_2c6c6",
                            table="invoice_line_part",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="invoicelinepart",
                    trigger=pgtrigger.compiler.Trigger(
                        name="part_not_emptied",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'invoices are kept: % cannot be emptied', TG_TABLE_NAME;",
                            hash="502d7e8ecbbf9f5dee230f7b9b6cf6bc38185493",
                            level="STATEMENT",
                            operation="TRUNCATE",
                            pgid="pgtrigger_part_not_emptied_96942",
                            table="invoice_line_part",
                            when="BEFORE",
                        ),
                    ),
                ),
            ]
        ),
    ]
