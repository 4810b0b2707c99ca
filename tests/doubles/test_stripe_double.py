"""The double is like Stripe where the product meets it: objects, keys, limits, pages, errors."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import Request, urlopen

import pytest
import stripe

from tests.databases import ROOT
from tests.doubles.stripe import StripeDouble
from tests.doubles.stripe.parameters import TYPED, _adapter, decoded
from tests.doubles.stripe.server import KEY
from tests.doubles.stripe.webhooks import signature


@pytest.fixture
def double() -> Iterator[StripeDouble]:
    with StripeDouble(clock=lambda: 1_800_000_000) as running:
        yield running


@pytest.fixture
def client(double: StripeDouble) -> stripe.StripeClient:
    return stripe.StripeClient(KEY, base_addresses={"api": double.url}, max_network_retries=0)


@pytest.fixture
def customer(client: stripe.StripeClient) -> str:
    return client.v1.customers.create({"name": "Acme"}).id


@pytest.fixture
def draft(client: stripe.StripeClient, customer: str) -> str:
    made = client.v1.invoices.create({"customer": customer, "currency": "usd"})
    assert made.id is not None
    return made.id


def item(customer: str, draft: str, amount: int = 100, **terms: Any) -> Any:
    return {"customer": customer, "invoice": draft, "amount": amount, "currency": "usd", **terms}


@pytest.mark.parametrize("kind", ["customer", "invoice", "invoiceitem", "line_item", "event"])
def test_objects_have_every_field_of_stripes_own_examples(
    double: StripeDouble,
    client: stripe.StripeClient,
    customer: str,
    draft: str,
    kind: str,
    shared_data: Path,
) -> None:
    client.v1.invoice_items.create(item(customer, draft))
    books = double.books
    ours = {
        "customer": books.customer(customer),
        "invoice": books.invoice(draft),
        "invoiceitem": books.list_items({})[0],
        "line_item": books.lines(draft)[0],
        "event": books.events[0],
    }[kind]
    fixtures = shared_data / "stripe-fixtures" / "openapi" / "fixtures3.json"
    theirs = json.loads(fixtures.read_text())["resources"][kind]
    missing = set(theirs) - set(ours) - {"subscription"}
    assert not missing
    for name in set(theirs) & set(ours):
        if theirs[name] is not None and ours[name] is not None:
            assert type(ours[name]) is type(theirs[name]), name


@pytest.mark.parametrize("route", TYPED)
def test_the_sdk_has_a_type_for_every_route(route: str) -> None:
    assert _adapter(route).core_schema["type"]


def test_form_keys_are_decoded() -> None:
    assert decoded([("a[b][c]", "1"), ("d[0]", "x"), ("d[1]", "y"), ("e", "")]) == {
        "a": {"b": {"c": "1"}},
        "d": ["x", "y"],
        "e": "",
    }


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"colour": "red"}, "Received unknown parameter: colour"),
    ({"period": {"start": 1, "end": 2, "zone": "x"}}, "unknown parameter: period[zone]"),
    ({"period": {"start": 1}}, "Missing required param: period[end]"),
    ({"amount": "1.5"}, "Invalid amount"),
    ({"metadata": {"x" * 41: "1"}}, "Metadata names"),
    ({"metadata": {"x": "1" * 501}}, "Metadata names"),
    ({"currency": "eur"}, "currency must match"),
    ({"customer": "cus_unknown"}, "No such customer"),
    ({"invoice": "in_unknown"}, "No such invoice"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_wrong_parameters_are_refused(
    client: stripe.StripeClient, customer: str, draft: str, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.invoice_items.create(item(customer, draft) | change)
    assert message in str(refused.value)
    assert refused.value.request_id


def test_a_key_gives_the_first_answer_again_and_refuses_other_parameters(
    double: StripeDouble, client: stripe.StripeClient, customer: str, draft: str
) -> None:
    options: stripe.RequestOptions = {"idempotency_key": "k"}
    first = client.v1.invoice_items.create(item(customer, draft), options)
    again = client.v1.invoice_items.create(item(customer, draft), options)
    assert again.id == first.id
    assert again.last_response is not None
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    with pytest.raises(stripe.IdempotencyError, match="same parameters"):
        client.v1.invoice_items.create(item(customer, draft, 101), options)
    double.api.forget_keys()
    assert client.v1.invoice_items.create(item(customer, draft), options).id != first.id


def test_a_failure_is_kept_under_its_key_and_a_wrong_parameter_is_not(
    double: StripeDouble, client: stripe.StripeClient, customer: str, draft: str
) -> None:
    double.api.fault("POST /v1/invoiceitems", "fail")
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            client.v1.invoice_items.create(item(customer, draft), {"idempotency_key": "a"})
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.invoice_items.create(item(customer, draft, colour=1), {"idempotency_key": "b"})
    assert client.v1.invoice_items.create(item(customer, draft), {"idempotency_key": "b"}).id


def test_pages_hold_what_was_asked_for_newest_first(
    client: stripe.StripeClient, customer: str, draft: str
) -> None:
    made = [client.v1.invoice_items.create(item(customer, draft, n)).id for n in range(7)]
    page = client.v1.invoice_items.list({"invoice": draft, "limit": 3})
    assert [x.id for x in page.data] == made[:3:-1]
    assert page.has_more
    assert [x.id for x in page.auto_paging_iter()] == made[::-1]
    lines = client.v1.invoices.line_items.list(draft, {"limit": 2})
    assert [x.amount for x in lines.auto_paging_iter()] == [6, 5, 4, 3, 2, 1, 0]


def test_an_invoice_takes_250_items_and_a_draft_only(
    double: StripeDouble, client: stripe.StripeClient, customer: str, draft: str
) -> None:
    for n in range(250):
        double.books.create_item(item(customer, draft, n))
    with pytest.raises(stripe.InvalidRequestError, match="at most 250"):
        client.v1.invoice_items.create(item(customer, draft))
    done = client.v1.invoices.finalize_invoice(draft)
    assert (done.status, done.total, done.number is not None) == ("open", sum(range(250)), True)
    for call in (
        lambda: client.v1.invoice_items.create(item(customer, draft)),
        lambda: client.v1.invoices.finalize_invoice(draft),
        lambda: client.v1.invoices.delete(draft),
    ):
        with pytest.raises(stripe.InvalidRequestError):
            call()
    assert client.v1.invoices.pay(draft).status == "paid"


def test_special_currencies_take_whole_amounts(client: stripe.StripeClient, customer: str) -> None:
    for currency, wrong in (("isk", 550), ("kwd", 1234), ("ugx", 1)):
        with pytest.raises(stripe.InvalidRequestError, match="multiple"):
            client.v1.invoice_items.create(
                {"customer": customer, "amount": wrong, "currency": currency}
            )


def test_a_wrong_key_a_rate_limit_and_an_unknown_address(
    double: StripeDouble, client: stripe.StripeClient
) -> None:
    wrong = stripe.StripeClient("pk_x", base_addresses={"api": double.url}, max_network_retries=0)
    with pytest.raises(stripe.AuthenticationError):
        wrong.v1.customers.list()
    with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL"):
        client.v1.products.list()
    double.api.rate = 3
    for _ in range(3):
        client.v1.customers.list()
    with pytest.raises(stripe.RateLimitError):
        client.v1.customers.list()


def test_its_signatures_are_those_that_the_sdk_accepts() -> None:
    header = signature(b"{}", "whsec_x", 1_800_000_000)
    assert stripe.WebhookSignature.verify_header(b"{}", header, "whsec_x")
    theirs = stripe.WebhookSignature.generate_signature_header("{}", "whsec_x", 1_800_000_000)
    assert theirs == header


def test_webhooks_are_sent_late_twice_and_the_latest_first() -> None:
    came: list[dict[str, Any]] = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            header = self.headers["Stripe-Signature"]
            stripe.WebhookSignature.verify_header(body, header, "whsec_y")
            came.append(json.loads(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Listener)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}/stripe/webhook"
    with StripeDouble(webhook=address, secret="whsec_y") as double:
        first = double.books.create_customer({})
        second = double.books.create_customer({})
        assert came == []
        assert double.deliver(copies=2, order="reversed") == [200] * 4
        assert double.deliver() == []
    server.shutdown()
    server.server_close()
    assert [x["data"]["object"]["id"] for x in came] == [second["id"]] * 2 + [first["id"]] * 2


def test_it_runs_alone_and_is_controlled_from_outside() -> None:
    command = [sys.executable, "-m", "tests.doubles.stripe", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        told = dict(x.split("=") for x in process.stdout.readline().split())
        url = told["STRIPE_BASE_URL"]
        control(url, "fault", {"pattern": "POST /v1/customers", "kind": "fail"})
        client = stripe.StripeClient(
            told["STRIPE_API_KEY"], base_addresses={"api": url}, max_network_retries=0
        )
        with pytest.raises(stripe.APIError):
            client.v1.customers.create({})
        client.v1.customers.create({})
        assert [x["status"] for x in control(url, "calls", {})] == [500, 200]
        process.terminate()
        assert process.wait(timeout=30) == 0


def control(url: str, act: str, given: dict[str, Any]) -> Any:
    request = Request(f"{url}/_control/{act}", json.dumps(given).encode(), method="POST")
    with urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())
