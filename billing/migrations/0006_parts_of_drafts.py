import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0005_history"),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name="invoiceline",
            name="line_of_a_draft",
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
    ]
