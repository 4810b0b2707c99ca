"""Webhooks that were kept and could not be applied at once are applied by a schedule."""

from django.db import migrations


def make(apps, schema_editor):
    alias = schema_editor.connection.alias
    interval_model = apps.get_model("django_celery_beat", "IntervalSchedule")
    task_model = apps.get_model("django_celery_beat", "PeriodicTask")
    interval = interval_model.objects.using(alias).create(every=5, period="minutes")
    task_model.objects.using(alias).get_or_create(
        name="apply Stripe's events",
        defaults={
            "task": "billing.apply_stripe_events",
            "interval": interval,
            "description": "Applies Stripe's webhooks that were kept and not applied yet.",
        },
    )


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0006_parts_of_drafts"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
