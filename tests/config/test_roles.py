"""Roles are groups with the permissions of one table, and people are refused with a remedy."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission, User
from django.core.management import CommandError, call_command

from config import roles
from config.roles import ROLES
from metering import people
from metering.people import NotAllowed

ACTS = {
    "allocation.approve_allocationrun": {"approver"},
    "allocation.close_period": {"approver", "finance"},
    "allocation.reopen_period": {"approver"},
    "billing.approve_invoice": {"approver"},
    "billing.push_invoice": {"approver", "finance"},
    "allocation.add_allocationrun": {"finance"},
    "allocation.add_reconciliation": {"finance"},
    "allocation.add_providerbill": {"finance"},
    "allocation.add_ruleversion": {"finance"},
    "allocation.add_drivervalue": {"finance"},
    "billing.add_invoice": {"finance"},
    "billing.add_planversion": {"finance"},
    "billing.add_subscription": {"finance"},
    "metering.add_ownermapping": {"finance"},
    "metering.change_costcentre": {"finance"},
    "metering.add_budgetrow": {"finance"},
    "metering.add_pricelistimport": {"engineer", "finance"},
    "metering.add_source": {"engineer"},
    "metering.add_apikey": {"engineer"},
    "metering.change_apikey": {"engineer"},
    "metering.view_apikey": {"auditor", "engineer"},
    "django_celery_beat.change_periodictask": {"finance"},
    "django_celery_beat.view_periodictask": {"auditor", "engineer", "finance"},
    "auth.view_user": {"auditor"},
    "auth.change_user": set(),
    "pghistory.view_events": {"auditor"},
    "metering.view_useridentity": set(),
    "metering.view_tenant": set(ROLES),
    "allocation.view_statement": set(ROLES),
    "billing.view_invoice": set(ROLES),
}
"""Who may do it; nobody else may."""


@pytest.mark.django_db
@pytest.mark.parametrize("permission", ACTS)
@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_do_its_own_acts_and_no_others(role: str, permission: str) -> None:
    people.add("someone", [role])
    if role in ACTS[permission]:
        assert people.acting("someone", permission).username == "someone"
        return
    with pytest.raises(NotAllowed) as refused:
        people.acting("someone", permission)
    assert f"someone lacks the right {permission}" in str(refused.value)
    for able in ACTS[permission]:
        assert able in str(refused.value)


@pytest.mark.django_db
def test_the_remedy_of_a_refusal_lifts_it() -> None:
    with pytest.raises(NotAllowed) as refused:
        people.acting("newcomer", roles.APPROVE_RUN)
    command = str(refused.value).rpartition("manage.py ")[2].split()
    call_command(*command, stdout=StringIO())
    assert people.acting("newcomer", roles.APPROVE_RUN).username == "newcomer"


@pytest.mark.django_db
def test_nobody_and_who_has_left_may_not_act() -> None:
    User.objects.create_superuser("gone", is_active=False)
    for name, because in (("", "name one with --as"), ("gone", "no active user")):
        with pytest.raises(NotAllowed, match=because):
            people.acting(name, roles.APPROVE_RUN)


@pytest.mark.django_db
def test_a_superuser_may_act() -> None:
    User.objects.create_superuser("root")
    assert people.acting("root", roles.APPROVE_RUN).is_superuser


@pytest.mark.django_db
def test_every_right_of_the_table_exists() -> None:
    assert roles.apply("default") == frozenset()


@pytest.mark.django_db
def test_no_role_may_delete() -> None:
    assert not Permission.objects.filter(
        group__name__in=ROLES, codename__startswith="delete"
    ).exists()


@pytest.mark.django_db
def test_applying_again_restores_the_table_and_leaves_other_groups() -> None:
    other = Group.objects.create(name="of our own")
    right = Permission.objects.get(codename="delete_tenant")
    other.permissions.add(right)
    viewer = Group.objects.get(name="viewer")
    viewer.permissions.add(right)
    viewer.permissions.remove(Permission.objects.get(codename="view_invoice"))
    people.add("someone", ["viewer"])

    roles.apply("default")
    roles.apply("default")

    assert set(other.permissions.all()) == {right}
    assert {
        f"{p.content_type.app_label}.{p.codename}"
        for p in viewer.permissions.select_related("content_type")
    } == ROLES["viewer"].permissions
    assert list(viewer.user_set.values_list("username", flat=True)) == ["someone"]


UNSEEN = {
    "metering.useridentity": "the way back from a pseudonym to a person is for nobody to look at",
    "metering.apikey": "for engineers and auditors",
}
"""Models of a month that a viewer does not see, and why."""


def test_a_viewer_sees_every_model_of_the_month() -> None:
    models = {
        model._meta.label_lower
        for app in ("metering", "allocation", "billing")
        for model in apps.get_app_config(app).get_models()
        if not hasattr(model, "pgh_tracked_model") and not model._meta.proxy
    }
    seen = {p.replace(".view_", ".") for p in ROLES["viewer"].permissions}
    assert models - seen - UNSEEN.keys() == set()
    assert not seen & UNSEEN.keys()


@pytest.mark.django_db
def test_a_person_is_added_with_roles_and_given_more() -> None:
    out = StringIO()
    call_command("add_person", "ann", "--role", "viewer", stdout=out)
    assert "ann is added: viewer" in out.getvalue()
    assert "manage.py changepassword ann" in out.getvalue()
    out = StringIO()
    call_command("add_person", "ann", "--role", "finance", "--json", stdout=out)
    assert json.loads(out.getvalue()) == {
        "user": "ann",
        "created": False,
        "roles": ["finance", "viewer"],
    }
    assert User.objects.get(username="ann").is_staff
    with pytest.raises(CommandError, match="no role 'boss'; there are: viewer, finance"):
        call_command("add_person", "ann", "--role", "boss")
