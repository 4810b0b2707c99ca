from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0001_plans_and_invoices"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="invoice",
            options={
                "permissions": [
                    ("approve_invoice", "Can approve another person's draft"),
                    ("push_invoice", "Can send an approved invoice to Stripe"),
                ]
            },
        ),
    ]
