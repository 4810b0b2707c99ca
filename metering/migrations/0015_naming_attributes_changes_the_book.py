"""How a source names things is part of what its records are read by: a change of it is a change of
the owners' book, so that whoever reads from memory is told."""

from __future__ import annotations

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0014_one_index_of_revisions"),
    ]

    operations = [
        pgtrigger.migrations.AddTrigger(
            model_name="attributename",
            trigger=pgtrigger.compiler.Trigger(
                name="owner_book_changes",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n            UPDATE owner_book_version SET changed_by = pg_current_xact_id()\n            WHERE changed_by <> pg_current_xact_id();\n            RETURN NULL;\n        ",
                    hash="4fb9bc59132039c9efca89b458e50994617d1faa",
                    level="STATEMENT",
                    operation="INSERT OR UPDATE OR DELETE",
                    pgid="pgtrigger_owner_book_changes_b5613",
                    table="attribute_name",
                    when="AFTER",
                ),
            ),
        ),
    ]
