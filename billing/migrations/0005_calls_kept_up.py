"""A schedule for calls that are told in reports."""

from django.db import migrations

NAME = "keep up calls"
DESCRIPTION = (
    "Ends calls of which nothing was told for a day, makes what waited for a reopened month, and"
    " forgets what is old of traces."
)


def make(apps, schema_editor):
    alias = schema_editor.connection.alias
    interval = (
        apps.get_model("django_celery_beat", "IntervalSchedule")
        .objects.using(alias)
        .create(every=60, period="minutes")
    )
    apps.get_model("django_celery_beat", "PeriodicTask").objects.using(alias).get_or_create(
        name=NAME,
        defaults={
            "task": "metering.keep_up_calls",
            "interval": interval,
            "description": DESCRIPTION,
        },
    )


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0004_schedules"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
