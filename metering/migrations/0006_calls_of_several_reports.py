"""What is known of traces and of calls that several routes report; what came too late.

The tables of traces and identities are bounded: schedules delete what has grown old. Theirs is no
record of what counts (that is events and dispositions), only what later reports are joined with.
"""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


CALLS = """
CREATE TABLE call_trace (
    trace      uuid PRIMARY KEY,
    source     text NOT NULL,
    tenant     text NOT NULL,
    trace_id   text NOT NULL,
    changed_at timestamptz NOT NULL
);
CREATE INDEX call_trace_changed ON call_trace (changed_at);

CREATE TABLE call_span (
    trace       uuid NOT NULL,
    span_id     text NOT NULL,
    known       json NOT NULL,
    place       text NOT NULL
        CHECK (place IN ('counted', 'silent', 'waiting', 'refused', 'held')),
    reason      text NOT NULL,
    event_key   uuid,
    occurred_at timestamptz,
    version     integer NOT NULL,
    content     bytea NOT NULL,
    changed_at  timestamptz NOT NULL,
    CHECK ((event_key IS NULL) = (occurred_at IS NULL)),
    PRIMARY KEY (trace, span_id)
);
CREATE INDEX call_span_open ON call_span (changed_at)
    WHERE place IN ('waiting', 'refused', 'held');

CREATE TABLE call_identity (
    identity uuid PRIMARY KEY,
    members  text[] NOT NULL,
    noted_on date NOT NULL
);
CREATE INDEX call_identity_noted ON call_identity USING brin (noted_on);

CREATE INDEX event_disposition_by ON event_disposition (superseded_by)
    WHERE superseded_by IS NOT NULL;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0005_history"),
    ]

    operations = [
        migrations.RunSQL(
            CALLS,
            "DROP INDEX event_disposition_by; DROP TABLE call_identity, call_span, call_trace",
        ),
        migrations.CreateModel(
            name="LateArrival",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("month", models.TextField()),
                (
                    "kind",
                    models.TextField(
                        choices=[
                            ("arrived", "arrived: usage that the closed numbers are without"),
                            ("held", "held: a change of closed usage that was not made"),
                        ]
                    ),
                ),
                ("event_key", models.UUIDField()),
                ("occurred_at", models.DateTimeField()),
                ("received_at", models.DateTimeField()),
                ("source", models.TextField()),
                ("reason", models.TextField()),
            ],
            options={
                "db_table": "late_arrival",
                "ordering": ["-received_at", "-id"],
            },
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="source",
            name="insert_insert",
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="source",
            name="update_update",
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="source",
            name="delete_delete",
        ),
        migrations.AddField(
            model_name="source",
            name="role",
            field=models.TextField(
                blank=True,
                choices=[
                    ("application", "an application: it knows whom a call is for"),
                    ("meter", "an SDK or a gateway: it knows what a call used"),
                ],
                default="",
                help_text="what is believed of it first where another source reports the same call; empty: as the reports themselves show",
            ),
        ),
        migrations.AddField(
            model_name="sourcehistory",
            name="role",
            field=models.TextField(
                blank=True,
                choices=[
                    ("application", "an application: it knows whom a call is for"),
                    ("meter", "an SDK or a gateway: it knows what a call used"),
                ],
                default="",
                help_text="what is believed of it first where another source reports the same call; empty: as the reports themselves show",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="source",
            trigger=pgtrigger.compiler.Trigger(
                name="insert_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "source_history" ("identifiers_hashed", "key", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "provider_project", "role") VALUES (NEW."identifiers_hashed", NEW."key", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'insert\', NEW."key", NEW."provider_project", NEW."role"); RETURN NULL;',
                    hash="d1da9e8925c642294d3302568343f1abfc0eba64",
                    operation="INSERT",
                    pgid="pgtrigger_insert_insert_9e3bb",
                    table="source",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="source",
            trigger=pgtrigger.compiler.Trigger(
                name="update_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."identifiers_hashed" IS DISTINCT FROM (NEW."identifiers_hashed") OR OLD."provider_project" IS DISTINCT FROM (NEW."provider_project") OR OLD."role" IS DISTINCT FROM (NEW."role"))',
                    func='INSERT INTO "source_history" ("identifiers_hashed", "key", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "provider_project", "role") VALUES (NEW."identifiers_hashed", NEW."key", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'update\', NEW."key", NEW."provider_project", NEW."role"); RETURN NULL;',
                    hash="bd936325298ba9bd58af0ffc8014e4c251321fea",
                    operation="UPDATE",
                    pgid="pgtrigger_update_update_e7e5c",
                    table="source",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="source",
            trigger=pgtrigger.compiler.Trigger(
                name="delete_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "source_history" ("identifiers_hashed", "key", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "provider_project", "role") VALUES (OLD."identifiers_hashed", OLD."key", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'delete\', OLD."key", OLD."provider_project", OLD."role"); RETURN NULL;',
                    hash="a7f00b06334373dc831e1345c55ca350c8a84ec0",
                    operation="DELETE",
                    pgid="pgtrigger_delete_delete_24b57",
                    table="source",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddConstraint(
            model_name="source",
            constraint=models.CheckConstraint(
                condition=models.Q(("role__in", ["", "application", "meter"])),
                name="source_role_known",
            ),
        ),
        migrations.AddIndex(
            model_name="latearrival",
            index=models.Index(fields=["month", "received_at"], name="late_arrival_month"),
        ),
        migrations.AddConstraint(
            model_name="latearrival",
            constraint=models.UniqueConstraint(
                fields=("event_key", "kind"), name="late_arrival_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="latearrival",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["arrived", "held"])),
                name="late_arrival_kind_known",
            ),
        ),
    ]
