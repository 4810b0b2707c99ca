"""Every night a month is proved anew from its raw events; when, is edited in the admin."""

from django.db import migrations


def make(apps, schema_editor):
    alias = schema_editor.connection.alias
    crontab_model = apps.get_model("django_celery_beat", "CrontabSchedule")
    task_model = apps.get_model("django_celery_beat", "PeriodicTask")
    crontab = crontab_model.objects.using(alias).create(timezone="UTC", hour="2", minute="30")
    task_model.objects.using(alias).get_or_create(
        name="verify by night",
        defaults={
            "task": "billing.start_verification",
            "crontab": crontab,
            "description": "Computes this month and the one before again from the raw events, and"
            " adds up some days' request rows one by one. What does not hold stands on the start"
            " page.",
        },
    )


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0005_calls_kept_up"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
