"""The double on a port: HTTP around `api`, control from other processes, webhooks sent."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.doubles.stripe.api import Answer, Api
from tests.doubles.stripe.books import Books
from tests.doubles.stripe.webhooks import Order, post

KEY = "sk_test_double"


class StripeDouble:
    """This Stripe on 127.0.0.1, in threads of this process, while it is entered.

    With a `webhook` address, its events are sent there by `deliver`, or by themselves once
    `deliver_always` was called.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        clock: Callable[[], int] | None = None,
        webhook: str | None = None,
        secret: str = "whsec_double",
    ) -> None:
        self.books = Books(clock or (lambda: int(time.time())))
        self.api = Api(self.books)
        self.webhook = webhook
        self.secret = secret
        self.released = threading.Event()
        self._sent = 0
        self._stop = threading.Event()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.double = self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.released.set()
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()

    def deliver(self, *, copies: int = 1, order: Order = "as_made") -> list[int]:
        """Send the events that were not sent yet; the statuses of the answers."""
        if self.webhook is None:
            return []
        with self.api.lock:
            events = self.books.events[self._sent :]
            self._sent += len(events)
        if order == "reversed":
            events.reverse()
        now = self.books.clock()
        return [
            post(self.webhook, event, self.secret, now) for event in events for _ in range(copies)
        ]

    def deliver_always(self, every_seconds: float, *, copies: int = 1, order: Order) -> None:
        """Send what is new, again and again, late by so much, until this double ends."""

        def go_on() -> None:
            while not self._stop.wait(every_seconds):
                try:
                    self.deliver(copies=copies, order=order)
                except OSError as unreachable:
                    print(f"webhook {self.webhook}: {unreachable}", flush=True)

        threading.Thread(target=go_on, daemon=True).start()

    def control(self, act: str, given: dict[str, Any]) -> Any:
        """What tests of other processes may ask for at `/_control/ACT`."""
        acts: dict[str, Callable[[], Any]] = {
            "fault": lambda: self.api.fault(**given),
            "forget_keys": self.api.forget_keys,
            "release": self.released.set,
            "deliver": lambda: self.deliver(**given),
            "calls": lambda: [vars(x) for x in self.api.calls],
            "invoices": lambda: self.books.list_invoices({}),
            "lines": lambda: self.books.lines(given["invoice"]),
            "events": lambda: self.books.events,
            "pay": lambda: self.books.pay(given["invoice"]),
            "void": lambda: self.books.void(given["invoice"]),
        }
        with self.api.lock:
            return acts[act]()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    double: StripeDouble


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True  # else a long answer's end waits 40 ms for an acknowledgement

    def do_GET(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def do_DELETE(self) -> None:
        self._respond()

    def log_message(self, format: str, *args: object) -> None:
        """Tests look at `Api.calls` instead."""

    def _respond(self) -> None:
        double = self.server.double
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        parts = urlsplit(self.path)
        prefix, _, act = parts.path.rpartition("/")
        if prefix == "/_control":
            done = double.control(act, json.loads(body or "{}"))
            self._send(Answer(200, json.dumps(done, default=str).encode()))
            return
        headers = dict(self.headers)
        answer = double.api.answer(self.command, parts.path, parts.query, body, headers)
        if answer.fate == "hang":
            double.released.wait(60)
        if answer.fate == "sent":
            self._send(answer)
        else:
            self.close_connection = True

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)
