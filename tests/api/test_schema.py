"""The schema describes everything that is there, and its page needs nothing from elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.test import Client

from metering import urls as metering_urls
from metering.api.drop_in_schema import KEYLESS
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
        assert any(status.startswith("2") for status in operation["responses"]), path
        if operation["operationId"] in KEYLESS:
            continue
        assert {"apiKeyBearer": []} in operation["security"], path
        assert {"401", "403"} <= set(operation["responses"]), path
        for parameter in operation.get("parameters", ()):
            assert parameter["description"], (path, parameter)


def senders_routes() -> set[str]:
    """Every address that metering's programs may send to, as the schema writes it; without those
    that only say that nothing is there."""
    paths = {f"/{pattern.pattern}" for pattern in metering_urls.urlpatterns}
    return {
        re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path)
        for path in paths
        if not path.startswith("/api/v1/finance/") and "<path:rest>" not in path
    }


def test_every_route_for_senders_is_described(schema: Any) -> None:
    described = set(schema["paths"])
    assert senders_routes() <= described, senders_routes() - described


@pytest.mark.parametrize("path", sorted(senders_routes()))
def test_what_a_route_takes_and_refuses_is_what_is_described(
    schema: Any, books: Keys, path: str
) -> None:
    """Methods, the keys that it asks for, and how it says so."""
    described = schema["paths"][path]
    address = path.replace("{run_id}", str(UUID(int=7)))
    if all(operation["operationId"] in KEYLESS for operation in described.values()):
        return
    wrong = Client().put(address)
    assert wrong.status_code == 405
    assert {method.upper() for method in described} == set(wrong["Allow"].split(", "))
    for method, operation in described.items():
        if operation["operationId"] in KEYLESS:
            continue
        for status, headers in (
            ("401", {}),
            ("403", {"Authorization": f"Bearer {books.finance}"}),
        ):
            response = Client().generic(
                method.upper(), address, b"{}", content_type=_a_kind(operation), headers=headers
            )
            assert str(response.status_code) == status, (method, response.content)
            content = operation["responses"][status]["content"]
            assert response["Content-Type"].partition(";")[0] in content, (method, status)


def _a_kind(operation: Any) -> str:
    """A content type that the operation takes, JSON where it does."""
    takes = operation.get("requestBody", {}).get("content", {"application/json": {}})
    kind = next((kind for kind in takes if kind == "application/json"), next(iter(takes)))
    return f"{kind}; boundary=x" if kind.startswith("multipart/") else kind


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
