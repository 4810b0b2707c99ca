"""The schema describes everything that is there, and its page needs nothing from elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from tests.api.books import Asking, Keys
from tests.api.routes import FINANCE, PORTAL, QUERIES, path_of


@pytest.fixture(scope="module")
def schema() -> Any:
    response = Client().get("/api/schema/", {"format": "json"})
    assert response.status_code == 200
    return json.loads(response.content)


def test_the_schema_is_valid_and_raises_no_warning(tmp_path: Any) -> None:
    call_command(
        "spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml")
    )


def operations(schema: Any) -> Iterator[tuple[str, Any]]:
    for path, methods in schema["paths"].items():
        for operation in methods.values():
            yield path, operation


def test_every_route_is_described(schema: Any) -> None:
    named = {operation["operationId"] for _, operation in operations(schema)}
    assert {name.replace("-", "_") for name in (*PORTAL, *FINANCE)} | {"ingest_usage"} <= named
    for path, operation in operations(schema):
        assert operation["summary"], path
        assert operation["description"], path
        assert {"apiKeyBearer": []} in operation["security"], path
        assert {"200", "401", "403"} <= set(operation["responses"]), path
        for parameter in operation.get("parameters", ()):
            assert parameter["description"], (path, parameter)


def test_every_field_of_an_answer_is_described(schema: Any) -> None:
    components = schema["components"]["schemas"]
    for name, component in components.items():
        if "properties" not in component:
            continue
        for field, shape in component["properties"].items():
            nested = "$ref" in json.dumps(shape)
            assert nested or shape.get("description"), f"{name}.{field}"
        assert component.get("description"), name


def test_amounts_are_strings(schema: Any) -> None:
    for name, component in schema["components"]["schemas"].items():
        for field, shape in component.get("properties", {}).items():
            assert shape.get("type") != "number", f"{name}.{field} would lose digits"


def test_what_is_sent_is_what_is_described(schema: Any, books: Keys) -> None:
    described = {op["operationId"]: op for _, op in operations(schema)}
    for name in (*PORTAL, *FINANCE):
        shape = described[name.replace("-", "_")]["responses"]["200"]
        sent = Asking(getattr(books, name.split("-")[0])).ok(
            path_of(name, "acme"), **QUERIES.get(name, {})
        )
        _fits(sent, shape["content"]["application/json"]["schema"], schema, name)


def _fits(value: Any, shape: Any, schema: Any, place: str) -> None:
    """The value has the fields and types that the shape says; a small part of JSON Schema."""
    if "$ref" in shape:
        component = schema["components"]["schemas"][shape["$ref"].rsplit("/", 1)[1]]
        return _fits(value, component, schema, place)
    for part in shape.get("allOf", ()):
        _fits(value, part, schema, place)
    if "oneOf" in shape or "allOf" in shape or "type" not in shape:
        return None
    types = shape["type"] if isinstance(shape["type"], list) else [shape["type"]]
    assert _type_of(value) in types, f"{place}: {value!r} is no {types}"
    if "properties" in shape and isinstance(value, dict):
        assert set(shape.get("required", ())) <= set(value), place
        assert set(value) <= set(shape["properties"]), place
        for name, inner in value.items():
            _fits(inner, shape["properties"][name], schema, f"{place}.{name}")
    if isinstance(value, list) and "items" in shape:
        for inner in value:
            _fits(inner, shape["items"], schema, f"{place}[]")
    if isinstance(value, dict) and isinstance(shape.get("additionalProperties"), dict):
        for inner in value.values():
            _fits(inner, shape["additionalProperties"], schema, f"{place}{{}}")
    return None


def _type_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


@pytest.mark.django_db
def test_the_docs_page_loads_nothing_from_elsewhere() -> None:
    page = Client().get("/api/docs/").content.decode()
    addresses = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
    assert addresses, "it loads its script and style"
    assert all(address.startswith("/") for address in addresses), addresses
    assert not re.search(r"https?://", re.sub(r"<!--.*?-->", "", page))
    for address in addresses:
        with closing(Client().get(address)) as asset:
            assert (asset.status_code, asset.has_header("Content-Type")) == (200, True), address


def test_the_example_of_an_event_is_taken_in(schema: Any, books: Keys) -> None:
    example = schema["components"]["schemas"]["UsageEvent"]["example"]
    response = Client(headers={"Authorization": f"Bearer {books.ingest}"}).post(
        "/api/v1/usage?outcomes=all", example, content_type="application/json"
    )
    assert (response.status_code, response.json()["accepted"]) == (200, 1)
    described = {op["operationId"]: op for _, op in operations(schema)}["ingest_usage"]
    shape = described["responses"]["200"]["content"]["application/json"]["schema"]
    _fits(response.json(), shape, schema, "ingest_usage")
