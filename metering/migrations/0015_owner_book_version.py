"""Which transaction changed owners or mappings last, so that a remembered book is seen to be old."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0014_history"),
    ]

    operations = [
        migrations.RunSQL(
            """
            CREATE TABLE owner_book_version (
                only_one   boolean PRIMARY KEY DEFAULT true CHECK (only_one),
                changed_by xid8 NOT NULL
            );
            INSERT INTO owner_book_version (changed_by) VALUES (pg_current_xact_id());
            """,
            "DROP TABLE owner_book_version",
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
    ]
