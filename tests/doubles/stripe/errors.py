"""Stripe's errors, in its JSON shape (docs.stripe.com/api/errors)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class ApiError(Exception):
    """An answer that is no success. `kept`: the idempotency key keeps it; it does for everything
    that fails after its parameters were found valid."""

    status: int
    message: str
    type: str = "invalid_request_error"
    code: str | None = None
    param: str | None = None
    kept: bool = True

    def body(self) -> dict[str, Any]:
        error: dict[str, Any] = {"message": self.message, "type": self.type}
        if self.code is not None:
            error["code"] = self.code
            error["doc_url"] = f"https://stripe.com/docs/error-codes/{self.code.replace('_', '-')}"
        if self.param is not None:
            error["param"] = self.param
        return {"error": error}


def missing(what: str, id: str, param: str = "id", status: int = 404) -> ApiError:
    return ApiError(status, f"No such {what}: '{id}'", code="resource_missing", param=param)


def invalid(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    return ApiError(400, message, code=code, param=param)


def server_error() -> ApiError:
    return ApiError(500, "An unknown error occurred", type="api_error")
