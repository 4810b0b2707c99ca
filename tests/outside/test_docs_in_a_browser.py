"""The API's page in a real browser that can reach nothing but the server."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tests.outside.browser import chromium
from tests.serving import Server

pytestmark = pytest.mark.outside


def test_the_api_can_be_read_without_the_internet(server: Server) -> None:
    asked: list[str] = []
    broken: list[str] = []
    with chromium() as browser:
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: broken.append(str(error)))
        page.on(
            "console",
            lambda message: broken.append(message.text) if message.type == "error" else None,
        )
        page.goto(f"{server.url}/api/docs/")
        page.wait_for_selector("#operations-portal-portal_charges")
        assert page.locator(".opblock").count() > 25
        page.click("#operations-ingest-ingest_usage")
        page.wait_for_selector("#operations-ingest-ingest_usage >> text=externalRequestId")
    assert broken == []
    own = urlsplit(server.url).netloc
    assert [url for url in asked if urlsplit(url).netloc != own and url[:5] != "data:"] == []
