"""Rules, drivers, allocation runs; statements and the close of a month."""

import allocation.models.rules
import django.contrib.postgres.constraints
import django.contrib.postgres.fields.ranges
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
        ("metering", "0005_history"),
    ]

    operations = [
        AtOnce(
            [
                migrations.CreateModel(
                    name="Rule",
                    fields=[
                        ("name", models.TextField(primary_key=True, serialize=False)),
                    ],
                    options={
                        "db_table": "allocation_rule",
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="rule",
                    trigger=pgtrigger.compiler.Trigger(
                        name="rule_is_permanent",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                            hash="4c310a82a8b2056769e87057b0e5e449054d7c0e",
                            operation="UPDATE OR DELETE",
                            pgid="pgtrigger_rule_is_permanent_ec04d",
                            table="allocation_rule",
                            when="BEFORE",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="RuleVersion",
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
                            "rule",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="versions",
                                to="allocation.rule",
                            ),
                        ),
                        ("number", models.PositiveIntegerField()),
                        ("content", models.JSONField()),
                        ("digest", models.TextField()),
                        ("valid_from", models.DateField()),
                        ("valid_to", models.DateField(blank=True, null=True)),
                        ("author", models.TextField()),
                        ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                    ],
                    options={
                        "db_table": "allocation_rule_version",
                        "ordering": ["rule_id", "number"],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("rule", "number"), name="rule_version_number_once"
                            ),
                            django.contrib.postgres.constraints.ExclusionConstraint(
                                expressions=[
                                    ("rule", "="),
                                    (
                                        allocation.models.rules.DayRange(
                                            models.F("valid_from"),
                                            models.F("valid_to"),
                                            django.contrib.postgres.fields.ranges.RangeBoundary(),
                                        ),
                                        "&&",
                                    ),
                                ],
                                name="one_version_of_a_rule_at_a_time",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("valid_from__day", 1),
                                    models.Q(
                                        ("valid_to", None),
                                        models.Q(
                                            ("valid_to__day", 1),
                                            ("valid_to__gte", models.F("valid_from")),
                                        ),
                                        _connector="OR",
                                    ),
                                ),
                                name="rule_version_holds_for_whole_months",
                            ),
                        ],
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="ruleversion",
                    trigger=pgtrigger.compiler.Trigger(
                        name="only_its_end_may_change",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."id" IS DISTINCT FROM (NEW."id") OR OLD."rule_id" IS DISTINCT FROM (NEW."rule_id") OR OLD."number" IS DISTINCT FROM (NEW."number") OR OLD."content" IS DISTINCT FROM (NEW."content") OR OLD."digest" IS DISTINCT FROM (NEW."digest") OR OLD."valid_from" IS DISTINCT FROM (NEW."valid_from") OR OLD."author" IS DISTINCT FROM (NEW."author") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at"))',
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                            hash="0274c111894f90b82176304532f14ffdb536a1ca",
                            operation="UPDATE",
                            pgid="pgtrigger_only_its_end_may_change_7c7fb",
                            table="allocation_rule_version",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="ruleversion",
                    trigger=pgtrigger.compiler.Trigger(
                        name="it_may_only_end_earlier",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition="WHEN (OLD.valid_to IS NOT NULL AND (NEW.valid_to IS NULL OR NEW.valid_to > OLD.valid_to))",
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                            hash="9006f8d0925a2c7bf8cb34b8c2140ce54db5a418",
                            operation="UPDATE",
                            pgid="pgtrigger_it_may_only_end_earlier_57e7e",
                            table="allocation_rule_version",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="ruleversion",
                    trigger=pgtrigger.compiler.Trigger(
                        name="it_is_never_deleted",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;",
                            hash="9c5f4938c8b539f134b6d9473f885b01933df8ba",
                            operation="DELETE",
                            pgid="pgtrigger_it_is_never_deleted_7ec36",
                            table="allocation_rule_version",
                            when="BEFORE",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="DriverValue",
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
                        ("driver", models.TextField()),
                        ("cost_centre", models.TextField()),
                        ("tenant", models.TextField(blank=True, default="")),
                        ("value", metering.fields.ExactField(decimal_places=30, max_digits=60)),
                        ("valid_from", models.DateField()),
                        ("valid_to", models.DateField(blank=True, null=True)),
                        ("author", models.TextField()),
                        ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                    ],
                    options={
                        "db_table": "driver_value",
                        "constraints": [
                            django.contrib.postgres.constraints.ExclusionConstraint(
                                expressions=[
                                    ("driver", "="),
                                    ("cost_centre", "="),
                                    ("tenant", "="),
                                    (
                                        allocation.models.rules.DayRange(
                                            models.F("valid_from"),
                                            models.F("valid_to"),
                                            django.contrib.postgres.fields.ranges.RangeBoundary(),
                                        ),
                                        "&&",
                                    ),
                                ],
                                name="one_driver_value_at_a_time",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("value__gte", 0)),
                                name="driver_value_not_negative",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("driver", ""), _negated=True),
                                    models.Q(("cost_centre", ""), _negated=True),
                                ),
                                name="driver_value_has_an_owner",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("valid_to", None),
                                    ("valid_to__gte", models.F("valid_from")),
                                    _connector="OR",
                                ),
                                name="driver_value_ends_after_it_starts",
                            ),
                        ],
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="drivervalue",
                    trigger=pgtrigger.compiler.Trigger(
                        name="only_its_end_may_change",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."id" IS DISTINCT FROM (NEW."id") OR OLD."driver" IS DISTINCT FROM (NEW."driver") OR OLD."cost_centre" IS DISTINCT FROM (NEW."cost_centre") OR OLD."tenant" IS DISTINCT FROM (NEW."tenant") OR OLD."value" IS DISTINCT FROM (NEW."value") OR OLD."valid_from" IS DISTINCT FROM (NEW."valid_from") OR OLD."author" IS DISTINCT FROM (NEW."author") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at"))',
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                            hash="195d0ce6e26c6d156789e415df8d7eaaba8f451b",
                            operation="UPDATE",
                            pgid="pgtrigger_only_its_end_may_change_571ae",
                            table="driver_value",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="drivervalue",
                    trigger=pgtrigger.compiler.Trigger(
                        name="it_may_only_end_earlier",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition="WHEN (OLD.valid_to IS NOT NULL AND (NEW.valid_to IS NULL OR NEW.valid_to > OLD.valid_to))",
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                            hash="848a81b1e20a7c8251bfb6d4326ed34c2f0a827e",
                            operation="UPDATE",
                            pgid="pgtrigger_it_may_only_end_earlier_f9ef3",
                            table="driver_value",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="drivervalue",
                    trigger=pgtrigger.compiler.Trigger(
                        name="it_is_never_deleted",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;",
                            hash="42339049c09973a02e33a170775d0e29bb9379d8",
                            operation="DELETE",
                            pgid="pgtrigger_it_is_never_deleted_88e9f",
                            table="driver_value",
                            when="BEFORE",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="AllocationRun",
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
                        ("number", models.PositiveIntegerField()),
                        (
                            "state",
                            models.TextField(
                                choices=[
                                    ("draft", "Draft"),
                                    ("approved", "Approved"),
                                    ("closed", "Closed"),
                                    ("superseded", "Superseded"),
                                ],
                                default="draft",
                            ),
                        ),
                        ("author", models.TextField()),
                        (
                            "rule_version",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                to="allocation.ruleversion",
                            ),
                        ),
                        ("usage_digest", models.TextField()),
                        ("inputs_digest", models.TextField()),
                        ("outputs_digest", models.TextField()),
                        ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                    ],
                    options={
                        "db_table": "allocation_run",
                        "ordering": ["month", "number"],
                        "permissions": [
                            ("approve_allocationrun", "Can approve another person's run")
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("month", "number"), name="run_number_once_a_month"
                            ),
                            models.UniqueConstraint(
                                condition=models.Q(("state", "superseded"), _negated=True),
                                fields=("month",),
                                name="one_run_of_a_month_counts",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("month__regex", "^\\d{4}-(0[1-9]|1[0-2])$")),
                                name="run_is_of_a_month",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("state__in", ["draft", "approved", "closed", "superseded"])
                                ),
                                name="run_state_known",
                            ),
                        ],
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="allocationrun",
                    trigger=pgtrigger.compiler.Trigger(
                        name="month_is_open",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            declare="DECLARE months TEXT[]; written TEXT;",
                            func="\n            IF TG_OP <> 'INSERT' THEN\n                months := months || ARRAY[(OLD.month)];\n            END IF;\n            IF TG_OP <> 'DELETE' THEN\n                months := months || ARRAY[(NEW.month)];\n            END IF;\n            FOREACH written IN ARRAY months LOOP\n                CONTINUE WHEN written IS NULL;\n                PERFORM pg_advisory_xact_lock_shared(\n                    1297043028, replace(written, '-', '')::integer\n                );\n                IF EXISTS (\n    SELECT 1 FROM period_close\n    WHERE period_close.month = written AND NOT EXISTS (\n        SELECT 1 FROM period_reopening WHERE period_reopening.close_id = period_close.id\n    )\n) THEN\n                    RAISE EXCEPTION '% is closed: % refuses to change', written, TG_TABLE_NAME\n                        USING ERRCODE = 'integrity_constraint_violation',\n                              HINT = 'reopen the month, or correct it in the next open one';\n                END IF;\n            END LOOP;\n            IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;\n            RETURN NEW;\n        ",
                            hash="51f92e4b842e51e25fbd3f49546c620198e3a658",
                            operation="INSERT OR UPDATE OR DELETE",
                            pgid="pgtrigger_month_is_open_aa042",
                            table="allocation_run",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="allocationrun",
                    trigger=pgtrigger.compiler.Trigger(
                        name="run_only_changes_state",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."id" IS DISTINCT FROM (NEW."id") OR OLD."month" IS DISTINCT FROM (NEW."month") OR OLD."number" IS DISTINCT FROM (NEW."number") OR OLD."author" IS DISTINCT FROM (NEW."author") OR OLD."rule_version_id" IS DISTINCT FROM (NEW."rule_version_id") OR OLD."usage_digest" IS DISTINCT FROM (NEW."usage_digest") OR OLD."inputs_digest" IS DISTINCT FROM (NEW."inputs_digest") OR OLD."outputs_digest" IS DISTINCT FROM (NEW."outputs_digest") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at"))',
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                            hash="6b042d1ed562680ab7e64154df5009c6aac33e75",
                            operation="UPDATE",
                            pgid="pgtrigger_run_only_changes_state_2f802",
                            table="allocation_run",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="allocationrun",
                    trigger=pgtrigger.compiler.Trigger(
                        name="run_state_moves",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            declare="DECLARE _is_valid_transition BOOLEAN;",
                            func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{draft:approved,draft:superseded,approved:draft,approved:superseded,approved:closed,closed:approved}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;',
                            hash="37128f24ce9dd679e38bfbc7fb0aed42e389e95a",
                            operation="UPDATE",
                            pgid="pgtrigger_run_state_moves_9c7ec",
                            table="allocation_run",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="allocationrun",
                    trigger=pgtrigger.compiler.Trigger(
                        name="run_is_never_deleted",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;",
                            hash="a3de00ec4d59a887dea2eb9df8509231acf2790e",
                            operation="DELETE",
                            pgid="pgtrigger_run_is_never_deleted_ed72e",
                            table="allocation_run",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="allocationrun",
                    trigger=pgtrigger.compiler.Trigger(
                        name="run_conserves",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            declare="DECLARE failure TEXT;",
                            func="\n    WITH bill AS (\n        SELECT * FROM allocation_bill WHERE run_id = NEW.id\n    ), line AS (\n        SELECT bill_id, currency, cost_centre, tenant, strategy = 'rounding' AS rounding,\n               sum(amount) AS amount\n        FROM allocation_line WHERE run_id = NEW.id GROUP BY 1, 2, 3, 4, 5\n    ), lines AS (\n        SELECT bill_id, currency, sum(amount) AS payable,\n               coalesce(sum(amount) FILTER (WHERE NOT rounding), 0) AS exact\n        FROM line GROUP BY 1, 2\n    ), source AS (\n        SELECT bill_id, currency, sum(amount) AS exact\n        FROM allocation_source WHERE run_id = NEW.id GROUP BY 1, 2\n    ), settlement AS (\n        SELECT * FROM allocation_settlement WHERE run_id = NEW.id\n    ), settled AS (\n        SELECT bill_id, currency, sum(exact) AS exact, sum(amount_minor) AS minor\n        FROM settlement GROUP BY 1, 2\n    )\n    SELECT format('bill %s: %s', bill_id, broken) INTO failure FROM (\n        SELECT bill_id, 'its payable total is not its minor units' AS broken FROM bill\n        WHERE payable * power(10::numeric, minor_digits) <> payable_minor\n        UNION ALL\n        SELECT bill_id, 'its sources are not its exact total'\n        FROM bill FULL JOIN source USING (bill_id, currency)\n        WHERE bill.run_id IS NULL OR bill.exact <> coalesce(source.exact, 0)\n        UNION ALL\n        SELECT bill_id, 'its lines do not add up to it'\n        FROM bill FULL JOIN lines USING (bill_id, currency)\n        WHERE bill.run_id IS NULL OR bill.exact <> coalesce(lines.exact, 0)\n           OR bill.payable <> coalesce(lines.payable, 0)\n        UNION ALL\n        SELECT bill_id, 'its settlements do not add up to it'\n        FROM bill FULL JOIN settled USING (bill_id, currency)\n        WHERE bill.run_id IS NULL OR bill.exact <> coalesce(settled.exact, 0)\n           OR bill.payable_minor <> coalesce(settled.minor, 0)\n        UNION ALL\n        SELECT bill_id, format('the lines of %s/%s are not its settlement', cost_centre, tenant)\n        FROM settlement\n        FULL JOIN (SELECT * FROM line WHERE NOT rounding) AS owned\n            USING (bill_id, currency, cost_centre, tenant)\n        WHERE coalesce(settlement.exact, 0) <> coalesce(owned.amount, 0)\n        UNION ALL\n        SELECT bill_id, format('%s/%s is settled a unit or more from exact', cost_centre, tenant)\n        FROM settlement JOIN bill USING (bill_id, currency)\n        WHERE abs(settlement.exact * power(10::numeric, minor_digits) - amount_minor) >= 1\n    ) AS found LIMIT 1;\n    IF failure IS NOT NULL THEN\n        RAISE EXCEPTION 'allocation run % of % does not conserve: %', NEW.number, NEW.month, failure\n            USING ERRCODE = 'integrity_constraint_violation';\n    END IF;\n    RETURN NEW;\n",
                            hash="5e53bcd1c5426e892481d924c8c337d8752df0dc",
                            operation="INSERT",
                            pgid="pgtrigger_run_conserves_16701",
                            table="allocation_run",
                            when="AFTER",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="AllocationBill",
                    fields=[
                        ("id", models.BigAutoField(primary_key=True, serialize=False)),
                        (
                            "run",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="bills",
                                to="allocation.allocationrun",
                            ),
                        ),
                        ("bill_id", models.BigIntegerField()),
                        ("currency", models.CharField(max_length=3)),
                        ("provider", models.TextField()),
                        ("exact", metering.fields.ExactField(decimal_places=30, max_digits=60)),
                        ("payable", metering.fields.ExactField(decimal_places=30, max_digits=60)),
                        ("payable_minor", models.BigIntegerField()),
                        ("minor_digits", models.PositiveSmallIntegerField()),
                        ("scale", models.PositiveSmallIntegerField()),
                    ],
                    options={
                        "db_table": "allocation_bill",
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("run", "bill_id", "currency"), name="bill_once_in_a_run"
                            )
                        ],
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="allocationbill",
                    trigger=pgtrigger.compiler.Trigger(
                        name="allocation_bill_is_permanent",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                            hash="9ce2c1deb0676db6c978ef74d8cad501805bebd9",
                            operation="UPDATE OR DELETE",
                            pgid="pgtrigger_allocation_bill_is_permanent_4dd5c",
                            table="allocation_bill",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="allocationbill",
                    trigger=pgtrigger.compiler.Trigger(
                        name="allocation_bill_joins_no_finished_run",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="\n    IF EXISTS (\n        SELECT 1 FROM (SELECT DISTINCT run_id FROM written_rows) AS written\n        JOIN allocation_run ON allocation_run.id = written.run_id\n    ) THEN\n        RAISE EXCEPTION 'a finished allocation run takes no more rows in %', TG_TABLE_NAME\n            USING ERRCODE = 'integrity_constraint_violation';\n    END IF;\n    RETURN NULL;\n",
                            hash="1f568f80ff41d6612e434f456c606ba91821acc8",
                            level="STATEMENT",
                            operation="INSERT",
                            pgid="pgtrigger_allocation_bill_joins_no_finished_run_76f18",
                            referencing="REFERENCING NEW TABLE AS written_rows ",
                            table="allocation_bill",
                            when="AFTER",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="AllocationSource",
                    fields=[
                        ("id", models.BigAutoField(primary_key=True, serialize=False)),
                        (
                            "run",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="sources",
                                to="allocation.allocationrun",
                            ),
                        ),
                        ("bill_id", models.BigIntegerField()),
                        ("currency", models.CharField(max_length=3)),
                        ("line_no", models.PositiveIntegerField()),
                        ("pool", models.TextField()),
                        ("amount", metering.fields.ExactField(decimal_places=30, max_digits=60)),
                    ],
                    options={
                        "db_table": "allocation_source",
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("run", "bill_id", "line_no"), name="bill_line_once_in_a_run"
                            )
                        ],
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="allocationsource",
                    trigger=pgtrigger.compiler.Trigger(
                        name="allocation_source_is_permanent",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                            hash="ed6019c655c117b53bebdf53548c7b9553eba26c",
                            operation="UPDATE OR DELETE",
                            pgid="pgtrigger_allocation_source_is_permanent_eceae",
                            table="allocation_source",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="allocationsource",
                    trigger=pgtrigger.compiler.Trigger(
                        name="allocation_source_joins_no_finished_run",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="\n    IF EXISTS (\n        SELECT 1 FROM (SELECT DISTINCT run_id FROM written_rows) AS written\n        JOIN allocation_run ON allocation_run.id = written.run_id\n    ) THEN\n        RAISE EXCEPTION 'a finished allocation run takes no more rows in %', TG_TABLE_NAME\n            USING ERRCODE = 'integrity_constraint_violation';\n    END IF;\n    RETURN NULL;\n",
                            hash="f08cbd3203111d4a0420320e907a0d8a9606eb56",
                            level="STATEMENT",
                            operation="INSERT",
                            pgid="pgtrigger_allocation_source_joins_no_finished_run_092b3",
                            referencing="REFERENCING NEW TABLE AS written_rows ",
                            table="allocation_source",
                            when="AFTER",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="AllocationLine",
                    fields=[
                        ("id", models.BigAutoField(primary_key=True, serialize=False)),
                        (
                            "run",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="lines",
                                to="allocation.allocationrun",
                            ),
                        ),
                        ("number", models.PositiveIntegerField()),
                        ("bill_id", models.BigIntegerField()),
                        ("currency", models.CharField(max_length=3)),
                        ("provider", models.TextField()),
                        ("project", models.TextField(blank=True)),
                        ("day", models.DateField(blank=True, null=True)),
                        ("model", models.TextField(blank=True)),
                        ("token_class", models.TextField(blank=True)),
                        ("tier", models.TextField(blank=True)),
                        ("pool", models.TextField()),
                        ("strategy", models.TextField()),
                        ("cost_centre", models.TextField(blank=True)),
                        ("tenant", models.TextField(blank=True)),
                        ("driver_key", models.TextField(blank=True)),
                        ("basis", models.TextField()),
                        (
                            "basis_value",
                            metering.fields.ExactField(
                                blank=True, decimal_places=30, max_digits=60, null=True
                            ),
                        ),
                        (
                            "basis_total",
                            metering.fields.ExactField(
                                blank=True, decimal_places=30, max_digits=60, null=True
                            ),
                        ),
                        (
                            "weight",
                            metering.fields.ExactField(
                                blank=True, decimal_places=30, max_digits=60, null=True
                            ),
                        ),
                        ("amount", metering.fields.ExactField(decimal_places=30, max_digits=60)),
                        ("rounding_units", models.SmallIntegerField()),
                    ],
                    options={
                        "db_table": "allocation_line",
                        "ordering": ["run_id", "number"],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("run", "number"), name="line_number_once_in_a_run"
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("cost_centre", ""), ("strategy", "rounding")),
                                    models.Q(
                                        models.Q(("cost_centre", ""), _negated=True),
                                        models.Q(("strategy", "rounding"), _negated=True),
                                    ),
                                    _connector="OR",
                                ),
                                name="only_rounding_has_no_owner",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("rounding_units__range", (-1, 1))),
                                name="line_rounded_by_one_unit_at_most",
                            ),
                        ],
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="allocationline",
                    trigger=pgtrigger.compiler.Trigger(
                        name="allocation_line_is_permanent",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                            hash="d99007c3bda1efb3791f6da2f84f6cb5f74e7a50",
                            operation="UPDATE OR DELETE",
                            pgid="pgtrigger_allocation_line_is_permanent_0b602",
                            table="allocation_line",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="allocationline",
                    trigger=pgtrigger.compiler.Trigger(
                        name="allocation_line_joins_no_finished_run",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="\n    IF EXISTS (\n        SELECT 1 FROM (SELECT DISTINCT run_id FROM written_rows) AS written\n        JOIN allocation_run ON allocation_run.id = written.run_id\n    ) THEN\n        RAISE EXCEPTION 'a finished allocation run takes no more rows in %', TG_TABLE_NAME\n            USING ERRCODE = 'integrity_constraint_violation';\n    END IF;\n    RETURN NULL;\n",
                            hash="77cec38ef086ea74f28e0bf1a4473a7f9e5d629b",
                            level="STATEMENT",
                            operation="INSERT",
                            pgid="pgtrigger_allocation_line_joins_no_finished_run_940ba",
                            referencing="REFERENCING NEW TABLE AS written_rows ",
                            table="allocation_line",
                            when="AFTER",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="AllocationSettlement",
                    fields=[
                        ("id", models.BigAutoField(primary_key=True, serialize=False)),
                        (
                            "run",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="settlements",
                                to="allocation.allocationrun",
                            ),
                        ),
                        ("bill_id", models.BigIntegerField()),
                        ("currency", models.CharField(max_length=3)),
                        ("cost_centre", models.TextField()),
                        ("tenant", models.TextField(blank=True)),
                        ("exact", metering.fields.ExactField(decimal_places=30, max_digits=60)),
                        ("amount_minor", models.BigIntegerField()),
                        ("rounding_units", models.SmallIntegerField()),
                    ],
                    options={
                        "db_table": "allocation_settlement",
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("run", "bill_id", "currency", "cost_centre", "tenant"),
                                name="owner_settled_once_a_bill",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("cost_centre", ""), _negated=True),
                                name="settlement_has_an_owner",
                            ),
                        ],
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="allocationsettlement",
                    trigger=pgtrigger.compiler.Trigger(
                        name="allocation_settlement_is_permanent",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                            hash="46f8e8f1f7aac67b7bd3723a6fdbb1f522cc04c1",
                            operation="UPDATE OR DELETE",
                            pgid="pgtrigger_allocation_settlement_is_permanent_dc7d8",
                            table="allocation_settlement",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="allocationsettlement",
                    trigger=pgtrigger.compiler.Trigger(
                        name="allocation_settlement_joins_no_finished_run",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="\n    IF EXISTS (\n        SELECT 1 FROM (SELECT DISTINCT run_id FROM written_rows) AS written\n        JOIN allocation_run ON allocation_run.id = written.run_id\n    ) THEN\n        RAISE EXCEPTION 'a finished allocation run takes no more rows in %', TG_TABLE_NAME\n            USING ERRCODE = 'integrity_constraint_violation';\n    END IF;\n    RETURN NULL;\n",
                            hash="fd0e1782313be6931d4342c1aebe190032ca5ff1",
                            level="STATEMENT",
                            operation="INSERT",
                            pgid="pgtrigger_allocation_settlement_joins_no_finished_run_a7b31",
                            referencing="REFERENCING NEW TABLE AS written_rows ",
                            table="allocation_settlement",
                            when="AFTER",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="RunApproval",
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
                            "run",
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="approval",
                                to="allocation.allocationrun",
                            ),
                        ),
                        ("approved_by", models.TextField()),
                        ("approved_at", models.DateTimeField()),
                        ("outputs_digest", models.TextField()),
                    ],
                    options={
                        "db_table": "run_approval",
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(("approved_by", ""), _negated=True),
                                name="approval_is_by_somebody",
                            )
                        ],
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="runapproval",
                    trigger=pgtrigger.compiler.Trigger(
                        name="approval_is_permanent",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                            hash="1474e19b93dbf406d552da4f2ee04dd98d2ceafb",
                            operation="UPDATE OR DELETE",
                            pgid="pgtrigger_approval_is_permanent_d7c2b",
                            table="run_approval",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="runapproval",
                    trigger=pgtrigger.compiler.Trigger(
                        name="month_is_open",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            declare="DECLARE months TEXT[]; written TEXT;",
                            func="\n            IF TG_OP <> 'INSERT' THEN\n                months := months || ARRAY[(SELECT allocation_run.month FROM allocation_run WHERE allocation_run.id = OLD.run_id)];\n            END IF;\n            IF TG_OP <> 'DELETE' THEN\n                months := months || ARRAY[(SELECT allocation_run.month FROM allocation_run WHERE allocation_run.id = NEW.run_id)];\n            END IF;\n            FOREACH written IN ARRAY months LOOP\n                CONTINUE WHEN written IS NULL;\n                PERFORM pg_advisory_xact_lock_shared(\n                    1297043028, replace(written, '-', '')::integer\n                );\n                IF EXISTS (\n    SELECT 1 FROM period_close\n    WHERE period_close.month = written AND NOT EXISTS (\n        SELECT 1 FROM period_reopening WHERE period_reopening.close_id = period_close.id\n    )\n) THEN\n                    RAISE EXCEPTION '% is closed: % refuses to change', written, TG_TABLE_NAME\n                        USING ERRCODE = 'integrity_constraint_violation',\n                              HINT = 'reopen the month, or correct it in the next open one';\n                END IF;\n            END LOOP;\n            IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;\n            RETURN NEW;\n        ",
                            hash="d80d0fa0df481d0f83d434c7168a8c13dc55a754",
                            operation="INSERT OR UPDATE OR DELETE",
                            pgid="pgtrigger_month_is_open_deea9",
                            table="run_approval",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="runapproval",
                    trigger=pgtrigger.compiler.Trigger(
                        name="approver_is_not_the_author",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="\n                    IF EXISTS (\n                        SELECT 1 FROM allocation_run WHERE allocation_run.id = NEW.run_id\n                        AND (author = NEW.approved_by OR outputs_digest <> NEW.outputs_digest)\n                    ) THEN\n                        RAISE EXCEPTION 'a run is approved as it is, by another than its author'\n                            USING ERRCODE = 'integrity_constraint_violation';\n                    END IF;\n                    RETURN NEW;\n                ",
                            hash="05b60d4027e9c04fb617c16d754eec3c99d411be",
                            operation="INSERT",
                            pgid="pgtrigger_approver_is_not_the_author_ccac4",
                            table="run_approval",
                            when="BEFORE",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="Statement",
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
                            "run",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="statements",
                                to="allocation.allocationrun",
                            ),
                        ),
                        ("cost_centre", models.TextField()),
                        ("currency", models.CharField(max_length=3)),
                        ("mode", models.TextField()),
                        ("name", models.TextField()),
                        ("responsible", models.TextField(blank=True)),
                        ("exact", metering.fields.ExactField(decimal_places=30, max_digits=60)),
                        ("amount_minor", models.BigIntegerField()),
                        ("events", models.BigIntegerField()),
                        ("events_digest", models.TextField()),
                        ("digest", models.TextField()),
                        ("issued_at", models.DateTimeField()),
                    ],
                    options={
                        "db_table": "statement",
                        "ordering": ["run_id", "cost_centre", "currency"],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("run", "cost_centre", "currency"),
                                name="one_statement_a_cost_centre",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("mode__in", ["showback", "chargeback"])),
                                name="statement_mode_known",
                            ),
                        ],
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="statement",
                    trigger=pgtrigger.compiler.Trigger(
                        name="statement_is_permanent",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                            hash="d1b52c62248b436154f225875f052ae8960c8a8e",
                            operation="UPDATE OR DELETE",
                            pgid="pgtrigger_statement_is_permanent_94935",
                            table="statement",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="statement",
                    trigger=pgtrigger.compiler.Trigger(
                        name="month_is_open",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            declare="DECLARE months TEXT[]; written TEXT;",
                            func="\n            IF TG_OP <> 'INSERT' THEN\n                months := months || ARRAY[(SELECT allocation_run.month FROM allocation_run WHERE allocation_run.id = OLD.run_id)];\n            END IF;\n            IF TG_OP <> 'DELETE' THEN\n                months := months || ARRAY[(SELECT allocation_run.month FROM allocation_run WHERE allocation_run.id = NEW.run_id)];\n            END IF;\n            FOREACH written IN ARRAY months LOOP\n                CONTINUE WHEN written IS NULL;\n                PERFORM pg_advisory_xact_lock_shared(\n                    1297043028, replace(written, '-', '')::integer\n                );\n                IF EXISTS (\n    SELECT 1 FROM period_close\n    WHERE period_close.month = written AND NOT EXISTS (\n        SELECT 1 FROM period_reopening WHERE period_reopening.close_id = period_close.id\n    )\n) THEN\n                    RAISE EXCEPTION '% is closed: % refuses to change', written, TG_TABLE_NAME\n                        USING ERRCODE = 'integrity_constraint_violation',\n                              HINT = 'reopen the month, or correct it in the next open one';\n                END IF;\n            END LOOP;\n            IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;\n            RETURN NEW;\n        ",
                            hash="039001c5ec3b23ca122e035954fb6b3343e23b71",
                            operation="INSERT OR UPDATE OR DELETE",
                            pgid="pgtrigger_month_is_open_67ac6",
                            table="statement",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="statement",
                    trigger=pgtrigger.compiler.Trigger(
                        name="statement_is_what_was_settled",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="\n                    IF NOT EXISTS (\n                        SELECT 1 FROM allocation_settlement\n                        WHERE run_id = NEW.run_id AND cost_centre = NEW.cost_centre\n                          AND currency = NEW.currency\n                        HAVING sum(amount_minor) = NEW.amount_minor AND sum(exact) = NEW.exact\n                    ) THEN\n                        RAISE EXCEPTION 'the statement of % is not what the run settled',\n                            NEW.cost_centre\n                            USING ERRCODE = 'integrity_constraint_violation';\n                    END IF;\n                    RETURN NEW;\n                ",
                            hash="beac85bd102de5cb8c68586657ec6cb47a78f074",
                            operation="INSERT",
                            pgid="pgtrigger_statement_is_what_was_settled_e6bb0",
                            table="statement",
                            when="BEFORE",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="PeriodClose",
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
                        ("sequence", models.PositiveSmallIntegerField()),
                        (
                            "run",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="closes",
                                to="allocation.allocationrun",
                            ),
                        ),
                        ("prepared_by", models.TextField()),
                        ("approved_by", models.TextField()),
                        ("closed_by", models.TextField()),
                        ("closed_at", models.DateTimeField()),
                        ("run_digest", models.TextField()),
                        ("inputs_digest", models.TextField()),
                        ("usage_digest", models.TextField()),
                        ("totals", models.JSONField()),
                        ("answers", models.JSONField()),
                        ("seals", models.JSONField(default=dict)),
                    ],
                    options={
                        "db_table": "period_close",
                        "ordering": ["month", "sequence"],
                        "permissions": [
                            ("close_period", "Can close a month"),
                            ("reopen_period", "Can reopen a month that another person closed"),
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("month", "sequence"), name="close_number_once_a_month"
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("approved_by", models.F("prepared_by")), _negated=True
                                ),
                                name="close_has_two_signatures",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("closed_by", ""), _negated=True),
                                    models.Q(("approved_by", ""), _negated=True),
                                ),
                                name="close_is_by_somebody",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("prepared_by", ""), _negated=True),
                                    models.Q(("closed_by", models.F("approved_by")), _negated=True),
                                    _connector="OR",
                                ),
                                name="close_without_an_author_is_by_another",
                            ),
                        ],
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="periodclose",
                    trigger=pgtrigger.compiler.Trigger(
                        name="close_is_permanent",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                            hash="a7821d020f9d1d42be79f8356a6a775951cf9c5e",
                            operation="UPDATE OR DELETE",
                            pgid="pgtrigger_close_is_permanent_63d9b",
                            table="period_close",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="periodclose",
                    trigger=pgtrigger.compiler.Trigger(
                        name="only_an_open_month_closes",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            declare="DECLARE closes INTEGER;",
                            func="\n                    PERFORM pg_advisory_xact_lock(\n                        1297043028, replace(NEW.month, '-', '')::integer\n                    );\n                    IF EXISTS (\n    SELECT 1 FROM period_close\n    WHERE period_close.month = NEW.month AND NOT EXISTS (\n        SELECT 1 FROM period_reopening WHERE period_reopening.close_id = period_close.id\n    )\n) THEN\n                        RAISE EXCEPTION '% is closed already', NEW.month\n                            USING ERRCODE = 'integrity_constraint_violation';\n                    END IF;\n                    SELECT count(*) INTO closes FROM period_close WHERE month = NEW.month;\n                    IF NEW.sequence <> closes + 1 THEN\n                        RAISE EXCEPTION 'this is close % of %', closes + 1, NEW.month\n                            USING ERRCODE = 'integrity_constraint_violation';\n                    END IF;\n                    IF NOT EXISTS (\n                        SELECT 1 FROM allocation_run\n                        JOIN run_approval ON run_approval.run_id = allocation_run.id\n                        WHERE allocation_run.id = NEW.run_id AND allocation_run.month = NEW.month\n                          AND allocation_run.state = 'closed'\n                          AND allocation_run.author = NEW.prepared_by\n                          AND allocation_run.outputs_digest = NEW.run_digest\n                          AND run_approval.approved_by = NEW.approved_by\n                    ) THEN\n                        RAISE EXCEPTION '% closes on an approved run of its own', NEW.month\n                            USING ERRCODE = 'integrity_constraint_violation';\n                    END IF;\n                    RETURN NEW;\n                ",
                            hash="a95cf5cde0c6bdb7b2fbf639250a18ad1d1a50eb",
                            operation="INSERT",
                            pgid="pgtrigger_only_an_open_month_closes_44cd8",
                            table="period_close",
                            when="BEFORE",
                        ),
                    ),
                ),
                migrations.CreateModel(
                    name="PeriodReopening",
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
                            "close",
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="reopening",
                                to="allocation.periodclose",
                            ),
                        ),
                        ("reason", models.TextField()),
                        ("reopened_by", models.TextField()),
                        ("reopened_at", models.DateTimeField()),
                    ],
                    options={
                        "db_table": "period_reopening",
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(("reason__regex", "\\S")),
                                name="reopening_has_a_reason",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("reopened_by", ""), _negated=True),
                                name="reopening_is_by_somebody",
                            ),
                        ],
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="periodreopening",
                    trigger=pgtrigger.compiler.Trigger(
                        name="reopening_is_permanent",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                            hash="f77ae97307e014c68756a580e8aff219c6da8cbb",
                            operation="UPDATE OR DELETE",
                            pgid="pgtrigger_reopening_is_permanent_2e565",
                            table="period_reopening",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="periodreopening",
                    trigger=pgtrigger.compiler.Trigger(
                        name="reopened_by_a_second_person",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            declare="DECLARE closed period_close;",
                            func="\n                    SELECT * INTO closed FROM period_close WHERE id = NEW.close_id;\n                    IF closed.closed_by = NEW.reopened_by THEN\n                        RAISE EXCEPTION '% was closed by %: another person reopens it',\n                            closed.month, closed.closed_by\n                            USING ERRCODE = 'integrity_constraint_violation';\n                    END IF;\n                    PERFORM pg_advisory_xact_lock(\n                        1297043028, replace(closed.month, '-', '')::integer\n                    );\n                    RETURN NEW;\n                ",
                            hash="152a16d7288fae10ba505192f1351203d6d36b58",
                            operation="INSERT",
                            pgid="pgtrigger_reopened_by_a_second_person_ba05b",
                            table="period_reopening",
                            when="BEFORE",
                        ),
                    ),
                ),
            ]
        ),
    ]
