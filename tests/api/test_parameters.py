"""Parameters from outside: injections, absurd dates, huge pages, forged cursors. Each is refused
by name with what to do instead, or is harmless; none is an error of ours."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from urllib.parse import quote, urlencode

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import resolve

from metering import api_keys
from tests.allocation.october import NOW
from tests.api.books import Asking, Keys
from tests.api.routes import FINANCE, PORTAL, path_of
from tests.billing.billed import call, calls

pytestmark = pytest.mark.django_db

USAGE, SERIES = "/api/v1/portal/usage", "/api/v1/portal/series"
CHARGES, INVOICES = "/api/v1/portal/charges", "/api/v1/portal/invoices"

NASTY = (
    "'; DROP TABLE invoice; --",
    "1 OR 1=1",
    "%27%20OR%201=1",
    "%s%(x)s",
    "\0",
    "a\0b",
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "\N{RIGHT-TO-LEFT OVERRIDE}globex",
    "9" * 400,
    "NaN",
    "-1",
    "",
    "globex",
    "🙂" * 300,
)


@pytest.fixture
def tenant(november: None) -> Asking:
    calls(call("2026-11-01T12:00"), call("2026-11-02T12:00", model="gpt-4o"))
    return Asking(api_keys.create("acme", "portal", "acme", now=NOW)[1])


@pytest.mark.parametrize(
    ("query", "named", "said"),
    [
        ({"from": "2026-10-01"}, "to", "neither"),
        ({"to": "2026-10-01"}, "from", "neither"),
        ({"from": "2026-10-02", "to": "2026-10-02"}, "to", "exclusive"),
        ({"from": "2026-10-02", "to": "2026-10-01"}, "to", "exclusive"),
        ({"from": "2025-01-01", "to": "2026-10-01"}, "to", "at most 400"),
        ({"from": "0001-01-01", "to": "0001-01-02"}, "from", "out of range"),
        ({"from": "9999-12-30", "to": "9999-12-31"}, "to", "out of range"),
        ({"from": "yesterday", "to": "2026-10-01"}, "from", "YYYY-MM-DD"),
        ({"from": "2026-02-30", "to": "2026-10-01"}, "from", "YYYY-MM-DD"),
        ({"from": "2026-10-01T00:00:00Z", "to": "2026-10-02"}, "from", "YYYY-MM-DD"),
        ({"limit": "0"}, "limit", "1 to 1000"),
        ({"limit": "-5"}, "limit", "1 to 1000"),
        ({"limit": "1001"}, "limit", "at most 1000"),
        ({"limit": "9" * 50}, "limit", "at most 1000"),
        ({"limit": "9" * 5000}, "limit", "at most 1000"),
        ({"limit": "ten"}, "limit", "integer"),
        ({"by": "cost"}, "by", "cost"),
        ({"usage": "everything"}, "usage", "everything"),
        ({"tenant": "globex"}, "tenant", "no such parameter"),
        ({"cost_centre": "x"}, "cost_centre", "there are"),
        ({"cursor": "zzz"}, "cursor", "no cursor"),
    ],
)
def test_what_is_wrong_is_named_with_the_remedy(
    query: dict[str, str], named: str, said: str, tenant: Asking
) -> None:
    status, body = tenant.get(SERIES, **query)
    assert (status, body["type"]) == (400, "urn:apportion:problem:invalid"), body
    assert said.lower() in " ".join(body["errors"][named]).lower(), body


def test_a_parameter_given_twice_is_refused(tenant: Asking) -> None:
    status, body = tenant.get(f"{SERIES}?limit=1&limit=2")
    assert status == 400
    assert "once" in body["errors"]["limit"][0]


@pytest.mark.parametrize(
    "position",
    [
        b'["2026-11-01","x\\u0000"]',
        b'["1999-01-01","x"]',
        b'["2026-11-01"]',
        b'["2026-11-01",7]',
        b"7",
        b"null",
        b"{}",
        b"\xff\xfe",
        b'["2026-11-01","\\ud800"]',
        b"[" * 1000,
    ],
)
def test_a_forged_cursor_is_refused(position: bytes, tenant: Asking) -> None:
    status, body = tenant.get(SERIES, cursor=urlsafe_b64encode(position).decode())
    assert (status, list(body["errors"])) == (400, ["cursor"]), body


def test_a_cursor_beyond_all_numbers_is_the_end(tenant: Asking) -> None:
    for number in (b"0", b"-5", b"9223372036854775807", b"9" * 30):
        status, body = tenant.get(INVOICES, cursor=urlsafe_b64encode(number).decode())
        assert status in (200, 400), body
        assert status == 400 or body == {"items": [], "next": None}


def test_nothing_sent_is_an_error_of_ours(books: Keys) -> None:
    """Every parameter of every route with everything nasty; those of pages, which are the same
    everywhere, on one route of each kind."""
    for route in (*PORTAL, *FINANCE):
        path = path_of(route, "acme")
        asking = Asking(getattr(books, route.split("-")[0]))
        parameters = resolve(path).func.view_class.parameters  # type: ignore[attr-defined]
        for name in set(parameters().fields) if parameters else ():
            if name in ("limit", "cursor") and route not in ("portal-series", "finance-runs"):
                continue
            for value in NASTY:
                status, body = asking.get(f"{path}?{urlencode({name: value})}")
                assert status in (200, 400, 404), (route, name, value, body)
                if status == 400:
                    assert {name, "from", "to"} & set(body["errors"]), (route, name, value, body)


def test_nothing_in_a_path_is_an_error_of_ours(books: Keys) -> None:
    for value in NASTY:
        for path in ("statements", "months", "bills", "runs", "invoices", "reconciliations"):
            status = Asking(books.finance).status(f"/api/v1/finance/{path}/{quote(value)}")
            assert status in (200, 404), (path, value)
        assert Asking(books.portal).status(f"{INVOICES}/{quote(value)}") in (200, 404), value


def test_a_page_asks_the_database_as_often_whatever_its_length(books: Keys) -> None:
    """No query for each row: pages of one and of many ask alike."""

    def asked(path: str, limit: int, secret: str) -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert len(Asking(secret).ok(path, limit=limit)["items"]) == limit or limit == 50
        return sum("SAVEPOINT" not in query["sql"] for query in queries)

    for name, secret in (
        ("portal-line-evidence", books.portal),
        ("portal-line-parts", books.portal),
        ("finance-invoices", books.finance),
        ("finance-run-lines", books.finance),
        ("finance-run-settlements", books.finance),
        ("finance-reconciliation-cells", books.finance),
        ("finance-statements", books.finance),
        ("finance-bill-lines", books.finance),
    ):
        path = path_of(name, "acme")
        asked(path, 50, secret)  # a key's first use is noted
        assert asked(path, 1, secret) == asked(path, 50, secret), name
