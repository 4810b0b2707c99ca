"""Requests decoded and checked: form encoding, then the official SDK's own typed parameters."""

from __future__ import annotations

import re
import sys
from functools import cache
from typing import Any, cast

from pydantic import ConfigDict, TypeAdapter, ValidationError
from stripe import RequestOptions, params
from typing_extensions import TypedDict, is_typeddict

from tests.doubles.stripe.errors import ApiError

CLOSED = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

_KEY = re.compile(r"\[([^\]]*)\]")

TYPED: dict[str, Any] = {
    "POST /v1/customers": params.CustomerCreateParams,
    "GET /v1/customers": params.CustomerListParams,
    "GET /v1/customers/search": params.CustomerSearchParams,
    "GET /v1/customers/{id}": params.CustomerRetrieveParams,
    "DELETE /v1/customers/{id}": params.CustomerDeleteParams,
    "POST /v1/invoices": params.InvoiceCreateParams,
    "GET /v1/invoices": params.InvoiceListParams,
    "GET /v1/invoices/{id}": params.InvoiceRetrieveParams,
    "DELETE /v1/invoices/{id}": params.InvoiceDeleteParams,
    "GET /v1/invoices/{id}/lines": params.InvoiceLineItemListParams,
    "POST /v1/invoices/{id}/finalize": params.InvoiceFinalizeInvoiceParams,
    "POST /v1/invoices/{id}/pay": params.InvoicePayParams,
    "POST /v1/invoices/{id}/void": params.InvoiceVoidInvoiceParams,
    "POST /v1/invoices/{id}/mark_uncollectible": params.InvoiceMarkUncollectibleParams,
    "POST /v1/invoiceitems": params.InvoiceItemCreateParams,
    "GET /v1/invoiceitems": params.InvoiceItemListParams,
    "POST /v1/invoiceitems/{id}": params.InvoiceItemUpdateParams,
    "DELETE /v1/invoiceitems/{id}": params.InvoiceItemDeleteParams,
}
"""The routes, and the SDK's type for the parameters of each."""


def decoded(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """`period[start]=1` and `tax_rates[0]=x` as the nested values that they stand for."""
    tree: dict[str, Any] = {}
    for name, value in pairs:
        head, _, rest = name.partition("[")
        path = [head, *_KEY.findall("[" + rest if rest else "")]
        at = tree
        for step in path[:-1]:
            at = at.setdefault(step, {})
            if not isinstance(at, dict):
                raise ApiError(400, f"Invalid parameter name: {name}", param=name, kept=False)
        at[path[-1]] = value
    return cast("dict[str, Any]", _listed(tree))


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {k: _listed(v) for k, v in value.items()}
    if inner and all(k.isdigit() for k in inner):
        return [inner[k] for k in sorted(inner, key=int)]
    return inner


def checked(route: str, given: dict[str, Any]) -> dict[str, Any]:
    """The parameters with their types, or Stripe's answer to unknown ones and wrong types."""
    try:
        return cast("dict[str, Any]", _adapter(route).validate_python(given))
    except ValidationError as wrong:
        first = wrong.errors()[0]
        param = "".join(f"[{x}]" if i else str(x) for i, x in enumerate(first["loc"]))
        if first["type"] == "extra_forbidden":
            message, code = f"Received unknown parameter: {param}", "parameter_unknown"
        elif first["type"] == "missing":
            message, code = f"Missing required param: {param}.", "parameter_missing"
        else:
            message, code = f"Invalid {param}: {first['msg']}", "parameter_invalid"
        raise ApiError(400, message, code=code, param=param, kept=False) from wrong


@cache
def _adapter(route: str) -> TypeAdapter[Any]:
    """The SDK's type, closed: nothing but what it names, at any depth. What belongs to the
    request's options and not to its body is left out."""
    typed = TYPED[route]
    module = sys.modules[typed.__module__]
    for nested in vars(module).values():
        if is_typeddict(nested):
            nested.__pydantic_config__ = CLOSED
    own = {
        name: kind
        for name, kind in typed.__annotations__.items()
        if name not in RequestOptions.__annotations__
    }
    closed = cast("Any", TypedDict(typed.__name__, own))  # type: ignore[operator]
    closed.__module__ = typed.__module__
    closed.__pydantic_config__ = CLOSED
    return TypeAdapter(closed)
