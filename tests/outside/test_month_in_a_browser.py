"""October as finance clicks through it: from the start page to approved invoices."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from playwright.sync_api import Browser, Page, expect

from billing import invoice_run
from tests.allocation import october
from tests.allocation.october import ANALYST, CONTROLLER, NOW, OCTOBER
from tests.billing import billed
from tests.outside.browser import chromium
from tests.serving import Server

pytestmark = pytest.mark.outside
PASSWORD = "as long as it is long"


@pytest.fixture
def october_by_the_analyst(fresh_db: str, tmp_path: Path) -> None:
    """All that the analyst prepares: usage, a bill, its reconciliation, a run, draft invoices."""
    if datetime.now(UTC) < datetime(2026, 11, 1, tzinfo=UTC):
        pytest.skip("by this machine's clock October 2026 is not over")
    october.company(tmp_path)
    october.usage_and_bill()
    october.reconcile()
    october.run()
    billed.plans(billed.on_pro("acme"), billed.on_pro("globex"))
    invoice_run.run(OCTOBER, author=ANALYST, now=NOW)
    for user in get_user_model().objects.all():
        user.set_password(PASSWORD)
        user.save()


@dataclass(frozen=True)
class Person:
    """Somebody at the admin, in a browser session of their own."""

    page: Page
    url: str

    def start(self) -> None:
        self.page.goto(f"{self.url}/admin/?month={OCTOBER}")

    def press(self, name: str) -> None:
        """Press the button or link of that name in the page (not in its sidebar)."""
        ends_so = re.compile(rf"(^|\s){re.escape(name)}$")  # an icon's word may stand before it
        button = self.page.get_by_role("button", name=ends_so)
        link = self.page.get_by_role("link", name=ends_so)
        button.or_(link).first.click()

    def sees(self, text: str | re.Pattern[str]) -> None:
        expect(self.page.get_by_text(text).first).to_be_visible()

    def does_not_see(self, text: str) -> None:
        expect(self.page.get_by_text(text)).to_have_count(0)


@contextmanager
def somebody(browser: Browser, server: Server, username: str) -> Iterator[Person]:
    """Logs in; at the end no script of any page may have failed."""
    failures: list[str] = []
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.on(
        "response", lambda answer: failures.append(answer.url) if answer.status >= 500 else None
    )
    person = Person(page, server.url)
    page.goto(f"{server.url}/")
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(re.compile(r"/admin/(\?.*)?$"))
    yield person
    context.close()
    assert failures == []


def test_a_month_is_approved_closed_and_invoiced_by_clicking(
    october_by_the_analyst: None, server: Server
) -> None:
    with chromium() as browser:
        with somebody(browser, server, ANALYST) as analyst:
            analyst.start()
            analyst.sees("Have run 1 approved")
            analyst.sees("You made it, so another person approves it.")
            analyst.press("See the run")
            analyst.press("Approve")
            analyst.press("Approve the run")
            analyst.sees(re.compile("another person"))
            analyst.start()
            analyst.sees("Have run 1 approved")

        with somebody(browser, server, CONTROLLER) as controller:
            controller.start()
            controller.press("Review the run")
            controller.press("Approve")
            controller.press("Approve the run")
            controller.sees("Run 1 of 2026-10 is approved; its statements are issued.")
            controller.start()
            controller.press("Check and close")
            controller.press("Close 2026-10")
            controller.sees(re.compile("2026-10 is closed by"))
            controller.sees("Approve 2 invoices")
            controller.press("Review the drafts")
            controller.page.get_by_label("Select all").first.check()
            controller.page.locator("select[name=action]").select_option("approve_chosen")
            controller.press("Run")
            controller.sees("2 invoices are approved.")
            controller.start()
            controller.sees("Send 2 approved invoices")
