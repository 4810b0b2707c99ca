"""Approving, closing and reopening in the admin: the same functions, the same refusals."""

from __future__ import annotations

import pytest
from django.urls import reverse

from allocation.models import AllocationRun, PeriodClose, RunApproval, Statement
from tests.admin_pages import browser, person, text, told
from tests.allocation.october import ANALYST, CONTROLLER

pytestmark = pytest.mark.django_db


def approval_page() -> str:
    run = AllocationRun.objects.get()
    return reverse("admin:allocation_allocationrun_approve", args=[run.pk])


CHECK = reverse("admin:allocation_month_check", args=["2026-10"])


@pytest.mark.usefixtures("ready")
def test_looking_at_the_approval_approves_nothing() -> None:
    client = browser(person("second", "approver"))
    assert "Approve run 1" in text(client.get(approval_page()))
    assert not RunApproval.objects.exists()


@pytest.mark.usefixtures("ready")
def test_a_second_person_approves_and_statements_are_issued() -> None:
    response = browser(person("second", "approver")).post(approval_page(), follow=True)
    assert "is approved" in told(response)
    assert RunApproval.objects.get().approved_by == "second"
    assert Statement.objects.exists()


@pytest.mark.usefixtures("ready")
def test_the_author_is_refused_with_a_message() -> None:
    author = person(ANALYST, "approver")
    response = browser(author).post(approval_page())
    assert response.status_code == 200
    assert "another person approves it" in text(response)
    assert not RunApproval.objects.exists()


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("role", ["viewer", "finance", "engineer", "auditor"])
def test_without_the_right_there_is_no_button_and_no_approval(role: str) -> None:
    client = browser(person("somebody", role))
    run = AllocationRun.objects.get()
    page = text(client.get(reverse("admin:allocation_allocationrun_change", args=[run.pk])))
    assert approval_page() not in page
    assert client.post(approval_page()).status_code == 403
    assert not RunApproval.objects.exists()


@pytest.mark.usefixtures("ready")
def test_an_approver_has_the_button() -> None:
    client = browser(person("second", "approver"))
    run = AllocationRun.objects.get()
    page = text(client.get(reverse("admin:allocation_allocationrun_change", args=[run.pk])))
    assert approval_page() in page


@pytest.mark.usefixtures("ready")
def test_the_four_questions_are_shown_and_the_month_closes() -> None:
    client = browser(person("second", "approver"))
    page = text(client.get(CHECK))
    assert "Is every bill in?" in page
    assert "can be closed" in page
    response = client.post(CHECK, {"accept_unexplained": ""}, follow=True)
    assert "is closed by second" in told(response)
    assert PeriodClose.objects.get().closed_by == "second"


@pytest.mark.usefixtures("ready")
def test_who_may_not_close_sees_the_questions_only() -> None:
    client = browser(person("viewer", "viewer"))
    assert "Is every bill in?" in text(client.get(CHECK))
    assert client.post(CHECK, {}).status_code == 403
    assert not PeriodClose.objects.exists()


@pytest.mark.usefixtures("db")
def test_a_month_that_is_not_ready_says_what_is_missing() -> None:
    client = browser(person("second", "approver"))
    response = client.post(CHECK, {"accept_unexplained": ""})
    assert response.status_code == 200
    assert "no bill for 2026-10" in text(response)
    assert not PeriodClose.objects.exists()


def test_no_month_is_not_found() -> None:
    url = reverse("admin:allocation_month_check", args=["soon"])
    assert browser(person("second", "approver")).get(url).status_code == 404


def test_reopening_needs_a_reason_and_another_person(closed: PeriodClose) -> None:
    url = reverse("admin:allocation_periodclose_reopen", args=[closed.pk])
    second = browser(person("second", "approver"))
    assert "This field is required" in text(second.post(url, {"reason": ""}))
    own = browser(person(CONTROLLER, "approver"))
    assert "another person reopens it" in text(own.post(url, {"reason": "a bill came late"}))
    assert not hasattr(PeriodClose.objects.get(), "reopening")
    response = second.post(url, {"reason": "a bill came late"}, follow=True)
    assert "is open again" in told(response)
    assert PeriodClose.objects.get().reopening.reason == "a bill came late"


@pytest.mark.usefixtures("closed")
@pytest.mark.parametrize(
    ("form", "kind"), [("html", "text/html"), ("csv", "text/csv"), ("json", "application/json")]
)
def test_a_statement_is_taken_away(form: str, kind: str) -> None:
    row = Statement.objects.get(cost_centre="cc-growth")
    url = reverse("admin:allocation_statement_change", args=[row.pk]).replace("change", form)
    response = browser(person("v", "viewer")).get(url)
    assert response["Content-Type"].startswith(kind)
    assert "attachment" in response["Content-Disposition"]
    assert row.digest in text(response) or form == "csv"


@pytest.mark.usefixtures("closed")
def test_a_statement_leads_to_its_events() -> None:
    row = Statement.objects.get(cost_centre="cc-growth")
    url = reverse("admin:allocation_statement_evidence", args=[row.pk])
    page = text(browser(person("v", "viewer")).get(url))
    assert row.events_digest in page
    assert page.count("/admin/metering/usageevent/") - page.count('usageevent/"') >= row.events
