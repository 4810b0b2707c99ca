"""A trace that is told as a whole is kept in its own row, as it was told."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("metering", "0011_budgets")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE call_trace ADD COLUMN told bytea",
            "ALTER TABLE call_trace DROP COLUMN told",
        ),
    ]
