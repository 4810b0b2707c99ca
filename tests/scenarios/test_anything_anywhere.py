"""Anything at all in a message that is otherwise good, sent to every endpoint: it is refused in the
endpoint's words, or stored, and the messages beside it are stored."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.metering.api.keys import post, rows, secret
from tests.metering.formats.anything import Path, places, spoilings, spoilt, written
from tests.scenarios.test_bad_bodies import expect_agreement
from tests.scenarios.wires import BESIDE, WIRES, Wire, headers

pytestmark = pytest.mark.usefixtures("db")

EXAMPLES = max(10, settings().max_examples // 5)
"""Each is a request, which takes longer than a parser."""
GOOD = "gpt-4.1-nano"
"""The model of the call beside the one that is spoilt, by which its event is found."""


@dataclass(frozen=True)
class Beside:
    """How an endpoint takes several calls: as an array, or as one in the member `within`; `whole`
    is one that may refuse all for one of them."""

    within: str = ""
    content_type: str = "application/json"
    whole: bool = False


_BATCH = "application/cloudevents-batch+json"
ENDPOINTS: Mapping[str, Beside | None] = {
    "native": Beside(),
    "opsmeter": None,
    "litellm": Beside(),
    "openmeter": Beside(content_type=_BATCH, whole=True),
    "lago": None,
    "lago, batch": Beside("events", whole=True),
    "otlp, JSON": Beside("resourceSpans"),
    "otlp of langfuse": Beside("resourceSpans", whole=True),
    "langfuse": Beside("batch"),
    "langsmith": Beside("post"),
    "outcomes": Beside(content_type=_BATCH),
}
"""Endpoints by the name of their request; `None` takes one call at a time."""
WIRE = {wire.name: wire for wire in (*WIRES, *BESIDE) if wire.name in ENDPOINTS}
IDS = {
    "req-1": "req-2",
    "chatcmpl-1": "chatcmpl-2",
    "call-1": "call-2",
    "trace-1": "trace-2",
    "tr-1": "tr-2",
    "gen-1": "gen-2",
    "e-1": "e-2",
    "txn-1": "txn-2",
    "5b8efff798038103d269b633813fc60c": "6b8efff798038103d269b633813fc60c",
    "00000000-0000-0000-0000-000000000007": "00000000-0000-0000-0000-000000000008",
    "gpt-4o-mini": GOOD,
}


def neighbour(wire: Wire) -> Any:
    """The same call with ids and a model of its own."""
    body = wire.body.decode()
    for theirs, own in IDS.items():
        body = body.replace(theirs, own)
    made = json.loads(body)
    for each in made.get("batch", ()) if isinstance(made, dict) else ():
        each["id"] = f"beside-{each['id']}"
    return made


@contextmanager
def undone() -> Iterator[None]:
    """What is stored within is gone afterwards."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def send(wire: Wire, key: str, body: bytes, content_type: str) -> Any:
    return post(None, body, path=wire.path, content_type=content_type, **headers(wire, key))


def stored_beside(wire: Wire) -> int:
    if wire.name == "outcomes":
        query = "SELECT count(*) FROM business_outcome WHERE outcome_id = 'chat e-2'"
    else:
        query = f"SELECT count(*) FROM usage_event WHERE model = '{GOOD}'"
    return int(rows(query)[0][0])


def calls(body: Any, beside: Beside) -> list[Any]:
    """What the body tells, one by one."""
    if beside.within:
        found: list[Any] = body[beside.within]
        return found
    return body if isinstance(body, list) else [body]


def together(wire: Wire, beside: Beside) -> tuple[Any, int]:
    """The body of the good call and the other, and how many of its parts are the good one's."""
    body, good = json.loads(wire.body), calls(neighbour(wire), beside)
    both = [*good, *calls(body, beside)]
    return ({**body, beside.within: both} if beside.within else both), len(good)


@st.composite
def spoilt_bodies(draw: st.DrawFn, name: str) -> bytes:
    wire, beside = WIRE[name], ENDPOINTS[name]
    if beside is None:
        return draw(spoilings(json.loads(wire.body)))
    body, good = together(wire, beside)
    start: Path = (beside.within,) if beside.within else ()
    found = [
        (*start, good + int(number), *rest)
        for number, *rest in places(calls(json.loads(wire.body), beside))
    ]
    paths = st.lists(st.sampled_from(sorted(found, key=repr)), min_size=1, max_size=2, unique=True)
    return spoilt(body, [(path, draw(written)) for path in draw(paths)])


@pytest.mark.parametrize("name", ENDPOINTS)
@settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_the_endpoint_answers_and_the_neighbour_is_stored(name: str, data: Any) -> None:
    body = data.draw(spoilt_bodies(name))
    wire, beside = WIRE[name], ENDPOINTS[name]
    with undone():
        key = secret()
        kind = wire.content_type if beside is None else beside.content_type
        response = send(wire, key, body, kind)
        assert response.status_code < 500, response.content[:300]
        if "json" in response.headers.get("Content-Type", ""):
            json.loads(response.content)
        if beside is not None:
            taken = stored_beside(wire)
            if response.status_code < 300 and not beside.whole:
                assert taken == 1, response.content[:500]
            if response.status_code in (400, 413, 415):
                assert taken == 0, "4xx: nothing was stored"


@pytest.mark.parametrize("name", [name for name, beside in ENDPOINTS.items() if beside])
def test_without_anything_in_it_both_are_stored(name: str) -> None:
    """That the property above means what it says."""
    wire, beside = WIRE[name], ENDPOINTS[name]
    assert beside is not None
    both, _ = together(wire, beside)
    response = send(wire, secret(), json.dumps(both).encode(), beside.content_type)
    assert response.status_code < 300, response.content
    assert stored_beside(wire) == 1
    table = "business_outcome" if name == "outcomes" else "usage_event"
    assert rows(f"SELECT count(*) FROM {table}") == [(2,)]
    expect_agreement()
