"""django-money as an installed app."""

from __future__ import annotations

from djmoney import apps
from djmoney.admin import setup_admin_integration


class MoneyConfig(apps.MoneyConfig):
    """Without its fields for Django REST Framework: no view of ours has one, and every command
    would import that framework for them, which takes a tenth of what most need to start."""

    def ready(self) -> None:
        setup_admin_integration()  # type: ignore[no-untyped-call]  # as theirs does
