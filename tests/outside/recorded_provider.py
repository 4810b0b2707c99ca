"""A provider that answers as recorded: real clients are pointed at it, and it says to each request
what a provider once said.

A request names what it wants answered in the header `X-Recorded`: `CASSETTE#NUMBER`, the file's
name and the exchange in it.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import yaml


class Answer(NamedTuple):
    """What a provider said."""

    status: int
    content_type: str
    body: bytes


class Recordings:
    """The cassettes of a folder, by their files' names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, Answer] = {}

    def answer(self, wanted: str) -> Answer:
        """What was answered in the exchange `CASSETTE#NUMBER`."""
        if wanted not in self._known:
            name, _, number = wanted.rpartition("#")
            exchanges = yaml.load(self._paths[name].read_text(), Loader=yaml.CSafeLoader)
            self._known[wanted] = _answer(exchanges["interactions"][int(number)]["response"])
        return self._known[wanted]

    @cached_property
    def _paths(self) -> dict[str, Path]:
        return {path.stem: path for path in self._folder.rglob("*.yaml")}


def _answer(response: dict[str, Any]) -> Answer:
    body = response.get("body", {}).get("string")
    if body is None:
        body = json.dumps(response["parsed_body"])
    if isinstance(body, str):
        body = body.encode()
    if body[:2] == b"\x1f\x8b":
        body = gzip.decompress(body)
    streamed = body.startswith((b"event:", b"data:"))
    content_type = "text/event-stream; charset=utf-8" if streamed else "application/json"
    return Answer(response["status"]["code"], content_type, body)


@contextmanager
def answering(recordings: Recordings) -> Iterator[str]:
    """The address of a provider that answers from the recordings, until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _speak(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = recordings.answer(self.headers["X-Recorded"])
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = _speak  # noqa: N815 - as the standard library names them

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
