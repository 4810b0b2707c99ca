"""Who may read the company's books over REST: finance keys, and people with the right to look.

A key reads, and enters budgets, which are plans (`finance_budgets`): approving, closing and pushing
are acts of people.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from config.roles import roles_with
from metering.api.authentication import ApiKeyAuthentication, has_scope
from metering.api.reading import ReadingView
from metering.api_keys import KeyFacts

FINANCE: Final = "finance"


class FinanceReader(BasePermission):
    """A key of scope finance, or a logged-in person with the view's permission."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        if isinstance(request.auth, KeyFacts):
            return has_scope(FINANCE)().has_permission(request, view)
        if not request.user.is_authenticated:
            return False
        permission: str = view.permission  # type: ignore[attr-defined]
        if not request.user.has_perm(permission):
            roles = " or ".join(roles_with(permission)) or "no role, only a superuser"
            raise PermissionDenied(
                f"{request.user.get_username()} lacks the right {permission}, which {roles} has"
            )
        return True


class FinanceView(ReadingView):
    """`permission` is what a logged-in person needs; a finance key needs nothing more."""

    authentication_classes: ClassVar[list[Any]] = [ApiKeyAuthentication, SessionAuthentication]  # type: ignore[misc]
    permission_classes: ClassVar[list[Any]] = [FinanceReader]  # type: ignore[misc]
    permission: str
