"""Where the lists are, narrowed down by filters."""

from __future__ import annotations

from django.urls import reverse


def list_url(name: str, **filters: object) -> str:
    """The list of a model (`app_model`); a filter on a related row is given by its key alone."""
    query = {key if "__" in key else f"{key}__exact": value for key, value in filters.items()}
    return reverse(f"admin:{name}_changelist", query=query)
