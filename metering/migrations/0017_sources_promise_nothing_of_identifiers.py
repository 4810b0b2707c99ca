"""That a source's identifiers are hashed already was kept and changed nothing: whatever names a user is
looked up through a keyed hash, a hash too."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0016_prices_of_known_units"),
    ]

    operations = [
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
        migrations.RemoveField(
            model_name="source",
            name="identifiers_hashed",
        ),
        migrations.RemoveField(
            model_name="sourcehistory",
            name="identifiers_hashed",
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="source",
            trigger=pgtrigger.compiler.Trigger(
                name="insert_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "source_history" ("key", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "provider_project", "role") VALUES (NEW."key", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'insert\', NEW."key", NEW."provider_project", NEW."role"); RETURN NULL;',
                    hash="40573462bbe35215cc32c97bf839a280e38eddf0",
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
                    condition='WHEN (OLD."provider_project" IS DISTINCT FROM (NEW."provider_project") OR OLD."role" IS DISTINCT FROM (NEW."role"))',
                    func='INSERT INTO "source_history" ("key", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "provider_project", "role") VALUES (NEW."key", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'update\', NEW."key", NEW."provider_project", NEW."role"); RETURN NULL;',
                    hash="26e7869c787b98c8a789a40d5ea6debc630b4905",
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
                    func='INSERT INTO "source_history" ("key", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "provider_project", "role") VALUES (OLD."key", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'delete\', OLD."key", OLD."provider_project", OLD."role"); RETURN NULL;',
                    hash="ab2a32ac7f8427cbe5f8b7893a0cf1f666b6b342",
                    operation="DELETE",
                    pgid="pgtrigger_delete_delete_24b57",
                    table="source",
                    when="AFTER",
                ),
            ),
        ),
    ]
