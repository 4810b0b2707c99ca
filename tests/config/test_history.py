"""Every change that can move money says who, by what way, and why; nobody rewrites a history."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from io import StringIO
from typing import Any
from uuid import uuid4

import pghistory
import psycopg
import pytest
from celery import Celery
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import ProgrammingError, connection, connections, models, transaction
from django.test import Client
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask
from pghistory.models import Event
from psycopg import sql

from config import history, roles
from metering import people, privileges
from metering.models import CostCentre, OwnerMapping, Provider, ServiceAccount, Source, Tenant
from tests.databases import ROOT

pytestmark = pytest.mark.django_db

HISTORIES: dict[str, Any] = {
    model._meta.db_table: model for model in apps.get_models() if issubclass(model, Event)
}

UNRECORDED = {
    "metering.useridentity": "deleting the row forgets a person, so nothing may remember it",
    "metering.usageevent": "by the million; never changed, sealed",
    "metering.latearrival": "by the thousand; never changed, dated by itself",
    "metering.businessoutcome": "by the thousand; never changed, dated by itself",
    "metering.reratingdifference": "by the thousand, with the re-rating that is recorded",
    "metering.reratingend": "by its act, which is recorded, and never changed",
    "metering.metricreading": "by the thousand; never changed, never counted",
    "metering.sealbucket": "by the thousand, with the seal that is recorded",
    "metering.workrun": "how things were done, not what is owed",
    "metering.workpart": "how things were done, not what is owed",
    "metering.schedulefiring": "how things were done, not what is owed",
    "allocation.billdocument": "bytes, with the bill that is recorded",
    "allocation.providerbillline": "by the thousand, with the bill that is recorded",
    "allocation.reconciliationresult": "with the reconciliation that is recorded",
    "allocation.reconciliationstep": "with the reconciliation that is recorded",
    "allocation.reconciliationevidence": "by the thousand, with the reconciliation",
    "allocation.allocationbill": "with the run that is recorded",
    "allocation.allocationsource": "by the thousand, with the run that is recorded",
    "allocation.allocationline": "by the thousand, with the run that is recorded",
    "allocation.allocationsettlement": "by the thousand, with the run that is recorded",
    "billing.invoiceline": "by the thousand, with the invoice that is recorded",
    "billing.invoicelinepart": "by the thousand, with the invoice that is recorded",
    "billing.invoicestanding": "what Stripe said, kept as rows of its own",
    "billing.stripecustomer": "what Stripe said, kept as rows of its own",
    "billing.stripepush": "what was asked of Stripe, kept as rows of its own",
    "billing.striperequest": "what was asked of Stripe, kept as rows of its own",
    "billing.stripefinding": "what Stripe said, kept as rows of its own",
    "billing.stripeevent": "what Stripe said, kept as rows of its own",
    "billing.stripeeventoutcome": "what Stripe said, kept as rows of its own",
}
"""Models without a history, and why."""


def test_every_model_has_a_history_or_a_reason_for_none() -> None:
    recorded = {
        model.pgh_tracked_model._meta.concrete_model._meta.label_lower
        for model in HISTORIES.values()
    }
    ours = {
        model._meta.label_lower
        for app in ("metering", "allocation", "billing")
        for model in apps.get_app_config(app).get_models()
        if not issubclass(model, Event) and not model._meta.proxy
    }
    assert ours - recorded == UNRECORDED.keys()
    assert recorded - ours == {
        "auth.user",
        "auth.group",
        "auth.user_groups",
        "auth.user_user_permissions",
        "auth.group_permissions",
        "django_celery_beat.periodictask",
        "django_celery_beat.crontabschedule",
        "django_celery_beat.intervalschedule",
    }


def history_of(row: models.Model) -> models.QuerySet[Any]:
    model = HISTORIES[f"{row._meta.db_table}_history"]
    told: models.QuerySet[Any] = model.objects.filter(pgh_obj_id=row.pk).order_by("pgh_id")
    return told


def last(row: models.Model) -> Any:
    return history_of(row).latest("pgh_id")


def _growth() -> CostCentre:
    return CostCentre.objects.create(code="growth", name="Growth", responsible="head of growth")


MADE: dict[str, tuple[Callable[[], models.Model], str, object]] = {
    "a tenant": (lambda: Tenant.objects.create(key="acme"), "time_zone", "Asia/Kolkata"),
    "a cost centre": (_growth, "responsible", "head of sales"),
    "a source": (lambda: Source.objects.create(key="gateway"), "provider_project", "p"),
    "a provider": (lambda: Provider.objects.create(key="own"), "name", "Ours"),
    "a service account": (
        lambda: ServiceAccount.objects.create(pseudonym=uuid4(), name="nightly"),
        "name",
        "weekly",
    ),
    "a mapping": (
        lambda: OwnerMapping.objects.create(kind="tenant", key="acme", cost_centre=_growth()),
        "key",
        "globex",
    ),
    "a user": (lambda: User.objects.create_user("ann"), "is_superuser", True),
    "a role": (lambda: Group.objects.create(name="of our own"), "name", "another"),
    "a schedule": (
        lambda: PeriodicTask.objects.create(
            name="month", task="allocate", crontab=CrontabSchedule.objects.create()
        ),
        "enabled",
        False,
    ),
    "when it is due": (lambda: CrontabSchedule.objects.create(hour="3"), "hour", "4"),
    "how often": (
        lambda: IntervalSchedule.objects.create(every=5, period="minutes"),
        "every",
        7,
    ),
}
"""What people make and change by hand, and a change. What the month makes: its own tests."""


@pytest.mark.parametrize("kind", MADE)
def test_making_changing_and_deleting_say_who_and_why(kind: str) -> None:
    make, field, value = MADE[kind]
    with pghistory.context(by="ann", reason="asked by mail"):
        row = make()
    rows = type(row)._default_manager.filter(pk=row.pk)
    with pghistory.context(by="bob"):
        rows.update(**{field: value})
    with pghistory.context(by="eve", reason="not wanted"):
        rows._raw_delete("default")
    told = history_of(row)
    assert list(told.values_list("pgh_label", "pgh_context")) == [
        ("insert", {"by": "ann", "reason": "asked by mail"}),
        ("update", {"by": "bob"}),
        ("delete", {"by": "eve", "reason": "not wanted"}),
    ]
    assert list(told.values_list(field, flat=True)) == [getattr(row, field), value, value]


def test_what_is_changed_outside_the_product_has_nobody() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tenant (key, name, time_zone, registered_at)"
            " VALUES ('acme', '', 'UTC', now())"
        )
    assert last(Tenant(key="acme")).pgh_context is None


def test_who_was_given_which_role_is_recorded() -> None:
    with pghistory.context(command="add_person ann --role finance"):
        ann, _ = people.add("ann", ["finance"])
    given = HISTORIES["auth_user_groups_history"].objects.latest("pgh_id")
    assert (given.user_id, given.group.name) == (ann.pk, "finance")
    assert given.pgh_context["command"] == "add_person ann --role finance"
    roles.apply("default")
    ann.groups.clear()
    taken = HISTORIES["auth_user_groups_history"].objects.latest("pgh_id")
    assert (taken.pgh_label, taken.user_id) == ("delete", ann.pk)


def test_of_a_user_neither_password_nor_log_in_is_kept_but_that_the_password_changed() -> None:
    ann = User.objects.create_user("ann", password="one")
    told = HISTORIES["auth_user_history"].objects.filter(pgh_obj_id=ann.pk)
    assert not {"password", "last_login"} & {f.name for f in told.model._meta.fields}
    assert Client().login(username="ann", password="one")
    assert told.count() == 1
    ann.set_password("two")
    ann.save()
    assert told.count() == 2


def test_a_command_line_is_a_context_and_the_person_acting_joins_it() -> None:
    ann, _ = people.add("ann", ["approver"])
    with history.of_command(["/somewhere/manage.py", "reopen_period", "2026-10", "--as", "ann"]):
        people.acting("ann", roles.REOPEN_PERIOD)
        with history.because(" the bill was restated "):
            Tenant.objects.create(key="acme")
        Tenant.objects.create(key="globex")
    said = last(Tenant(key="acme")).pgh_context
    assert said["command"] == "manage.py reopen_period 2026-10 --as ann"
    assert (said["by"], said["user"]) == ("ann", ann.pk)
    assert said["reason"] == "the bill was restated"
    assert "account" in said
    after = last(Tenant(key="globex")).pgh_context
    assert "reason" not in after
    assert after["by"] == "ann"


def test_the_reason_of_a_request_comes_back_after_that_of_a_part_of_it() -> None:
    with pghistory.context(reason="asked for by mail"):
        with history.because("the bill was restated"):
            Tenant.objects.create(key="acme")
        with history.because("  "):
            Tenant.objects.create(key="globex")
    told = [last(Tenant(key=key)).pgh_context["reason"] for key in ("acme", "globex")]
    assert told == ["the bill was restated", "asked for by mail"]


def test_the_command_line_itself_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["manage.py", "add_person", "ann", "--role", "viewer"])
    monkeypatch.setattr(sys, "stdout", StringIO())
    monkeypatch.setattr(connections, "close_all", lambda: None)
    runpy.run_path(str(ROOT / "manage.py"), run_name="__main__")
    assert last(User.objects.get(username="ann")).pgh_context["command"] == (
        "manage.py add_person ann --role viewer"
    )


def test_a_request_says_who_is_logged_in_where_and_why() -> None:
    User.objects.create_superuser("root", password="secret")
    client = Client()
    assert client.login(username="root", password="secret")
    ann = User.objects.create_user("ann")
    client.post(
        f"/admin/auth/user/{ann.pk}/password/",
        {"password1": "long-enough-7", "password2": "long-enough-7", "usable_password": "true"},
        headers={"X-Reason": "forgotten"},
    )
    said = last(ann).pgh_context
    assert said["by"] == "root"
    assert (said["method"], said["reason"]) == ("POST", "forgotten")
    assert said["url"] == f"/admin/auth/user/{ann.pk}/password/"


def test_a_task_is_named() -> None:
    app = Celery("test", task_cls=history.RecordedTask)

    @app.task(name="register")
    def register() -> None:
        Tenant.objects.create(key="acme")

    register.apply(throw=True)
    assert last(Tenant(key="acme")).pgh_context["task"] == "register"


def refused(statement: sql.Composable) -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    except ProgrammingError as failure:
        return isinstance(failure.__cause__, psycopg.errors.InsufficientPrivilege)
    return False


def test_the_application_can_neither_forge_nor_change_nor_empty_a_history() -> None:
    Tenant.objects.create(key="acme")
    for table in HISTORIES:
        name = sql.Identifier(table)
        for statement in (
            "INSERT INTO {} DEFAULT VALUES",
            "UPDATE {} SET pgh_context = NULL",
            "DELETE FROM {}",
            "TRUNCATE {}",
            "DROP TABLE {}",
            "ALTER TABLE {} DISABLE TRIGGER ALL",
        ):
            assert refused(sql.SQL(statement).format(name)), (table, statement)


def test_the_application_cannot_have_a_table_of_its_own_write_a_history() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE mine (key text)")
    forging = "CREATE TRIGGER forging AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION {}()"
    for function in sorted(privileges.recorders()):
        assert refused(sql.SQL(forging).format(sql.Identifier(function))), function


def test_a_table_put_before_a_history_hides_nothing() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE tenant_history (LIKE public.tenant_history)")
        cursor.execute("INSERT INTO tenant (key, name, time_zone, registered_at)"
                       " VALUES ('acme', '', 'UTC', now())")  # fmt: skip
        cursor.execute("SELECT count(*) FROM public.tenant_history WHERE key = 'acme'")
        assert cursor.fetchone() == (1,)


def test_a_session_cannot_have_a_history_ignored() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('pgtrigger.ignore', array_agg(tgname)::text, true) FROM pg_trigger"
        )
    Tenant.objects.create(key="acme")
    assert last(Tenant(key="acme")).pgh_label == "insert"


def test_migrating_again_keeps_histories_closed() -> None:
    assert call_command("migrate", check_unapplied=True, database="default", verbosity=0) is None
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT proname FROM pg_proc WHERE proname = ANY(%s) AND NOT prosecdef",
            [sorted(privileges.recorders())],
        )
        assert cursor.fetchall() == []
