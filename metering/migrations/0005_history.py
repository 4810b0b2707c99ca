"""A history beside each table that can move money, written by triggers (`metering.recording`)."""

import django.contrib.auth.models
import django.contrib.auth.validators
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import django_celery_beat.models
import django_celery_beat.validators
import pghistory.utils
import pgtrigger.compiler
import pgtrigger.migrations
import timezone_field.fields
from django.conf import settings
from django.db import migrations, models

from config.schema_operations import AtOnce


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0004_keys_and_work"),
    ]

    operations = [
        AtOnce(
            [
                migrations.CreateModel(
                    name="Person",
                    fields=[],
                    options={
                        "proxy": True,
                        "default_permissions": (),
                    },
                    bases=("auth.user",),
                    managers=[
                        ("objects", django.contrib.auth.models.UserManager()),
                    ],
                ),
                migrations.CreateModel(
                    name="RoleGroup",
                    fields=[],
                    options={
                        "proxy": True,
                        "default_permissions": (),
                    },
                    bases=("auth.group",),
                    managers=[
                        ("objects", django.contrib.auth.models.GroupManager()),
                    ],
                ),
                migrations.CreateModel(
                    name="PersonRole",
                    fields=[],
                    options={
                        "proxy": True,
                        "default_permissions": (),
                    },
                    bases=("auth.user_groups",),
                ),
                migrations.CreateModel(
                    name="PersonRight",
                    fields=[],
                    options={
                        "proxy": True,
                        "default_permissions": (),
                    },
                    bases=("auth.user_user_permissions",),
                ),
                migrations.CreateModel(
                    name="RoleRight",
                    fields=[],
                    options={
                        "proxy": True,
                        "default_permissions": (),
                    },
                    bases=("auth.group_permissions",),
                ),
                migrations.CreateModel(
                    name="Schedule",
                    fields=[],
                    options={
                        "proxy": True,
                        "default_permissions": (),
                    },
                    bases=("django_celery_beat.periodictask",),
                ),
                migrations.CreateModel(
                    name="Crontab",
                    fields=[],
                    options={
                        "proxy": True,
                        "default_permissions": (),
                    },
                    bases=("django_celery_beat.crontabschedule",),
                ),
                migrations.CreateModel(
                    name="Interval",
                    fields=[],
                    options={
                        "proxy": True,
                        "default_permissions": (),
                    },
                    bases=("django_celery_beat.intervalschedule",),
                ),
                migrations.CreateModel(
                    name="CostCentreHistory",
                    fields=[
                        ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                        ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                        ("pgh_label", models.TextField(help_text="The event label.")),
                        (
                            "pgh_obj",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="history",
                                to="metering.costcentre",
                            ),
                        ),
                        ("pgh_context", pghistory.utils.JSONField(null=True)),
                        ("pgh_context_id", models.UUIDField(null=True)),
                        ("code", models.TextField(serialize=False)),
                        ("name", models.TextField()),
                        ("responsible", models.TextField()),
                        ("team", models.TextField(blank=True, default="")),
                        (
                            "mode",
                            models.TextField(
                                choices=[
                                    ("showback", "showback: sees its cost"),
                                    ("chargeback", "chargeback: owes its cost"),
                                ],
                                default="showback",
                            ),
                        ),
                    ],
                    options={
                        "db_table": "cost_centre_history",
                        "abstract": False,
                        "default_permissions": (),
                    },
                ),
                migrations.CreateModel(
                    name="OwnerMappingHistory",
                    fields=[
                        ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                        ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                        ("pgh_label", models.TextField(help_text="The event label.")),
                        (
                            "pgh_obj",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="history",
                                to="metering.ownermapping",
                            ),
                        ),
                        ("pgh_context", pghistory.utils.JSONField(null=True)),
                        ("pgh_context_id", models.UUIDField(null=True)),
                        ("id", models.BigIntegerField()),
                        ("kind", models.TextField()),
                        ("key", models.TextField()),
                        ("valid_from", models.DateTimeField(blank=True, null=True)),
                        ("valid_to", models.DateTimeField(blank=True, null=True)),
                        ("reason", models.TextField(blank=True, default="")),
                        ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                        (
                            "cost_centre",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                related_query_name="+",
                                to="metering.costcentre",
                            ),
                        ),
                    ],
                    options={
                        "db_table": "owner_mapping_history",
                        "abstract": False,
                        "default_permissions": (),
                    },
                ),
                migrations.CreateModel(
                    name="ProviderHistory",
                    fields=[
                        ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                        ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                        ("pgh_label", models.TextField(help_text="The event label.")),
                        (
                            "pgh_obj",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="history",
                                to="metering.provider",
                            ),
                        ),
                        ("pgh_context", pghistory.utils.JSONField(null=True)),
                        ("pgh_context_id", models.UUIDField(null=True)),
                        ("key", models.TextField(serialize=False)),
                        ("name", models.TextField(blank=True, default="")),
                    ],
                    options={
                        "db_table": "provider_history",
                        "abstract": False,
                        "default_permissions": (),
                    },
                ),
                migrations.CreateModel(
                    name="ServiceAccountHistory",
                    fields=[
                        ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                        ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                        ("pgh_label", models.TextField(help_text="The event label.")),
                        (
                            "pgh_obj",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="history",
                                to="metering.serviceaccount",
                            ),
                        ),
                        ("pgh_context", pghistory.utils.JSONField(null=True)),
                        ("pgh_context_id", models.UUIDField(null=True)),
                        ("pseudonym", models.UUIDField(serialize=False)),
                        ("name", models.TextField()),
                    ],
                    options={
                        "db_table": "service_account_history",
                        "abstract": False,
                        "default_permissions": (),
                    },
                ),
                migrations.CreateModel(
                    name="SourceHistory",
                    fields=[
                        ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                        ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                        ("pgh_label", models.TextField(help_text="The event label.")),
                        (
                            "pgh_obj",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="history",
                                to="metering.source",
                            ),
                        ),
                        ("pgh_context", pghistory.utils.JSONField(null=True)),
                        ("pgh_context_id", models.UUIDField(null=True)),
                        ("key", models.TextField(serialize=False)),
                        (
                            "provider_project",
                            models.TextField(
                                blank=True,
                                default="",
                                help_text="the provider's project its calls are billed under, where events do not say",
                            ),
                        ),
                        (
                            "identifiers_hashed",
                            models.BooleanField(
                                default=False,
                                help_text="the source sends user identifiers that are already hashed",
                            ),
                        ),
                    ],
                    options={
                        "db_table": "source_history",
                        "abstract": False,
                        "default_permissions": (),
                    },
                ),
                migrations.CreateModel(
                    name="TenantHistory",
                    fields=[
                        ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                        ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                        ("pgh_label", models.TextField(help_text="The event label.")),
                        (
                            "pgh_obj",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="history",
                                to="metering.tenant",
                            ),
                        ),
                        ("pgh_context", pghistory.utils.JSONField(null=True)),
                        ("pgh_context_id", models.UUIDField(null=True)),
                        ("key", models.TextField(serialize=False)),
                        ("name", models.TextField(blank=True, default="")),
                        ("time_zone", models.TextField(default="UTC")),
                        ("registered_at", models.DateTimeField(default=django.utils.timezone.now)),
                    ],
                    options={
                        "db_table": "tenant_history",
                        "abstract": False,
                        "default_permissions": (),
                    },
                ),
                migrations.CreateModel(
                    name="TenantMappingHistory",
                    fields=[
                        ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                        ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                        ("pgh_label", models.TextField(help_text="The event label.")),
                        (
                            "pgh_obj",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="history",
                                to="metering.tenantmapping",
                            ),
                        ),
                        ("pgh_context", pghistory.utils.JSONField(null=True)),
                        ("pgh_context_id", models.UUIDField(null=True)),
                        ("id", models.BigIntegerField()),
                        ("kind", models.TextField()),
                        ("key", models.TextField()),
                        ("valid_from", models.DateTimeField(blank=True, null=True)),
                        ("valid_to", models.DateTimeField(blank=True, null=True)),
                        ("reason", models.TextField(blank=True, default="")),
                        ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                        (
                            "tenant",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                related_query_name="+",
                                to="metering.tenant",
                            ),
                        ),
                    ],
                    options={
                        "db_table": "tenant_mapping_history",
                        "abstract": False,
                        "default_permissions": (),
                    },
                ),
                migrations.CreateModel(
                    name="ApiKeyHistory",
                    fields=[
                        ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                        ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                        ("pgh_label", models.TextField(help_text="The event label.")),
                        (
                            "pgh_obj",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="history",
                                to="metering.apikey",
                            ),
                        ),
                        ("pgh_context", pghistory.utils.JSONField(null=True)),
                        ("pgh_context_id", models.UUIDField(null=True)),
                        ("id", models.TextField(serialize=False)),
                        ("name", models.TextField()),
                        (
                            "scope",
                            models.TextField(
                                choices=[
                                    ("ingest", "ingest: sends usage of one source"),
                                    ("gateway", "gateway: calls models through the gateway"),
                                    (
                                        "finance",
                                        "finance: reads the company's costs, runs and invoices",
                                    ),
                                    ("portal", "portal: reads what one tenant used and owes"),
                                ]
                            ),
                        ),
                        (
                            "tenant",
                            models.ForeignKey(
                                blank=True,
                                db_constraint=False,
                                help_text="the only tenant that the key sends or reads for; none: any",
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                related_query_name="+",
                                to="metering.tenant",
                            ),
                        ),
                        (
                            "source",
                            models.ForeignKey(
                                blank=True,
                                db_constraint=False,
                                help_text="the source that the key's events are booked under",
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                related_query_name="+",
                                to="metering.source",
                            ),
                        ),
                        ("created_at", models.DateTimeField()),
                        ("created_by", models.TextField(blank=True, default="")),
                        ("expires_at", models.DateTimeField(blank=True, null=True)),
                        ("revoked_at", models.DateTimeField(blank=True, null=True)),
                        ("revoked_by", models.TextField(blank=True, default="")),
                    ],
                    options={
                        "db_table": "api_key_history",
                        "abstract": False,
                        "default_permissions": (),
                    },
                ),
                migrations.CreateModel(
                    name="PriceListImportHistory",
                    fields=[
                        ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                        ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                        ("pgh_label", models.TextField(help_text="The event label.")),
                        (
                            "pgh_obj",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="history",
                                to="metering.pricelistimport",
                            ),
                        ),
                        ("pgh_context", pghistory.utils.JSONField(null=True)),
                        ("pgh_context_id", models.UUIDField(null=True)),
                        ("id", models.BigIntegerField()),
                        (
                            "book",
                            models.TextField(
                                help_text="the list's name: genai-prices, contract:acme"
                            ),
                        ),
                        (
                            "source",
                            models.TextField(
                                help_text="the list and its version, genai-prices 0.2.3"
                            ),
                        ),
                        ("digest", models.TextField()),
                        ("effective_at", models.DateTimeField()),
                        ("imported_at", models.DateTimeField(default=django.utils.timezone.now)),
                    ],
                    options={
                        "db_table": "price_list_import_history",
                        "abstract": False,
                        "default_permissions": (),
                    },
                ),
                migrations.CreateModel(
                    name="PriceRowHistory",
                    fields=[
                        ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                        ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                        ("pgh_label", models.TextField(help_text="The event label.")),
                        (
                            "pgh_obj",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="history",
                                to="metering.pricerow",
                            ),
                        ),
                        ("pgh_context", pghistory.utils.JSONField(null=True)),
                        ("pgh_context_id", models.UUIDField(null=True)),
                        ("id", models.BigIntegerField()),
                        ("book", models.TextField()),
                        ("provider", models.TextField()),
                        ("model_id", models.TextField()),
                        ("conditions_digest", models.TextField()),
                        ("currency", models.TextField()),
                        ("rank", models.IntegerField()),
                        ("content_digest", models.TextField()),
                        ("valid_from", models.DateTimeField(null=True)),
                        ("valid_to", models.DateTimeField(null=True)),
                        (
                            "opened_by",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                related_query_name="+",
                                to="metering.pricelistimport",
                            ),
                        ),
                    ],
                    options={
                        "db_table": "price_row_history",
                        "abstract": False,
                        "default_permissions": (),
                    },
                ),
                migrations.CreateModel(
                    name="SealHistory",
                    fields=[
                        ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                        ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                        ("pgh_label", models.TextField(help_text="The event label.")),
                        (
                            "pgh_obj",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="history",
                                to="metering.seal",
                            ),
                        ),
                        ("pgh_context", pghistory.utils.JSONField(null=True)),
                        ("pgh_context_id", models.UUIDField(null=True)),
                        ("id", models.BigIntegerField()),
                        ("book", models.TextField()),
                        ("month", models.TextField()),
                        ("sequence", models.PositiveIntegerField()),
                        ("events", models.BigIntegerField()),
                        ("root", models.TextField()),
                        ("previous_root", models.TextField(blank=True, default="")),
                        ("sealed_at", models.DateTimeField()),
                    ],
                    options={
                        "db_table": "seal_history",
                        "abstract": False,
                        "default_permissions": (),
                    },
                ),
                migrations.CreateModel(
                    name="PersonHistory",
                    fields=[
                        ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                        ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                        ("pgh_label", models.TextField(help_text="The event label.")),
                        (
                            "pgh_obj",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="history",
                                to="metering.person",
                            ),
                        ),
                        ("pgh_context", pghistory.utils.JSONField(null=True)),
                        ("pgh_context_id", models.UUIDField(null=True)),
                        ("id", models.IntegerField()),
                        (
                            "is_superuser",
                            models.BooleanField(
                                default=False,
                                help_text="Designates that this user has all permissions without explicitly assigning them.",
                                verbose_name="superuser status",
                            ),
                        ),
                        (
                            "username",
                            models.CharField(
                                error_messages={
                                    "unique": "A user with that username already exists."
                                },
                                help_text="Required. 150 characters or fewer. Letters, digits and @/./+/-/_ only.",
                                max_length=150,
                                validators=[
                                    django.contrib.auth.validators.UnicodeUsernameValidator()
                                ],
                                verbose_name="username",
                            ),
                        ),
                        (
                            "first_name",
                            models.CharField(blank=True, max_length=150, verbose_name="first name"),
                        ),
                        (
                            "last_name",
                            models.CharField(blank=True, max_length=150, verbose_name="last name"),
                        ),
                        (
                            "email",
                            models.EmailField(
                                blank=True, max_length=254, verbose_name="email address"
                            ),
                        ),
                        (
                            "is_staff",
                            models.BooleanField(
                                default=False,
                                help_text="Designates whether the user can log into this admin site.",
                                verbose_name="staff status",
                            ),
                        ),
                        (
                            "is_active",
                            models.BooleanField(
                                default=True,
                                help_text="Designates whether this user should be treated as active. Unselect this instead of deleting accounts.",
                                verbose_name="active",
                            ),
                        ),
                        (
                            "date_joined",
                            models.DateTimeField(
                                default=django.utils.timezone.now, verbose_name="date joined"
                            ),
                        ),
                    ],
                    options={
                        "db_table": "auth_user_history",
                        "abstract": False,
                        "default_permissions": (),
                    },
                ),
                migrations.CreateModel(
                    name="ScheduleHistory",
                    fields=[
                        ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                        ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                        ("pgh_label", models.TextField(help_text="The event label.")),
                        (
                            "pgh_obj",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="history",
                                to="metering.schedule",
                            ),
                        ),
                        ("pgh_context", pghistory.utils.JSONField(null=True)),
                        ("pgh_context_id", models.UUIDField(null=True)),
                        ("id", models.IntegerField()),
                        (
                            "name",
                            models.CharField(
                                help_text="Short Description For This Task",
                                max_length=200,
                                verbose_name="Name",
                            ),
                        ),
                        (
                            "task",
                            models.CharField(
                                help_text='The Name of the Celery Task that Should be Run.  (Example: "proj.tasks.import_contacts")',
                                max_length=200,
                                verbose_name="Task Name",
                            ),
                        ),
                        (
                            "interval",
                            models.ForeignKey(
                                blank=True,
                                db_constraint=False,
                                help_text="Interval Schedule to run the task on.  Set only one schedule type, leave the others null.",
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                related_query_name="+",
                                to="django_celery_beat.intervalschedule",
                                verbose_name="Interval Schedule",
                            ),
                        ),
                        (
                            "crontab",
                            models.ForeignKey(
                                blank=True,
                                db_constraint=False,
                                help_text="Crontab Schedule to run the task on.  Set only one schedule type, leave the others null.",
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                related_query_name="+",
                                to="django_celery_beat.crontabschedule",
                                verbose_name="Crontab Schedule",
                            ),
                        ),
                        (
                            "solar",
                            models.ForeignKey(
                                blank=True,
                                db_constraint=False,
                                help_text="Solar Schedule to run the task on.  Set only one schedule type, leave the others null.",
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                related_query_name="+",
                                to="django_celery_beat.solarschedule",
                                verbose_name="Solar Schedule",
                            ),
                        ),
                        (
                            "clocked",
                            models.ForeignKey(
                                blank=True,
                                db_constraint=False,
                                help_text="Clocked Schedule to run the task on.  Set only one schedule type, leave the others null.",
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                related_query_name="+",
                                to="django_celery_beat.clockedschedule",
                                verbose_name="Clocked Schedule",
                            ),
                        ),
                        (
                            "args",
                            models.TextField(
                                blank=True,
                                default="[]",
                                help_text='JSON encoded positional arguments (Example: ["arg1", "arg2"])',
                                verbose_name="Positional Arguments",
                            ),
                        ),
                        (
                            "kwargs",
                            models.TextField(
                                blank=True,
                                default="{}",
                                help_text='JSON encoded keyword arguments (Example: {"argument": "value"})',
                                verbose_name="Keyword Arguments",
                            ),
                        ),
                        (
                            "queue",
                            models.CharField(
                                blank=True,
                                default=None,
                                help_text="Queue defined in CELERY_TASK_QUEUES. Leave None for default queuing.",
                                max_length=200,
                                null=True,
                                verbose_name="Queue Override",
                            ),
                        ),
                        (
                            "exchange",
                            models.CharField(
                                blank=True,
                                default=None,
                                help_text="Override Exchange for low-level AMQP routing",
                                max_length=200,
                                null=True,
                                verbose_name="Exchange",
                            ),
                        ),
                        (
                            "routing_key",
                            models.CharField(
                                blank=True,
                                default=None,
                                help_text="Override Routing Key for low-level AMQP routing",
                                max_length=200,
                                null=True,
                                verbose_name="Routing Key",
                            ),
                        ),
                        (
                            "headers",
                            models.TextField(
                                blank=True,
                                default="{}",
                                help_text="JSON encoded message headers for the AMQP message.",
                                verbose_name="AMQP Message Headers",
                            ),
                        ),
                        (
                            "priority",
                            models.PositiveIntegerField(
                                blank=True,
                                default=None,
                                help_text="Priority Number between 0 and 255. Supported by: RabbitMQ, Redis (priority reversed, 0 is highest).",
                                null=True,
                                validators=[django.core.validators.MaxValueValidator(255)],
                                verbose_name="Priority",
                            ),
                        ),
                        (
                            "expires",
                            models.DateTimeField(
                                blank=True,
                                help_text="Datetime after which the schedule will no longer trigger the task to run",
                                null=True,
                                verbose_name="Expires Datetime",
                            ),
                        ),
                        (
                            "expire_seconds",
                            models.PositiveIntegerField(
                                blank=True,
                                help_text="Timedelta with seconds which the schedule will no longer trigger the task to run",
                                null=True,
                                verbose_name="Expires timedelta with seconds",
                            ),
                        ),
                        (
                            "one_off",
                            models.BooleanField(
                                default=False,
                                help_text="If True, the schedule will only run the task a single time",
                                verbose_name="One-off Task",
                            ),
                        ),
                        (
                            "start_time",
                            models.DateTimeField(
                                blank=True,
                                help_text="Datetime when the schedule should begin triggering the task to run",
                                null=True,
                                verbose_name="Start Datetime",
                            ),
                        ),
                        (
                            "enabled",
                            models.BooleanField(
                                default=True,
                                help_text="Set to False to disable the schedule",
                                verbose_name="Enabled",
                            ),
                        ),
                        (
                            "description",
                            models.TextField(
                                blank=True,
                                help_text="Detailed description about the details of this Periodic Task",
                                verbose_name="Description",
                            ),
                        ),
                    ],
                    options={
                        "db_table": "django_celery_beat_periodictask_history",
                        "abstract": False,
                        "default_permissions": (),
                    },
                ),
                migrations.CreateModel(
                    name="RoleGroupHistory",
                    fields=[
                        ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                        ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                        ("pgh_label", models.TextField(help_text="The event label.")),
                        (
                            "pgh_obj",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="history",
                                to="metering.rolegroup",
                            ),
                        ),
                        ("pgh_context", pghistory.utils.JSONField(null=True)),
                        ("pgh_context_id", models.UUIDField(null=True)),
                        ("id", models.IntegerField()),
                        ("name", models.CharField(max_length=150, verbose_name="name")),
                    ],
                    options={
                        "db_table": "auth_group_history",
                        "abstract": False,
                        "default_permissions": (),
                    },
                ),
                migrations.CreateModel(
                    name="PersonRoleHistory",
                    fields=[
                        ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                        ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                        ("pgh_label", models.TextField(help_text="The event label.")),
                        (
                            "pgh_obj",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="history",
                                to="metering.personrole",
                            ),
                        ),
                        ("pgh_context", pghistory.utils.JSONField(null=True)),
                        ("pgh_context_id", models.UUIDField(null=True)),
                        ("id", models.IntegerField()),
                        (
                            "user",
                            models.ForeignKey(
                                db_constraint=False,
                                db_tablespace="",
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                related_query_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "group",
                            models.ForeignKey(
                                db_constraint=False,
                                db_tablespace="",
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                related_query_name="+",
                                to="auth.group",
                            ),
                        ),
                    ],
                    options={
                        "db_table": "auth_user_groups_history",
                        "abstract": False,
                        "default_permissions": (),
                    },
                ),
                migrations.CreateModel(
                    name="PersonRightHistory",
                    fields=[
                        ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                        ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                        ("pgh_label", models.TextField(help_text="The event label.")),
                        (
                            "pgh_obj",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="history",
                                to="metering.personright",
                            ),
                        ),
                        ("pgh_context", pghistory.utils.JSONField(null=True)),
                        ("pgh_context_id", models.UUIDField(null=True)),
                        ("id", models.IntegerField()),
                        (
                            "user",
                            models.ForeignKey(
                                db_constraint=False,
                                db_tablespace="",
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                related_query_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "permission",
                            models.ForeignKey(
                                db_constraint=False,
                                db_tablespace="",
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                related_query_name="+",
                                to="auth.permission",
                            ),
                        ),
                    ],
                    options={
                        "db_table": "auth_user_user_permissions_history",
                        "abstract": False,
                        "default_permissions": (),
                    },
                ),
                migrations.CreateModel(
                    name="RoleRightHistory",
                    fields=[
                        ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                        ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                        ("pgh_label", models.TextField(help_text="The event label.")),
                        (
                            "pgh_obj",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="history",
                                to="metering.roleright",
                            ),
                        ),
                        ("pgh_context", pghistory.utils.JSONField(null=True)),
                        ("pgh_context_id", models.UUIDField(null=True)),
                        ("id", models.IntegerField()),
                        (
                            "group",
                            models.ForeignKey(
                                db_constraint=False,
                                db_tablespace="",
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                related_query_name="+",
                                to="auth.group",
                            ),
                        ),
                        (
                            "permission",
                            models.ForeignKey(
                                db_constraint=False,
                                db_tablespace="",
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                related_query_name="+",
                                to="auth.permission",
                            ),
                        ),
                    ],
                    options={
                        "db_table": "auth_group_permissions_history",
                        "abstract": False,
                        "default_permissions": (),
                    },
                ),
                migrations.CreateModel(
                    name="CrontabHistory",
                    fields=[
                        ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                        ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                        ("pgh_label", models.TextField(help_text="The event label.")),
                        (
                            "pgh_obj",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="history",
                                to="metering.crontab",
                            ),
                        ),
                        ("pgh_context", pghistory.utils.JSONField(null=True)),
                        ("pgh_context_id", models.UUIDField(null=True)),
                        ("id", models.IntegerField()),
                        (
                            "minute",
                            models.CharField(
                                default="*",
                                help_text='Cron Minutes to Run. Use "*" for "all". (Example: "0,30")',
                                max_length=240,
                                validators=[django_celery_beat.validators.minute_validator],
                                verbose_name="Minute(s)",
                            ),
                        ),
                        (
                            "hour",
                            models.CharField(
                                default="*",
                                help_text='Cron Hours to Run. Use "*" for "all". (Example: "8,20")',
                                max_length=96,
                                validators=[django_celery_beat.validators.hour_validator],
                                verbose_name="Hour(s)",
                            ),
                        ),
                        (
                            "day_of_month",
                            models.CharField(
                                default="*",
                                help_text='Cron Days Of The Month to Run. Use "*" for "all". (Example: "1,15")',
                                max_length=124,
                                validators=[django_celery_beat.validators.day_of_month_validator],
                                verbose_name="Day(s) Of The Month",
                            ),
                        ),
                        (
                            "month_of_year",
                            models.CharField(
                                default="*",
                                help_text='Cron Months (1-12) Of The Year to Run. Use "*" for "all". (Example: "1,12")',
                                max_length=64,
                                validators=[django_celery_beat.validators.month_of_year_validator],
                                verbose_name="Month(s) Of The Year",
                            ),
                        ),
                        (
                            "day_of_week",
                            models.CharField(
                                default="*",
                                help_text='Cron Days Of The Week to Run. Use "*" for "all", Sunday is 0 or 7, Monday is 1. (Example: "0,5")',
                                max_length=64,
                                validators=[django_celery_beat.validators.day_of_week_validator],
                                verbose_name="Day(s) Of The Week",
                            ),
                        ),
                        (
                            "timezone",
                            timezone_field.fields.TimeZoneField(
                                default=django_celery_beat.models.crontab_schedule_celery_timezone,
                                help_text="Timezone to Run the Cron Schedule on. Default is UTC.",
                                use_pytz=False,
                                verbose_name="Cron Timezone",
                            ),
                        ),
                    ],
                    options={
                        "db_table": "django_celery_beat_crontabschedule_history",
                        "abstract": False,
                        "default_permissions": (),
                    },
                ),
                migrations.CreateModel(
                    name="IntervalHistory",
                    fields=[
                        ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                        ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                        ("pgh_label", models.TextField(help_text="The event label.")),
                        (
                            "pgh_obj",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="history",
                                to="metering.interval",
                            ),
                        ),
                        ("pgh_context", pghistory.utils.JSONField(null=True)),
                        ("pgh_context_id", models.UUIDField(null=True)),
                        ("id", models.IntegerField()),
                        (
                            "every",
                            models.IntegerField(
                                help_text="Number of interval periods to wait before running the task again",
                                validators=[django.core.validators.MinValueValidator(1)],
                                verbose_name="Number of Periods",
                            ),
                        ),
                        (
                            "period",
                            models.CharField(
                                choices=[
                                    ("days", "Days"),
                                    ("hours", "Hours"),
                                    ("minutes", "Minutes"),
                                    ("seconds", "Seconds"),
                                    ("microseconds", "Microseconds"),
                                ],
                                help_text="The type of period between task runs (Example: days)",
                                max_length=24,
                                verbose_name="Interval Period",
                            ),
                        ),
                    ],
                    options={
                        "db_table": "django_celery_beat_intervalschedule_history",
                        "abstract": False,
                        "default_permissions": (),
                    },
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="tenant",
                    trigger=pgtrigger.compiler.Trigger(
                        name="insert_insert",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "tenant_history" ("key", "name", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "registered_at", "time_zone") VALUES (NEW."key", NEW."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'insert\', NEW."key", NEW."registered_at", NEW."time_zone"); RETURN NULL;',
                            hash="277b3949d32446b425dc35d814085417b2b44555",
                            operation="INSERT",
                            pgid="pgtrigger_insert_insert_ffdde",
                            table="tenant",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="tenant",
                    trigger=pgtrigger.compiler.Trigger(
                        name="update_update",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."name" IS DISTINCT FROM (NEW."name") OR OLD."registered_at" IS DISTINCT FROM (NEW."registered_at") OR OLD."time_zone" IS DISTINCT FROM (NEW."time_zone"))',
                            func='INSERT INTO "tenant_history" ("key", "name", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "registered_at", "time_zone") VALUES (NEW."key", NEW."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'update\', NEW."key", NEW."registered_at", NEW."time_zone"); RETURN NULL;',
                            hash="7a378196a60e3682eae74d3176e6de4332d9f3d9",
                            operation="UPDATE",
                            pgid="pgtrigger_update_update_df3ec",
                            table="tenant",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="tenant",
                    trigger=pgtrigger.compiler.Trigger(
                        name="delete_delete",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "tenant_history" ("key", "name", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "registered_at", "time_zone") VALUES (OLD."key", OLD."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'delete\', OLD."key", OLD."registered_at", OLD."time_zone"); RETURN NULL;',
                            hash="08b83b0a73ba77b27b2c64b9c80d93df0c4bf613",
                            operation="DELETE",
                            pgid="pgtrigger_delete_delete_3e063",
                            table="tenant",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="costcentre",
                    trigger=pgtrigger.compiler.Trigger(
                        name="insert_insert",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "cost_centre_history" ("code", "mode", "name", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "responsible", "team") VALUES (NEW."code", NEW."mode", NEW."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'insert\', NEW."code", NEW."responsible", NEW."team"); RETURN NULL;',
                            hash="ee1e24c91af9466ce9344561ce531fce473fa176",
                            operation="INSERT",
                            pgid="pgtrigger_insert_insert_f06aa",
                            table="cost_centre",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="costcentre",
                    trigger=pgtrigger.compiler.Trigger(
                        name="update_update",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."mode" IS DISTINCT FROM (NEW."mode") OR OLD."name" IS DISTINCT FROM (NEW."name") OR OLD."responsible" IS DISTINCT FROM (NEW."responsible") OR OLD."team" IS DISTINCT FROM (NEW."team"))',
                            func='INSERT INTO "cost_centre_history" ("code", "mode", "name", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "responsible", "team") VALUES (NEW."code", NEW."mode", NEW."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'update\', NEW."code", NEW."responsible", NEW."team"); RETURN NULL;',
                            hash="140e190dd45e4f6160f7a0fec03af59457441044",
                            operation="UPDATE",
                            pgid="pgtrigger_update_update_c0dc6",
                            table="cost_centre",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="costcentre",
                    trigger=pgtrigger.compiler.Trigger(
                        name="delete_delete",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "cost_centre_history" ("code", "mode", "name", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "responsible", "team") VALUES (OLD."code", OLD."mode", OLD."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'delete\', OLD."code", OLD."responsible", OLD."team"); RETURN NULL;',
                            hash="b916b919147fb02c6b41c5ade875ab6545f29609",
                            operation="DELETE",
                            pgid="pgtrigger_delete_delete_b9b0b",
                            table="cost_centre",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="source",
                    trigger=pgtrigger.compiler.Trigger(
                        name="insert_insert",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "source_history" ("identifiers_hashed", "key", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "provider_project") VALUES (NEW."identifiers_hashed", NEW."key", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'insert\', NEW."key", NEW."provider_project"); RETURN NULL;',
                            hash="c1c7d214ab6b810b3741f6bed7bc535c1a2b6fb1",
                            operation="INSERT",
                            pgid="pgtrigger_insert_insert_9e3bb",
                            table="source",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="source",
                    trigger=pgtrigger.compiler.Trigger(
                        name="update_update",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."identifiers_hashed" IS DISTINCT FROM (NEW."identifiers_hashed") OR OLD."provider_project" IS DISTINCT FROM (NEW."provider_project"))',
                            func='INSERT INTO "source_history" ("identifiers_hashed", "key", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "provider_project") VALUES (NEW."identifiers_hashed", NEW."key", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'update\', NEW."key", NEW."provider_project"); RETURN NULL;',
                            hash="87857c01c53e7a9c4229b6d0dabe4c99b107d079",
                            operation="UPDATE",
                            pgid="pgtrigger_update_update_e7e5c",
                            table="source",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="source",
                    trigger=pgtrigger.compiler.Trigger(
                        name="delete_delete",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "source_history" ("identifiers_hashed", "key", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "provider_project") VALUES (OLD."identifiers_hashed", OLD."key", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'delete\', OLD."key", OLD."provider_project"); RETURN NULL;',
                            hash="dbfa9035ddde77818f014f09fb978c6d127fbddb",
                            operation="DELETE",
                            pgid="pgtrigger_delete_delete_24b57",
                            table="source",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="provider",
                    trigger=pgtrigger.compiler.Trigger(
                        name="insert_insert",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "provider_history" ("key", "name", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id") VALUES (NEW."key", NEW."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'insert\', NEW."key"); RETURN NULL;',
                            hash="de05aeca94cc5f65d95e06b166ac79c03dad4242",
                            operation="INSERT",
                            pgid="pgtrigger_insert_insert_d48cf",
                            table="provider",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="provider",
                    trigger=pgtrigger.compiler.Trigger(
                        name="update_update",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."name" IS DISTINCT FROM (NEW."name"))',
                            func='INSERT INTO "provider_history" ("key", "name", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id") VALUES (NEW."key", NEW."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'update\', NEW."key"); RETURN NULL;',
                            hash="dbced48040439aee4f247f646e73e3aa46d3de91",
                            operation="UPDATE",
                            pgid="pgtrigger_update_update_bd57c",
                            table="provider",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="provider",
                    trigger=pgtrigger.compiler.Trigger(
                        name="delete_delete",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "provider_history" ("key", "name", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id") VALUES (OLD."key", OLD."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'delete\', OLD."key"); RETURN NULL;',
                            hash="90de1e27451277e00c83da0c7119dc835000ad7e",
                            operation="DELETE",
                            pgid="pgtrigger_delete_delete_053cf",
                            table="provider",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="serviceaccount",
                    trigger=pgtrigger.compiler.Trigger(
                        name="insert_insert",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "service_account_history" ("name", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "pseudonym") VALUES (NEW."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'insert\', NEW."pseudonym", NEW."pseudonym"); RETURN NULL;',
                            hash="5895fa870e0aedfcf22067b733a99a5fb115f6df",
                            operation="INSERT",
                            pgid="pgtrigger_insert_insert_89769",
                            table="service_account",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="serviceaccount",
                    trigger=pgtrigger.compiler.Trigger(
                        name="update_update",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."name" IS DISTINCT FROM (NEW."name"))',
                            func='INSERT INTO "service_account_history" ("name", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "pseudonym") VALUES (NEW."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'update\', NEW."pseudonym", NEW."pseudonym"); RETURN NULL;',
                            hash="e3faca3cb1b134d89520bc464aedc21397f86e3b",
                            operation="UPDATE",
                            pgid="pgtrigger_update_update_945a5",
                            table="service_account",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="serviceaccount",
                    trigger=pgtrigger.compiler.Trigger(
                        name="delete_delete",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "service_account_history" ("name", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "pseudonym") VALUES (OLD."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'delete\', OLD."pseudonym", OLD."pseudonym"); RETURN NULL;',
                            hash="1f6cce2a64e61327b5381b48f395edf561709717",
                            operation="DELETE",
                            pgid="pgtrigger_delete_delete_57192",
                            table="service_account",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="ownermapping",
                    trigger=pgtrigger.compiler.Trigger(
                        name="insert_insert",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "owner_mapping_history" ("cost_centre_id", "created_at", "id", "key", "kind", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "valid_from", "valid_to") VALUES (NEW."cost_centre_id", NEW."created_at", NEW."id", NEW."key", NEW."kind", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'insert\', NEW."id", NEW."reason", NEW."valid_from", NEW."valid_to"); RETURN NULL;',
                            hash="02d4834424f6f599e6468bf091887d740043e43e",
                            operation="INSERT",
                            pgid="pgtrigger_insert_insert_49d76",
                            table="owner_mapping",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="ownermapping",
                    trigger=pgtrigger.compiler.Trigger(
                        name="update_update",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."cost_centre_id" IS DISTINCT FROM (NEW."cost_centre_id") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."key" IS DISTINCT FROM (NEW."key") OR OLD."kind" IS DISTINCT FROM (NEW."kind") OR OLD."reason" IS DISTINCT FROM (NEW."reason") OR OLD."valid_from" IS DISTINCT FROM (NEW."valid_from") OR OLD."valid_to" IS DISTINCT FROM (NEW."valid_to"))',
                            func='INSERT INTO "owner_mapping_history" ("cost_centre_id", "created_at", "id", "key", "kind", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "valid_from", "valid_to") VALUES (NEW."cost_centre_id", NEW."created_at", NEW."id", NEW."key", NEW."kind", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'update\', NEW."id", NEW."reason", NEW."valid_from", NEW."valid_to"); RETURN NULL;',
                            hash="2b8bb9fc172e6db3b0e9bddbdc34faeab7b9dfe5",
                            operation="UPDATE",
                            pgid="pgtrigger_update_update_79748",
                            table="owner_mapping",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="ownermapping",
                    trigger=pgtrigger.compiler.Trigger(
                        name="delete_delete",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "owner_mapping_history" ("cost_centre_id", "created_at", "id", "key", "kind", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "valid_from", "valid_to") VALUES (OLD."cost_centre_id", OLD."created_at", OLD."id", OLD."key", OLD."kind", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'delete\', OLD."id", OLD."reason", OLD."valid_from", OLD."valid_to"); RETURN NULL;',
                            hash="8b26063cf177b199612399468fd02c17debfeeb8",
                            operation="DELETE",
                            pgid="pgtrigger_delete_delete_788f2",
                            table="owner_mapping",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="tenantmapping",
                    trigger=pgtrigger.compiler.Trigger(
                        name="insert_insert",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "tenant_mapping_history" ("created_at", "id", "key", "kind", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "tenant_id", "valid_from", "valid_to") VALUES (NEW."created_at", NEW."id", NEW."key", NEW."kind", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'insert\', NEW."id", NEW."reason", NEW."tenant_id", NEW."valid_from", NEW."valid_to"); RETURN NULL;',
                            hash="68d922887687672efc3e5090751e5538f6661de5",
                            operation="INSERT",
                            pgid="pgtrigger_insert_insert_2bc49",
                            table="tenant_mapping",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="tenantmapping",
                    trigger=pgtrigger.compiler.Trigger(
                        name="update_update",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."key" IS DISTINCT FROM (NEW."key") OR OLD."kind" IS DISTINCT FROM (NEW."kind") OR OLD."reason" IS DISTINCT FROM (NEW."reason") OR OLD."tenant_id" IS DISTINCT FROM (NEW."tenant_id") OR OLD."valid_from" IS DISTINCT FROM (NEW."valid_from") OR OLD."valid_to" IS DISTINCT FROM (NEW."valid_to"))',
                            func='INSERT INTO "tenant_mapping_history" ("created_at", "id", "key", "kind", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "tenant_id", "valid_from", "valid_to") VALUES (NEW."created_at", NEW."id", NEW."key", NEW."kind", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'update\', NEW."id", NEW."reason", NEW."tenant_id", NEW."valid_from", NEW."valid_to"); RETURN NULL;',
                            hash="65d7bbe6a2924fa513084c227793ba76d3cba35f",
                            operation="UPDATE",
                            pgid="pgtrigger_update_update_4b096",
                            table="tenant_mapping",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="tenantmapping",
                    trigger=pgtrigger.compiler.Trigger(
                        name="delete_delete",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "tenant_mapping_history" ("created_at", "id", "key", "kind", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "tenant_id", "valid_from", "valid_to") VALUES (OLD."created_at", OLD."id", OLD."key", OLD."kind", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'delete\', OLD."id", OLD."reason", OLD."tenant_id", OLD."valid_from", OLD."valid_to"); RETURN NULL;',
                            hash="8aee42fb36850e6e63d5934be9129a2845ce34cd",
                            operation="DELETE",
                            pgid="pgtrigger_delete_delete_29511",
                            table="tenant_mapping",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="apikey",
                    trigger=pgtrigger.compiler.Trigger(
                        name="insert_insert",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "api_key_history" ("created_at", "created_by", "expires_at", "id", "name", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "revoked_at", "revoked_by", "scope", "source_id", "tenant_id") VALUES (NEW."created_at", NEW."created_by", NEW."expires_at", NEW."id", NEW."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'insert\', NEW."id", NEW."revoked_at", NEW."revoked_by", NEW."scope", NEW."source_id", NEW."tenant_id"); RETURN NULL;',
                            hash="ef4c9e737eac7416409bd781889b9f52f0ec5eec",
                            operation="INSERT",
                            pgid="pgtrigger_insert_insert_837fe",
                            table="api_key",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="apikey",
                    trigger=pgtrigger.compiler.Trigger(
                        name="update_update",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."created_by" IS DISTINCT FROM (NEW."created_by") OR OLD."expires_at" IS DISTINCT FROM (NEW."expires_at") OR OLD."name" IS DISTINCT FROM (NEW."name") OR OLD."revoked_at" IS DISTINCT FROM (NEW."revoked_at") OR OLD."revoked_by" IS DISTINCT FROM (NEW."revoked_by") OR OLD."scope" IS DISTINCT FROM (NEW."scope") OR OLD."secret_digest" IS DISTINCT FROM (NEW."secret_digest") OR OLD."source_id" IS DISTINCT FROM (NEW."source_id") OR OLD."tenant_id" IS DISTINCT FROM (NEW."tenant_id"))',
                            func='INSERT INTO "api_key_history" ("created_at", "created_by", "expires_at", "id", "name", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "revoked_at", "revoked_by", "scope", "source_id", "tenant_id") VALUES (NEW."created_at", NEW."created_by", NEW."expires_at", NEW."id", NEW."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'update\', NEW."id", NEW."revoked_at", NEW."revoked_by", NEW."scope", NEW."source_id", NEW."tenant_id"); RETURN NULL;',
                            hash="841cb5437d4d7191b52b92c7eed3c5316508cbec",
                            operation="UPDATE",
                            pgid="pgtrigger_update_update_26a51",
                            table="api_key",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="apikey",
                    trigger=pgtrigger.compiler.Trigger(
                        name="delete_delete",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "api_key_history" ("created_at", "created_by", "expires_at", "id", "name", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "revoked_at", "revoked_by", "scope", "source_id", "tenant_id") VALUES (OLD."created_at", OLD."created_by", OLD."expires_at", OLD."id", OLD."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'delete\', OLD."id", OLD."revoked_at", OLD."revoked_by", OLD."scope", OLD."source_id", OLD."tenant_id"); RETURN NULL;',
                            hash="c4143e7da711c270388af5506b02b92feb9e217e",
                            operation="DELETE",
                            pgid="pgtrigger_delete_delete_3d59f",
                            table="api_key",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="pricelistimport",
                    trigger=pgtrigger.compiler.Trigger(
                        name="insert_insert",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "price_list_import_history" ("book", "digest", "effective_at", "id", "imported_at", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "source") VALUES (NEW."book", NEW."digest", NEW."effective_at", NEW."id", NEW."imported_at", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'insert\', NEW."id", NEW."source"); RETURN NULL;',
                            hash="328f106ed86d9efec0843660203926e7a198584b",
                            operation="INSERT",
                            pgid="pgtrigger_insert_insert_1b261",
                            table="price_list_import",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="pricerow",
                    trigger=pgtrigger.compiler.Trigger(
                        name="update_update",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."book" IS DISTINCT FROM (NEW."book") OR OLD."conditions" IS DISTINCT FROM (NEW."conditions") OR OLD."conditions_digest" IS DISTINCT FROM (NEW."conditions_digest") OR OLD."content_digest" IS DISTINCT FROM (NEW."content_digest") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."derived_from_id" IS DISTINCT FROM (NEW."derived_from_id") OR OLD."discount_percent" IS DISTINCT FROM (NEW."discount_percent") OR OLD."model_id" IS DISTINCT FROM (NEW."model_id") OR OLD."opened_by_id" IS DISTINCT FROM (NEW."opened_by_id") OR OLD."provider" IS DISTINCT FROM (NEW."provider") OR OLD."rank" IS DISTINCT FROM (NEW."rank") OR OLD."unit_prices" IS DISTINCT FROM (NEW."unit_prices") OR OLD."valid_from" IS DISTINCT FROM (NEW."valid_from") OR OLD."valid_to" IS DISTINCT FROM (NEW."valid_to"))',
                            func='INSERT INTO "price_row_history" ("book", "conditions_digest", "content_digest", "currency", "id", "model_id", "opened_by_id", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "provider", "rank", "valid_from", "valid_to") VALUES (NEW."book", NEW."conditions_digest", NEW."content_digest", NEW."currency", NEW."id", NEW."model_id", NEW."opened_by_id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'update\', NEW."id", NEW."provider", NEW."rank", NEW."valid_from", NEW."valid_to"); RETURN NULL;',
                            hash="60f47fbc41049072f4a63d8183081984128e0429",
                            operation="UPDATE",
                            pgid="pgtrigger_update_update_1f450",
                            table="price_row",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="seal",
                    trigger=pgtrigger.compiler.Trigger(
                        name="insert_insert",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "seal_history" ("book", "events", "id", "month", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "previous_root", "root", "sealed_at", "sequence") VALUES (NEW."book", NEW."events", NEW."id", NEW."month", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'insert\', NEW."id", NEW."previous_root", NEW."root", NEW."sealed_at", NEW."sequence"); RETURN NULL;',
                            hash="265e02ab271bc618e697c8be8c8b6861d30576a5",
                            operation="INSERT",
                            pgid="pgtrigger_insert_insert_8c021",
                            table="seal",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="person",
                    trigger=pgtrigger.compiler.Trigger(
                        name="insert_insert",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "auth_user_history" ("date_joined", "email", "first_name", "id", "is_active", "is_staff", "is_superuser", "last_name", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "username") VALUES (NEW."date_joined", NEW."email", NEW."first_name", NEW."id", NEW."is_active", NEW."is_staff", NEW."is_superuser", NEW."last_name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'insert\', NEW."id", NEW."username"); RETURN NULL;',
                            hash="ac4acb7137e0c92fa78d6c1c45dd9dc27b522132",
                            operation="INSERT",
                            pgid="pgtrigger_insert_insert_fbd9d",
                            table="auth_user",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="person",
                    trigger=pgtrigger.compiler.Trigger(
                        name="update_update",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."date_joined" IS DISTINCT FROM (NEW."date_joined") OR OLD."email" IS DISTINCT FROM (NEW."email") OR OLD."first_name" IS DISTINCT FROM (NEW."first_name") OR OLD."is_active" IS DISTINCT FROM (NEW."is_active") OR OLD."is_staff" IS DISTINCT FROM (NEW."is_staff") OR OLD."is_superuser" IS DISTINCT FROM (NEW."is_superuser") OR OLD."last_name" IS DISTINCT FROM (NEW."last_name") OR OLD."password" IS DISTINCT FROM (NEW."password") OR OLD."username" IS DISTINCT FROM (NEW."username"))',
                            func='INSERT INTO "auth_user_history" ("date_joined", "email", "first_name", "id", "is_active", "is_staff", "is_superuser", "last_name", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "username") VALUES (NEW."date_joined", NEW."email", NEW."first_name", NEW."id", NEW."is_active", NEW."is_staff", NEW."is_superuser", NEW."last_name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'update\', NEW."id", NEW."username"); RETURN NULL;',
                            hash="95b0f6c8e1ca116afbae6d6fdee544f01fd76d5e",
                            operation="UPDATE",
                            pgid="pgtrigger_update_update_8d3ef",
                            table="auth_user",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="person",
                    trigger=pgtrigger.compiler.Trigger(
                        name="delete_delete",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "auth_user_history" ("date_joined", "email", "first_name", "id", "is_active", "is_staff", "is_superuser", "last_name", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "username") VALUES (OLD."date_joined", OLD."email", OLD."first_name", OLD."id", OLD."is_active", OLD."is_staff", OLD."is_superuser", OLD."last_name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'delete\', OLD."id", OLD."username"); RETURN NULL;',
                            hash="87a8f99b3f12c85599ee299bfd6907c1b14a8df9",
                            operation="DELETE",
                            pgid="pgtrigger_delete_delete_edf85",
                            table="auth_user",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="rolegroup",
                    trigger=pgtrigger.compiler.Trigger(
                        name="insert_insert",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "auth_group_history" ("id", "name", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id") VALUES (NEW."id", NEW."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'insert\', NEW."id"); RETURN NULL;',
                            hash="77256c2e4dd0e70735bdc2149bc3692fc59d0537",
                            operation="INSERT",
                            pgid="pgtrigger_insert_insert_db1ac",
                            table="auth_group",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="rolegroup",
                    trigger=pgtrigger.compiler.Trigger(
                        name="update_update",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."name" IS DISTINCT FROM (NEW."name"))',
                            func='INSERT INTO "auth_group_history" ("id", "name", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id") VALUES (NEW."id", NEW."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'update\', NEW."id"); RETURN NULL;',
                            hash="2117b52d93fa961c61c8a8d343291df85312346f",
                            operation="UPDATE",
                            pgid="pgtrigger_update_update_41a86",
                            table="auth_group",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="rolegroup",
                    trigger=pgtrigger.compiler.Trigger(
                        name="delete_delete",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "auth_group_history" ("id", "name", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id") VALUES (OLD."id", OLD."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'delete\', OLD."id"); RETURN NULL;',
                            hash="47e454336ff01a6ef13b92ef372c7872637f7797",
                            operation="DELETE",
                            pgid="pgtrigger_delete_delete_624ca",
                            table="auth_group",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="personrole",
                    trigger=pgtrigger.compiler.Trigger(
                        name="insert_insert",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "auth_user_groups_history" ("group_id", "id", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "user_id") VALUES (NEW."group_id", NEW."id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'insert\', NEW."id", NEW."user_id"); RETURN NULL;',
                            hash="f69bc69371d07bd7453b3143c9455fd91d206b78",
                            operation="INSERT",
                            pgid="pgtrigger_insert_insert_598a7",
                            table="auth_user_groups",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="personrole",
                    trigger=pgtrigger.compiler.Trigger(
                        name="update_update",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."group_id" IS DISTINCT FROM (NEW."group_id") OR OLD."user_id" IS DISTINCT FROM (NEW."user_id"))',
                            func='INSERT INTO "auth_user_groups_history" ("group_id", "id", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "user_id") VALUES (NEW."group_id", NEW."id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'update\', NEW."id", NEW."user_id"); RETURN NULL;',
                            hash="13dca5bcb1d83f699b310017b119316a61bd3abf",
                            operation="UPDATE",
                            pgid="pgtrigger_update_update_4a5f0",
                            table="auth_user_groups",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="personrole",
                    trigger=pgtrigger.compiler.Trigger(
                        name="delete_delete",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "auth_user_groups_history" ("group_id", "id", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "user_id") VALUES (OLD."group_id", OLD."id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'delete\', OLD."id", OLD."user_id"); RETURN NULL;',
                            hash="6e12a84b91d17a10096db9d0699371b658d38a28",
                            operation="DELETE",
                            pgid="pgtrigger_delete_delete_b29c9",
                            table="auth_user_groups",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="personright",
                    trigger=pgtrigger.compiler.Trigger(
                        name="insert_insert",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "auth_user_user_permissions_history" ("id", "permission_id", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "user_id") VALUES (NEW."id", NEW."permission_id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'insert\', NEW."id", NEW."user_id"); RETURN NULL;',
                            hash="7f64feca1d697bff0fa354c61e088740a4c866cb",
                            operation="INSERT",
                            pgid="pgtrigger_insert_insert_9828a",
                            table="auth_user_user_permissions",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="personright",
                    trigger=pgtrigger.compiler.Trigger(
                        name="update_update",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."permission_id" IS DISTINCT FROM (NEW."permission_id") OR OLD."user_id" IS DISTINCT FROM (NEW."user_id"))',
                            func='INSERT INTO "auth_user_user_permissions_history" ("id", "permission_id", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "user_id") VALUES (NEW."id", NEW."permission_id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'update\', NEW."id", NEW."user_id"); RETURN NULL;',
                            hash="40e0d48ba1df7e14116285c27da0baabfca79929",
                            operation="UPDATE",
                            pgid="pgtrigger_update_update_e8977",
                            table="auth_user_user_permissions",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="personright",
                    trigger=pgtrigger.compiler.Trigger(
                        name="delete_delete",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "auth_user_user_permissions_history" ("id", "permission_id", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "user_id") VALUES (OLD."id", OLD."permission_id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'delete\', OLD."id", OLD."user_id"); RETURN NULL;',
                            hash="6a89693df3a2da97a24f4d8aa8deaadbf7b040d9",
                            operation="DELETE",
                            pgid="pgtrigger_delete_delete_f49c8",
                            table="auth_user_user_permissions",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="roleright",
                    trigger=pgtrigger.compiler.Trigger(
                        name="insert_insert",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "auth_group_permissions_history" ("group_id", "id", "permission_id", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id") VALUES (NEW."group_id", NEW."id", NEW."permission_id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'insert\', NEW."id"); RETURN NULL;',
                            hash="aef3e5ff1163ed79183d610b622b2e5a51ac7300",
                            operation="INSERT",
                            pgid="pgtrigger_insert_insert_c58e7",
                            table="auth_group_permissions",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="roleright",
                    trigger=pgtrigger.compiler.Trigger(
                        name="update_update",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."group_id" IS DISTINCT FROM (NEW."group_id") OR OLD."permission_id" IS DISTINCT FROM (NEW."permission_id"))',
                            func='INSERT INTO "auth_group_permissions_history" ("group_id", "id", "permission_id", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id") VALUES (NEW."group_id", NEW."id", NEW."permission_id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'update\', NEW."id"); RETURN NULL;',
                            hash="3cee876423fd8d618c2a0bb704099ef7808a02d3",
                            operation="UPDATE",
                            pgid="pgtrigger_update_update_60287",
                            table="auth_group_permissions",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="roleright",
                    trigger=pgtrigger.compiler.Trigger(
                        name="delete_delete",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "auth_group_permissions_history" ("group_id", "id", "permission_id", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id") VALUES (OLD."group_id", OLD."id", OLD."permission_id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'delete\', OLD."id"); RETURN NULL;',
                            hash="cd26d3a20a23a34dfc797384bdcc0cf31c1ff4c7",
                            operation="DELETE",
                            pgid="pgtrigger_delete_delete_9b37f",
                            table="auth_group_permissions",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="schedule",
                    trigger=pgtrigger.compiler.Trigger(
                        name="insert_insert",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "django_celery_beat_periodictask_history" ("args", "clocked_id", "crontab_id", "description", "enabled", "exchange", "expire_seconds", "expires", "headers", "id", "interval_id", "kwargs", "name", "one_off", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "priority", "queue", "routing_key", "solar_id", "start_time", "task") VALUES (NEW."args", NEW."clocked_id", NEW."crontab_id", NEW."description", NEW."enabled", NEW."exchange", NEW."expire_seconds", NEW."expires", NEW."headers", NEW."id", NEW."interval_id", NEW."kwargs", NEW."name", NEW."one_off", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'insert\', NEW."id", NEW."priority", NEW."queue", NEW."routing_key", NEW."solar_id", NEW."start_time", NEW."task"); RETURN NULL;',
                            hash="552cac4a534c4ac064982708f6e33e0c5d8bf82c",
                            operation="INSERT",
                            pgid="pgtrigger_insert_insert_7209b",
                            table="django_celery_beat_periodictask",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="schedule",
                    trigger=pgtrigger.compiler.Trigger(
                        name="update_update",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."args" IS DISTINCT FROM (NEW."args") OR OLD."clocked_id" IS DISTINCT FROM (NEW."clocked_id") OR OLD."crontab_id" IS DISTINCT FROM (NEW."crontab_id") OR OLD."description" IS DISTINCT FROM (NEW."description") OR OLD."enabled" IS DISTINCT FROM (NEW."enabled") OR OLD."exchange" IS DISTINCT FROM (NEW."exchange") OR OLD."expire_seconds" IS DISTINCT FROM (NEW."expire_seconds") OR OLD."expires" IS DISTINCT FROM (NEW."expires") OR OLD."headers" IS DISTINCT FROM (NEW."headers") OR OLD."interval_id" IS DISTINCT FROM (NEW."interval_id") OR OLD."kwargs" IS DISTINCT FROM (NEW."kwargs") OR OLD."name" IS DISTINCT FROM (NEW."name") OR OLD."one_off" IS DISTINCT FROM (NEW."one_off") OR OLD."priority" IS DISTINCT FROM (NEW."priority") OR OLD."queue" IS DISTINCT FROM (NEW."queue") OR OLD."routing_key" IS DISTINCT FROM (NEW."routing_key") OR OLD."solar_id" IS DISTINCT FROM (NEW."solar_id") OR OLD."start_time" IS DISTINCT FROM (NEW."start_time") OR OLD."task" IS DISTINCT FROM (NEW."task"))',
                            func='INSERT INTO "django_celery_beat_periodictask_history" ("args", "clocked_id", "crontab_id", "description", "enabled", "exchange", "expire_seconds", "expires", "headers", "id", "interval_id", "kwargs", "name", "one_off", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "priority", "queue", "routing_key", "solar_id", "start_time", "task") VALUES (NEW."args", NEW."clocked_id", NEW."crontab_id", NEW."description", NEW."enabled", NEW."exchange", NEW."expire_seconds", NEW."expires", NEW."headers", NEW."id", NEW."interval_id", NEW."kwargs", NEW."name", NEW."one_off", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'update\', NEW."id", NEW."priority", NEW."queue", NEW."routing_key", NEW."solar_id", NEW."start_time", NEW."task"); RETURN NULL;',
                            hash="0802ac5c891255b26d1244096de757a21f40cb5d",
                            operation="UPDATE",
                            pgid="pgtrigger_update_update_90ede",
                            table="django_celery_beat_periodictask",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="schedule",
                    trigger=pgtrigger.compiler.Trigger(
                        name="delete_delete",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "django_celery_beat_periodictask_history" ("args", "clocked_id", "crontab_id", "description", "enabled", "exchange", "expire_seconds", "expires", "headers", "id", "interval_id", "kwargs", "name", "one_off", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "priority", "queue", "routing_key", "solar_id", "start_time", "task") VALUES (OLD."args", OLD."clocked_id", OLD."crontab_id", OLD."description", OLD."enabled", OLD."exchange", OLD."expire_seconds", OLD."expires", OLD."headers", OLD."id", OLD."interval_id", OLD."kwargs", OLD."name", OLD."one_off", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'delete\', OLD."id", OLD."priority", OLD."queue", OLD."routing_key", OLD."solar_id", OLD."start_time", OLD."task"); RETURN NULL;',
                            hash="3f1c4aca3d14d3465e8a2491f2d28e16b89602ba",
                            operation="DELETE",
                            pgid="pgtrigger_delete_delete_d3db0",
                            table="django_celery_beat_periodictask",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="crontab",
                    trigger=pgtrigger.compiler.Trigger(
                        name="insert_insert",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "django_celery_beat_crontabschedule_history" ("day_of_month", "day_of_week", "hour", "id", "minute", "month_of_year", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "timezone") VALUES (NEW."day_of_month", NEW."day_of_week", NEW."hour", NEW."id", NEW."minute", NEW."month_of_year", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'insert\', NEW."id", NEW."timezone"); RETURN NULL;',
                            hash="113a39d085c192f731f3aff7afec84b61ba3cd1c",
                            operation="INSERT",
                            pgid="pgtrigger_insert_insert_1a62c",
                            table="django_celery_beat_crontabschedule",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="crontab",
                    trigger=pgtrigger.compiler.Trigger(
                        name="update_update",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."day_of_month" IS DISTINCT FROM (NEW."day_of_month") OR OLD."day_of_week" IS DISTINCT FROM (NEW."day_of_week") OR OLD."hour" IS DISTINCT FROM (NEW."hour") OR OLD."minute" IS DISTINCT FROM (NEW."minute") OR OLD."month_of_year" IS DISTINCT FROM (NEW."month_of_year") OR OLD."timezone" IS DISTINCT FROM (NEW."timezone"))',
                            func='INSERT INTO "django_celery_beat_crontabschedule_history" ("day_of_month", "day_of_week", "hour", "id", "minute", "month_of_year", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "timezone") VALUES (NEW."day_of_month", NEW."day_of_week", NEW."hour", NEW."id", NEW."minute", NEW."month_of_year", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'update\', NEW."id", NEW."timezone"); RETURN NULL;',
                            hash="c1dde7739a8245421080a9798dd304ce6a400537",
                            operation="UPDATE",
                            pgid="pgtrigger_update_update_b68d6",
                            table="django_celery_beat_crontabschedule",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="crontab",
                    trigger=pgtrigger.compiler.Trigger(
                        name="delete_delete",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "django_celery_beat_crontabschedule_history" ("day_of_month", "day_of_week", "hour", "id", "minute", "month_of_year", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "timezone") VALUES (OLD."day_of_month", OLD."day_of_week", OLD."hour", OLD."id", OLD."minute", OLD."month_of_year", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'delete\', OLD."id", OLD."timezone"); RETURN NULL;',
                            hash="cded4c49744bda19a6ec72344a5117fadb393077",
                            operation="DELETE",
                            pgid="pgtrigger_delete_delete_c0cdc",
                            table="django_celery_beat_crontabschedule",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="interval",
                    trigger=pgtrigger.compiler.Trigger(
                        name="insert_insert",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "django_celery_beat_intervalschedule_history" ("every", "id", "period", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id") VALUES (NEW."every", NEW."id", NEW."period", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'insert\', NEW."id"); RETURN NULL;',
                            hash="273b487d300feedc0ce64e90574546f09ef49f1b",
                            operation="INSERT",
                            pgid="pgtrigger_insert_insert_2ffec",
                            table="django_celery_beat_intervalschedule",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="interval",
                    trigger=pgtrigger.compiler.Trigger(
                        name="update_update",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            condition='WHEN (OLD."every" IS DISTINCT FROM (NEW."every") OR OLD."period" IS DISTINCT FROM (NEW."period"))',
                            func='INSERT INTO "django_celery_beat_intervalschedule_history" ("every", "id", "period", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id") VALUES (NEW."every", NEW."id", NEW."period", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'update\', NEW."id"); RETURN NULL;',
                            hash="d3a3923a58f744181a64c3649a6315ea6d73e4e7",
                            operation="UPDATE",
                            pgid="pgtrigger_update_update_b4c3c",
                            table="django_celery_beat_intervalschedule",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="interval",
                    trigger=pgtrigger.compiler.Trigger(
                        name="delete_delete",
                        sql=pgtrigger.compiler.UpsertTriggerSql(
                            func='INSERT INTO "django_celery_beat_intervalschedule_history" ("every", "id", "period", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id") VALUES (OLD."every", OLD."id", OLD."period", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, NOW(), \'delete\', OLD."id"); RETURN NULL;',
                            hash="7ae531ad35adcebdfca95625b213c91f1d4a777d",
                            operation="DELETE",
                            pgid="pgtrigger_delete_delete_56000",
                            table="django_celery_beat_intervalschedule",
                            when="AFTER",
                        ),
                    ),
                ),
            ]
        ),
    ]
