"""What was sent to Stripe, what it answered, and the events that it sends."""

import django.core.serializers.json
import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

from config.schema_operations import AtOnce


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0001_plans_subscriptions_invoices"),
    ]

    operations = [
        AtOnce(
            [
                migrations.CreateModel(
                    name="StripeCustomer",
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
                        ("account", models.TextField()),
                        ("customer", models.TextField()),
                        ("found_at", models.DateTimeField()),
                        ("gone_at", models.DateTimeField(blank=True, null=True)),
                    ],
                    options={
                        "db_table": "stripe_customer",
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("gone_at__isnull", True)),
                                fields=("tenant", "account"),
                                name="one_stripe_customer_per_tenant",
                            ),
                            models.UniqueConstraint(
                                fields=("account", "customer"),
                                name="one_tenant_per_stripe_customer",
                            ),
                        ],
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="stripecustomer",
                    trigger=pgtrigger.compiler.Trigger(
                        name="stripe_customer_fixed",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."id" IS DISTINCT FROM (NEW."id") OR OLD."tenant" IS DISTINCT FROM (NEW."tenant") OR OLD."account" IS DISTINCT FROM (NEW."account") OR OLD."customer" IS DISTINCT FROM (NEW."customer") OR OLD."found_at" IS DISTINCT FROM (NEW."found_at"))',
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                            hash="308574d825d656bd2ad5d04e96c17bedd8786423",
                            operation="UPDATE",
                            pgid="pgtrigger_stripe_customer_fixed_5b9bf",
                            table="stripe_customer",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="stripecustomer",
                    trigger=pgtrigger.compiler.Trigger(
                        name="stripe_customer_kept",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;",
                            hash="db6da86aa8a6bb60c6ef9764448345d3ce4a7132",
                            operation="DELETE",
                            pgid="pgtrigger_stripe_customer_kept_450fd",
                            table="stripe_customer",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="stripecustomer",
                    trigger=pgtrigger.compiler.Trigger(
                        name="stripe_customer_not_emptied",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'invoices are kept: % cannot be emptied', TG_TABLE_NAME;",
                            hash="fa6b93c7c5ca4209b60ba83f187c4663a621f1f0",
                            level="STATEMENT",
                            operation="TRUNCATE",
                            pgid="pgtrigger_stripe_customer_not_emptied_5041d",
                            table="stripe_customer",
                            when="BEFORE",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="StripePush",
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
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="push",
                                to="billing.invoice",
                            ),
                        ),
                        ("account", models.TextField()),
                        ("reference", models.TextField(unique=True)),
                        ("generation", models.PositiveSmallIntegerField(default=1)),
                        (
                            "state",
                            models.TextField(
                                choices=[
                                    ("intended", "Intended"),
                                    ("drafted", "Drafted"),
                                    ("compared", "Compared"),
                                    ("refused", "Refused"),
                                    ("finalized", "Finalized"),
                                ],
                                default="intended",
                            ),
                        ),
                        ("customer", models.TextField(blank=True, default="")),
                        ("stripe_invoice", models.TextField(blank=True, null=True, unique=True)),
                        ("message", models.TextField(blank=True, default="")),
                        ("begun_at", models.DateTimeField()),
                        ("finalized_at", models.DateTimeField(blank=True, null=True)),
                        ("lease_until", models.DateTimeField(blank=True, null=True)),
                        ("fence", models.PositiveIntegerField(default=0)),
                    ],
                    options={
                        "db_table": "stripe_push",
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("finalized_at__isnull", False), ("state", "finalized")
                                    ),
                                    models.Q(
                                        models.Q(("state", "finalized"), _negated=True),
                                        ("finalized_at__isnull", True),
                                    ),
                                    _connector="OR",
                                ),
                                name="push_finalized_at_a_time",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("state__in", ["intended", "refused"]),
                                    models.Q(
                                        ("stripe_invoice__isnull", False),
                                        models.Q(("customer", ""), _negated=True),
                                    ),
                                    _connector="OR",
                                ),
                                name="push_names_what_it_made",
                            ),
                        ],
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="stripepush",
                    trigger=pgtrigger.compiler.Trigger(
                        name="push_fixed",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."invoice_id" IS DISTINCT FROM (NEW."invoice_id") OR OLD."account" IS DISTINCT FROM (NEW."account") OR OLD."reference" IS DISTINCT FROM (NEW."reference") OR OLD."begun_at" IS DISTINCT FROM (NEW."begun_at"))',
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                            hash="4a26a3ba6a4fe5acb4be9f29e709b1222b81279e",
                            operation="UPDATE",
                            pgid="pgtrigger_push_fixed_7e6b3",
                            table="stripe_push",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="stripepush",
                    trigger=pgtrigger.compiler.Trigger(
                        name="push_done_stays",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition="WHEN (OLD.\"state\" = 'finalized')",
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                            hash="76d938aab740ac86f6e8ff69a35cd910efd652e5",
                            operation="UPDATE",
                            pgid="pgtrigger_push_done_stays_13509",
                            table="stripe_push",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="stripepush",
                    trigger=pgtrigger.compiler.Trigger(
                        name="push_kept",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;",
                            hash="886cfef24277e9cb7c930030fa46897a857fc017",
                            operation="DELETE",
                            pgid="pgtrigger_push_kept_cf2fa",
                            table="stripe_push",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="stripepush",
                    trigger=pgtrigger.compiler.Trigger(
                        name="push_not_emptied",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'invoices are kept: % cannot be emptied', TG_TABLE_NAME;",
                            hash="3c75480abeeabd79e6a1e602b59dd358ba077f22",
                            level="STATEMENT",
                            operation="TRUNCATE",
                            pgid="pgtrigger_push_not_emptied_f210f",
                            table="stripe_push",
                            when="BEFORE",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="StripeRequest",
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
                                related_name="requests",
                                to="billing.invoice",
                            ),
                        ),
                        (
                            "purpose",
                            models.TextField(
                                choices=[
                                    ("customer", "Customer"),
                                    ("invoice", "Invoice"),
                                    ("item", "Item"),
                                    ("finalize", "Finalize"),
                                ]
                            ),
                        ),
                        ("stem", models.TextField()),
                        ("attempt", models.PositiveSmallIntegerField()),
                        ("key", models.TextField(unique=True)),
                        (
                            "params",
                            models.JSONField(
                                encoder=django.core.serializers.json.DjangoJSONEncoder
                            ),
                        ),
                        (
                            "state",
                            models.TextField(
                                choices=[
                                    ("intended", "Intended"),
                                    ("sent", "Sent"),
                                    ("confirmed", "Confirmed"),
                                    ("failed", "Failed"),
                                ],
                                default="intended",
                            ),
                        ),
                        ("intended_at", models.DateTimeField()),
                        ("sent_at", models.DateTimeField(blank=True, null=True)),
                        ("answered_at", models.DateTimeField(blank=True, null=True)),
                        ("object_id", models.TextField(blank=True, default="")),
                        ("request_id", models.TextField(blank=True, default="")),
                        ("problem", models.TextField(blank=True, default="")),
                    ],
                    options={
                        "db_table": "stripe_request",
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("stem", "attempt"), name="one_stripe_request_a_try"
                            ),
                            models.UniqueConstraint(
                                condition=models.Q(("state", "confirmed")),
                                fields=("stem",),
                                name="one_confirmed_stripe_request",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("state", "confirmed"),
                                        models.Q(("object_id", ""), _negated=True),
                                    ),
                                    models.Q(
                                        models.Q(("state", "confirmed"), _negated=True),
                                        ("object_id", ""),
                                    ),
                                    _connector="OR",
                                ),
                                name="confirmed_stripe_request_names_its_object",
                            ),
                        ],
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="striperequest",
                    trigger=pgtrigger.compiler.Trigger(
                        name="stripe_request_fixed",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."invoice_id" IS DISTINCT FROM (NEW."invoice_id") OR OLD."purpose" IS DISTINCT FROM (NEW."purpose") OR OLD."stem" IS DISTINCT FROM (NEW."stem") OR OLD."attempt" IS DISTINCT FROM (NEW."attempt") OR OLD."key" IS DISTINCT FROM (NEW."key") OR OLD."params" IS DISTINCT FROM (NEW."params") OR OLD."intended_at" IS DISTINCT FROM (NEW."intended_at"))',
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                            hash="ffecdb4c6325059da985a1c1221e49c7f9b6fdae",
                            operation="UPDATE",
                            pgid="pgtrigger_stripe_request_fixed_b21c3",
                            table="stripe_request",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="striperequest",
                    trigger=pgtrigger.compiler.Trigger(
                        name="stripe_request_states",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            declare="DECLARE _is_valid_transition BOOLEAN;",
                            func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{intended:sent,intended:confirmed,sent:confirmed,sent:failed,failed:confirmed}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;',
                            hash="780e96f12a400bac0ca93ef2c16f1c19196f396e",
                            operation="UPDATE",
                            pgid="pgtrigger_stripe_request_states_3829b",
                            table="stripe_request",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="striperequest",
                    trigger=pgtrigger.compiler.Trigger(
                        name="stripe_request_kept",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;",
                            hash="2a208686e241d80c62c09118c6e86034a9494955",
                            operation="DELETE",
                            pgid="pgtrigger_stripe_request_kept_6f132",
                            table="stripe_request",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="striperequest",
                    trigger=pgtrigger.compiler.Trigger(
                        name="stripe_request_not_emptied",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'invoices are kept: % cannot be emptied', TG_TABLE_NAME;",
                            hash="01d141b99e49466f6fb2b5bf1a7ef80b00d22631",
                            level="STATEMENT",
                            operation="TRUNCATE",
                            pgid="pgtrigger_stripe_request_not_emptied_edbb3",
                            table="stripe_request",
                            when="BEFORE",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="StripeFinding",
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
                                related_name="stripe_findings",
                                to="billing.invoice",
                            ),
                        ),
                        ("stripe_invoice", models.TextField(blank=True, default="")),
                        ("found_at", models.DateTimeField()),
                        ("where", models.TextField()),
                        ("what", models.TextField()),
                    ],
                    options={
                        "db_table": "stripe_finding",
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="stripefinding",
                    trigger=pgtrigger.compiler.Trigger(
                        name="stripe_finding_written_once",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                            hash="b8f9b0fd3fe0af9d7554dcd2fbc5f76e9913f7fe",
                            operation="UPDATE OR DELETE",
                            pgid="pgtrigger_stripe_finding_written_once_7b02f",
                            table="stripe_finding",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="stripefinding",
                    trigger=pgtrigger.compiler.Trigger(
                        name="stripe_finding_not_emptied",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'invoices are kept: % cannot be emptied', TG_TABLE_NAME;",
                            hash="ef3accd20099210cccd780655021e9ece6fac1c6",
                            level="STATEMENT",
                            operation="TRUNCATE",
                            pgid="pgtrigger_stripe_finding_not_emptied_6cc88",
                            table="stripe_finding",
                            when="BEFORE",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="StripeEvent",
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
                        ("event", models.TextField(unique=True)),
                        ("type", models.TextField()),
                        ("created_at", models.DateTimeField()),
                        ("received_at", models.DateTimeField()),
                        ("livemode", models.BooleanField()),
                        ("digest", models.TextField()),
                        ("body", models.BinaryField()),
                    ],
                    options={
                        "db_table": "stripe_event",
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="stripeevent",
                    trigger=pgtrigger.compiler.Trigger(
                        name="stripe_event_written_once",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                            hash="ccddb38d1cb95ac4f77c67325f303627585d0791",
                            operation="UPDATE OR DELETE",
                            pgid="pgtrigger_stripe_event_written_once_73409",
                            table="stripe_event",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="stripeevent",
                    trigger=pgtrigger.compiler.Trigger(
                        name="stripe_event_not_emptied",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'invoices are kept: % cannot be emptied', TG_TABLE_NAME;",
                            hash="e17af98e19eee24a3d645d737ec3502d3a9b6b74",
                            level="STATEMENT",
                            operation="TRUNCATE",
                            pgid="pgtrigger_stripe_event_not_emptied_c0385",
                            table="stripe_event",
                            when="BEFORE",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="StripeEventOutcome",
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
                            "event",
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="outcome",
                                to="billing.stripeevent",
                            ),
                        ),
                        (
                            "outcome",
                            models.TextField(
                                choices=[
                                    ("applied", "Applied"),
                                    ("ignored", "Ignored"),
                                    ("refused", "Refused"),
                                ]
                            ),
                        ),
                        (
                            "invoice",
                            models.ForeignKey(
                                blank=True,
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="billing.invoice",
                            ),
                        ),
                        ("applied_at", models.DateTimeField()),
                        ("message", models.TextField(blank=True, default="")),
                    ],
                    options={
                        "db_table": "stripe_event_outcome",
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="stripeeventoutcome",
                    trigger=pgtrigger.compiler.Trigger(
                        name="stripe_event_outcome_written_once",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                            hash="19dc89040ec2c2f96de271c49b02c6b7475438c2",
                            operation="UPDATE OR DELETE",
                            pgid="pgtrigger_stripe_event_outcome_written_once_11076",
                            table="stripe_event_outcome",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="stripeeventoutcome",
                    trigger=pgtrigger.compiler.Trigger(
                        name="stripe_event_outcome_not_emptied",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'invoices are kept: % cannot be emptied', TG_TABLE_NAME;",
                            hash="cf5719e2788e5a2af0e4d172ecc66fd13db25fb6",
                            level="STATEMENT",
                            operation="TRUNCATE",
                            pgid="pgtrigger_stripe_event_outcome_not_emptied_fe2e3",
                            table="stripe_event_outcome",
                            when="BEFORE",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="InvoiceStanding",
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
                                related_name="standings",
                                to="billing.invoice",
                            ),
                        ),
                        (
                            "standing",
                            models.TextField(
                                choices=[
                                    ("open", "Open"),
                                    ("uncollectible", "Uncollectible"),
                                    ("paid", "Paid"),
                                    ("void", "Void"),
                                ]
                            ),
                        ),
                        ("since", models.DateTimeField()),
                        ("learnt_at", models.DateTimeField()),
                        (
                            "event",
                            models.ForeignKey(
                                blank=True,
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="billing.stripeevent",
                            ),
                        ),
                    ],
                    options={
                        "db_table": "invoice_standing",
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("invoice", "standing"), name="one_date_per_invoice_standing"
                            )
                        ],
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="invoicestanding",
                    trigger=pgtrigger.compiler.Trigger(
                        name="invoice_standing_written_once",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                            hash="1df1e606be476c44b72f317aa903755112bd15be",
                            operation="UPDATE OR DELETE",
                            pgid="pgtrigger_invoice_standing_written_once_7c967",
                            table="invoice_standing",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="invoicestanding",
                    trigger=pgtrigger.compiler.Trigger(
                        name="invoice_standing_not_emptied",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'invoices are kept: % cannot be emptied', TG_TABLE_NAME;",
                            hash="fd5a75228ddeefd6cda3e443eddc63c4ea1d456d",
                            level="STATEMENT",
                            operation="TRUNCATE",
                            pgid="pgtrigger_invoice_standing_not_emptied_15af9",
                            table="invoice_standing",
                            when="BEFORE",
                        ),
                    ),
                ),
            ]
        ),
    ]
