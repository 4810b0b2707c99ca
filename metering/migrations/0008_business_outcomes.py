"""What calls were made for, once it came about: told once each, append-only."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0007_commitments"),
    ]

    operations = [
        migrations.CreateModel(
            name="BusinessOutcome",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("source", models.TextField()),
                ("outcome_id", models.TextField()),
                (
                    "kind",
                    models.TextField(help_text="the sender's word for it, like ticket_resolved"),
                ),
                ("quantity", models.DecimalField(decimal_places=9, max_digits=22)),
                ("occurred_at", models.DateTimeField()),
                (
                    "time_reported",
                    models.BooleanField(help_text="false: the time is that of its receipt"),
                ),
                ("received_at", models.DateTimeField()),
                ("tenant", models.TextField(blank=True, default="")),
                ("endpoint_tag", models.TextField(blank=True, default="")),
                ("prompt_version", models.TextField(blank=True, default="")),
                ("workflow", models.TextField(blank=True, default="")),
                ("external_request_id", models.TextField(blank=True, default="")),
                ("trace_id", models.TextField(blank=True, default="")),
                (
                    "cost_centre",
                    models.TextField(blank=True, default="", help_text="as it was named"),
                ),
                ("data_mode", models.TextField()),
                ("environment", models.TextField()),
                ("tags", models.JSONField(default=dict)),
                ("content_digest", models.BinaryField()),
            ],
            options={
                "db_table": "business_outcome",
                "ordering": ["-occurred_at", "-id"],
                "indexes": [
                    models.Index(fields=["kind", "occurred_at"], name="business_outcome_kind"),
                    models.Index(fields=["tenant", "occurred_at"], name="business_outcome_tenant"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("source", "outcome_id"), name="business_outcome_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("quantity__gt", 0)),
                        name="business_outcome_of_some_quantity",
                    ),
                ],
            },
        ),
    ]
