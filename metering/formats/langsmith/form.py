"""LangSmith's multipart forms: one part for a run, one for each of its large members.

The parts are named `post.<run>`, `post.<run>.inputs`, `patch.<run>.outputs` and so on. Feedback and
attachments (`feedback.<id>`, `attachment.<run>.<name>`) travel with them and are passed over: they
hold what people said, and files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from metering.formats.batches import UnreadableBatch

MAX_PARTS: Final = 60_000
_NAME: Final = re.compile(rb'[ \t;]name="([^"\r\n]{1,1000})"', re.IGNORECASE)
_BOUNDARY: Final = re.compile(
    r"multipart/form-data\s*;(?:.*;)?\s*boundary=(?:\"([^\"]{1,70})\"|([^\s;\"]{1,70}))",
    re.IGNORECASE,
)
_KEPT: Final = frozenset({"inputs", "outputs", "extra", "error"})
_HEADERS_END: Final = b"\r\n\r\n"


@dataclass(kw_only=True)
class FormRun:
    """The parts of one run; of its large members those that say something of usage."""

    act: Literal["post", "patch"]
    run_id: str
    run: bytes | None = None
    inputs: bytes | None = None
    outputs: bytes | None = None
    extra: bytes | None = None
    error: bytes | None = None


def boundary_of(content_type: str) -> bytes | None:
    """The boundary that a Content-Type of a multipart form names; `None` for any other."""
    found = _BOUNDARY.match(content_type.strip())
    return None if found is None else (found[1] or found[2]).encode("latin-1", "replace")


def read_form(body: bytes, boundary: bytes) -> list[FormRun]:
    """The runs of a form, in the order of their first parts. Raises `UnreadableBatch` for a body
    that is no whole form."""
    runs: dict[tuple[str, str], FormRun] = {}
    for name, content in _parts(body, boundary):
        act, _, rest = name.partition(".")
        run_id, _, member = rest.partition(".")
        if act not in ("post", "patch") or not run_id:
            continue
        run = runs.get((act, run_id))
        if run is None:
            run = runs[act, run_id] = FormRun(
                act="post" if act == "post" else "patch", run_id=run_id[:200]
            )
        if not member:
            run.run = content
        elif member in _KEPT:
            setattr(run, member, content)
    return list(runs.values())


def _parts(body: bytes, boundary: bytes) -> list[tuple[str, bytes]]:
    mark = b"--" + boundary
    if not body.startswith(mark):
        raise UnreadableBatch("the body does not begin with its boundary; it is no multipart form")
    if body.count(b"\r\n" + mark) > MAX_PARTS:
        raise UnreadableBatch(f"the form has more than {MAX_PARTS} parts", too_many=True)
    parts: list[tuple[str, bytes]] = []
    position = len(mark)
    while not body.startswith(b"--", position):
        start = body.find(_HEADERS_END, position)
        end = body.find(b"\r\n" + mark, position)
        if start < 0 or end < start:
            # The last part is cut off, or a part has no head.
            raise UnreadableBatch(f"the form ends in the middle of a part, at byte {position}")
        named = _NAME.search(body, position, start)
        if named is None:
            raise UnreadableBatch(f"the part at byte {position} has no name")
        name = named[1].decode("utf-8", "replace")
        parts.append((name, body[start + len(_HEADERS_END) : end]))
        position = end + len(mark) + 2
    return parts
