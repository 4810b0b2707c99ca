"""A real browser, for tests that click."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.outside.chromium import FLAGS, find


@contextmanager
def chromium() -> Iterator[Browser]:
    """A Chromium without a window; the test is skipped where the machine has none.

    While it is open this thread runs an event loop, in which Django's ORM refuses to work: what a
    test sets up in the database comes before.
    """
    program = find()
    if program is None:
        pytest.skip("no Chromium: requirements/browser.sh installs one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*FLAGS])
        try:
            yield browser
        finally:
            browser.close()
