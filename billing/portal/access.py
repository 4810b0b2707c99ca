"""Who a portal request speaks for: the tenant of its key, and never another."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from rest_framework.exceptions import APIException, PermissionDenied
from rest_framework.request import Request

from metering.api.authentication import ApiKeyAuthentication, has_scope
from metering.api.reading import ReadingView
from metering.api_keys import KeyFacts


class PortalView(ReadingView):
    """What one tenant may see. Everything is looked up by `tenant_of(request)`, so what belongs
    to another tenant is not there at all."""

    authentication_classes: ClassVar[list[Any]] = [ApiKeyAuthentication]  # type: ignore[misc]
    permission_classes: ClassVar[list[Any]] = [has_scope("portal")]  # type: ignore[misc]


class CannotCharge(APIException):
    """What metering reads cannot be charged; the operator has to look into it."""

    status_code = 409
    default_code = "cannot_charge"


def tenant_of(request: Request) -> str:
    """The tenant that the request's key was made for."""
    key = request.auth
    if not isinstance(key, KeyFacts) or not key.tenant:
        raise PermissionDenied("this key is not for one tenant; a portal key is")
    return key.tenant


def now() -> datetime:
    return datetime.now(UTC)
