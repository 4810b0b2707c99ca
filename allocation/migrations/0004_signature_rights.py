from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("allocation", "0003_bills_and_reconciliations"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="allocationrun",
            options={
                "ordering": ["month", "number"],
                "permissions": [("approve_allocationrun", "Can approve another person's run")],
            },
        ),
        migrations.AlterModelOptions(
            name="periodclose",
            options={
                "ordering": ["month", "sequence"],
                "permissions": [
                    ("close_period", "Can close a month"),
                    ("reopen_period", "Can reopen a month that another person closed"),
                ],
            },
        ),
    ]
