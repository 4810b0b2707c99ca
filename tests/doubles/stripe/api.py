"""A request and its answer, without the sockets: key, parameters, idempotency, faults, pages."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final
from urllib.parse import parse_qsl

from tests.doubles.stripe import objects
from tests.doubles.stripe.books import Books
from tests.doubles.stripe.errors import ApiError, server_error
from tests.doubles.stripe.faults import Fault, Kind
from tests.doubles.stripe.objects import Content
from tests.doubles.stripe.parameters import TYPED, checked, decoded

_LISTS: Final = frozenset(
    {"GET /v1/customers", "GET /v1/invoices", "GET /v1/invoiceitems", "GET /v1/invoices/{id}/lines"}
)
_KEYS: Final = ("sk_test_", "rk_test_")


@dataclass
class Answer:
    """`fate`: what happens on the wire: `sent`, `lost` or `hang`."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    fate: str = "sent"


@dataclass(frozen=True)
class Call:
    """One request as it came, for tests to look at."""

    call: str
    params: Content
    key: str | None
    status: int


@dataclass
class _Kept:
    fingerprint: str
    status: int
    body: bytes
    request_id: str


class Api:
    def __init__(self, books: Books) -> None:
        self.books = books
        self.faults: list[Fault] = []
        self.calls: list[Call] = []
        self.rate: int | None = None
        """Requests a second; more are answered 429."""
        self._kept: dict[str, _Kept] = {}
        self._busy: set[str] = set()
        self._second = (0, 0)
        self._serial = count(1)
        self.lock = threading.RLock()

    def fault(self, pattern: str, kind: Kind, times: int = 1, skip: int = 0) -> None:
        with self.lock:
            self.faults.append(Fault(pattern, kind, times, skip))

    def forget_keys(self) -> None:
        """As after a day: idempotency keys are no longer known."""
        self._kept.clear()

    def answer(
        self, method: str, path: str, query: str, body: str, headers: Mapping[str, str]
    ) -> Answer:
        """Every request in turn: what this Stripe does to its books it does alone."""
        with self.lock:
            request_id = f"req_{next(self._serial):014}"
            key = headers.get("Idempotency-Key") if method == "POST" else None
            pairs = parse_qsl(body if method == "POST" else query, keep_blank_values=True)
            try:
                params = decoded(pairs)
                answer = self._within(method, path, params, key, headers, request_id)
            except ApiError as error:
                params = dict(pairs)
                answer = Answer(error.status, _json(error.body()))
            answer.headers.setdefault("Request-Id", request_id)
            self.calls.append(Call(f"{method} {path}", params, key, answer.status))
            return answer

    def _within(
        self,
        method: str,
        path: str,
        params: Content,
        key: str | None,
        headers: Mapping[str, str],
        request_id: str,
    ) -> Answer:
        _authorize(headers)
        self._limit()
        struck = next((f.kind for f in self.faults if f.strikes(f"{method} {path}")), None)
        if struck == "unavailable":
            return Answer(503, b"<html>upstream</html>")
        if struck == "rate_limit":
            raise _rate_limited()
        if struck == "conflict":
            raise ApiError(
                409,
                "There is currently another in-progress request using this Idempotency Key.",
                type="idempotency_error",
                code="idempotency_key_in_use",
            )
        fingerprint = hashlib.sha256(_json([method, path, params])).hexdigest()
        if key is not None and key in self._kept:
            return _replay(self._kept[key], fingerprint, key)
        answer, kept = self._perform(method, path, params, struck)
        if key is not None and kept:
            self._kept[key] = _Kept(fingerprint, answer.status, answer.body, request_id)
        if struck in ("lost", "hang"):
            answer.fate = struck
        if struck == "garbage":
            answer.body = b"<html>not JSON</html>"
        return answer

    def _perform(
        self, method: str, path: str, params: Content, struck: Kind | None
    ) -> tuple[Answer, bool]:
        try:
            route, id = _route(method, path)
            given = checked(route, params)
            if struck == "fail":
                raise server_error()
            made = self._do(route, path, id, given)
            if struck == "fail_after":
                raise server_error()
        except ApiError as error:
            return Answer(error.status, _json(error.body())), error.kept
        return Answer(200, _json(made)), True

    def _do(self, route: str, path: str, id: str, given: Content) -> Content:
        books = self.books
        acts: dict[str, Callable[[], Any]] = {
            "POST /v1/customers": lambda: books.create_customer(given),
            "GET /v1/customers": lambda: books.list_customers(given),
            "GET /v1/customers/search": lambda: books.search_customers(given),
            "GET /v1/customers/{id}": lambda: books.customer(id),
            "DELETE /v1/customers/{id}": lambda: books.delete_customer(id),
            "POST /v1/invoices": lambda: books.create_invoice(given),
            "GET /v1/invoices": lambda: books.list_invoices(given),
            "GET /v1/invoices/{id}": lambda: books.invoice(id),
            "DELETE /v1/invoices/{id}": lambda: books.delete_invoice(id),
            "GET /v1/invoices/{id}/lines": lambda: books.lines(id),
            "POST /v1/invoices/{id}/finalize": lambda: books.finalize(id, given),
            "POST /v1/invoices/{id}/pay": lambda: books.pay(id),
            "POST /v1/invoices/{id}/void": lambda: books.void(id),
            "POST /v1/invoices/{id}/mark_uncollectible": lambda: books.mark_uncollectible(id),
            "POST /v1/invoiceitems": lambda: books.create_item(given),
            "GET /v1/invoiceitems": lambda: books.list_items(given),
            "POST /v1/invoiceitems/{id}": lambda: books.change_item(id, given),
            "DELETE /v1/invoiceitems/{id}": lambda: books.delete_item(id),
        }
        made = copy.deepcopy(acts[route]())
        if route in _LISTS:
            return _page(path, made, given)
        if route == "GET /v1/customers/search":
            found = made[: given.get("limit", 10)]
            more = len(found) < len(made)
            return {
                "object": "search_result",
                "url": path,
                "has_more": more,
                "next_page": None,
                "data": found,
            }
        return dict(made)

    def _limit(self) -> None:
        if self.rate is None:
            return
        now = self.books.clock()
        second, seen = self._second
        self._second = (now, seen + 1 if now == second else 1)
        if self._second[1] > self.rate:
            raise _rate_limited()


