"""The schedules that an installation begins with. From then on they are edited in the admin."""

from django.db import migrations

EVERY = [
    ("sweep work", "metering.sweep_work", 1, "Sends word again of work that nobody has heard of."),
    ("fold rollups", "metering.fold_rollups", 2, "Folds what ingestion appended to the rollups."),
    (
        "apply Stripe's events",
        "billing.apply_stripe_events",
        5,
        "Applies Stripe's webhooks that were kept and not applied yet.",
    ),
    (
        "keep up calls",
        "metering.keep_up_calls",
        60,
        (
            "Ends calls of which nothing was told for a day, makes what waited for a reopened month,"
            " and forgets what is old of traces."
        ),
    ),
]
AT = [
    (
        "make partitions",
        "metering.make_partitions",
        {"hour": "0", "minute": "20"},
        "Makes the partitions of the coming days.",
    ),
    (
        "run the month",
        "billing.start_month",
        {"hour": "6", "minute": "0", "day_of_month": "2-8"},
        (
            "Reconciles and allocates the month before, waits for people to approve and close it, then"
            " drafts invoices. Each of these days begins it anew, with the bills that have come since,"
            ' until it is done. By another rule than the one in use: {"rule": "name"}.'
        ),
    ),
    (
        "verify by night",
        "billing.start_verification",
        {"hour": "2", "minute": "30"},
        (
            "Computes this month and the one before again from the raw events, and adds up some"
            " days' request rows one by one. What does not hold stands on the start page."
        ),
    ),
]


def make(apps, schema_editor):
    interval_model = apps.get_model("django_celery_beat", "IntervalSchedule")
    crontab_model = apps.get_model("django_celery_beat", "CrontabSchedule")
    task_model = apps.get_model("django_celery_beat", "PeriodicTask")
    alias = schema_editor.connection.alias
    for name, task, minutes, description in EVERY:
        interval = interval_model.objects.using(alias).create(every=minutes, period="minutes")
        task_model.objects.using(alias).get_or_create(
            name=name, defaults={"task": task, "interval": interval, "description": description}
        )
    for name, task, moments, description in AT:
        crontab = crontab_model.objects.using(alias).create(timezone="UTC", **moments)
        task_model.objects.using(alias).get_or_create(
            name=name, defaults={"task": task, "crontab": crontab, "description": description}
        )


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0003_history"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