def _authorize(headers: Mapping[str, str]) -> None:
    scheme, _, value = headers.get("Authorization", "").partition(" ")
    key = base64.b64decode(value).decode().partition(":")[0] if scheme == "Basic" else value
    if not key.startswith(_KEYS):
        raise ApiError(401, f"Invalid API Key provided: {key[:8]}***", kept=False)


def _rate_limited() -> ApiError:
    return ApiError(
        429, "Too many requests hit the API too quickly.", code="rate_limit", kept=False
    )


def _replay(kept: _Kept, fingerprint: str, key: str) -> Answer:
    if kept.fingerprint != fingerprint:
        raise ApiError(
            400,
            "Keys for idempotent requests can only be used with the same parameters they were "
            f"first used with. Try using a key other than '{key}' if you meant to execute a "
            "different request.",
            type="idempotency_error",
        )
    headers = {"Idempotent-Replayed": "true", "Original-Request": kept.request_id}
    return Answer(kept.status, kept.body, headers)


def _route(method: str, path: str) -> tuple[str, str]:
    for route in TYPED:
        verb, _, template = route.partition(" ")
        match = re.fullmatch(template.replace("{id}", "([a-z]+_[A-Za-z0-9]+)"), path)
        if verb == method and match:
            return route, match.group(1) if match.groups() else ""
    raise ApiError(404, f"Unrecognized request URL ({method}: {path}).", kept=False)


def _page(path: str, found: list[Content], given: Content) -> Content:
    limit = given.get("limit", 10)
    if not 1 <= limit <= 100:
        raise ApiError(400, "limit must be between 1 and 100", param="limit")
    after = given.get("starting_after")
    if after is not None:
        ids = [x["id"] for x in found]
        if after not in ids:
            raise ApiError(400, f"No such object: '{after}'", param="starting_after")
        found = found[ids.index(after) + 1 :]
    return objects.page(path, found[:limit], has_more=len(found) > limit)


def _json(value: object) -> bytes:
    return json.dumps(value, default=str, sort_keys=True).encode()
