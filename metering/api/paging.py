"""Long answers in pages: at most so many items, and a cursor to where the next page begins.

A cursor is a position in an order that does not change (keyset), so no row is skipped or shown
twice because others came in between, and a late page costs no more than an early one. It says
where to go on and nothing about who may read: every query names its tenant or its owner again.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from django.db.models import Model, Q, QuerySet
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from metering.api.values import Text

MOST: Final = 1_000
USUAL: Final = 100
_LONGEST_CURSOR: Final = 2_000

_NO_CURSOR: Final = {"cursor": ["this is no cursor of these pages; send `next` of the page before"]}

_P = TypeVar("_P")
_M = TypeVar("_M", bound=Model)


class PageParameters(serializers.Serializer[Any]):
    """Which page, and how long it may be."""

    limit = serializers.IntegerField(
        min_value=1,
        max_value=MOST,
        default=USUAL,
        help_text=f"how many items a page has at most: 1 to {MOST}",
        error_messages={
            "min_value": f"a page has 1 to {MOST} items",
            "max_value": f"a page has at most {MOST} items; ask for more with `cursor`",
            "max_string_length": f"a page has at most {MOST} items; ask for more with `cursor`",
        },
    )
    cursor = serializers.CharField(
        required=False,
        max_length=_LONGEST_CURSOR,
        help_text="`next` of the page before; leave it out for the first page",
    )


class Page(NamedTuple):
    """Some items in their order, and the cursor of what follows (`None`: that was all)."""

    items: Sequence[Any]
    next: str | None


def cursor_of(position: Any) -> str:
    """A position (plain values) as an opaque text."""
    return urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def position_of(cursor: str | None, kind: type[_P]) -> _P | None:
    """The position that a cursor of ours names. Raises `ValidationError` naming `cursor`."""
    if cursor is None:
        return None
    try:
        content = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        position = msgspec.json.decode(content, type=kind)
    except (ValueError, msgspec.MsgspecError) as error:
        raise ValidationError(_NO_CURSOR) from error
    if b"\\u0000" in content:  # no text of ours has one, and the database takes none
        raise ValidationError(_NO_CURSOR)
    return position


def paged(found: Sequence[Any], limit: int, position: Callable[[Any], Any]) -> Page:
    """A page of what was found when one more than `limit` was asked for; `position` says where an
    item stands in the order."""
    items = found[:limit]
    return Page(items, cursor_of(position(items[-1])) if len(found) > limit else None)


def page_of_rows(
    rows: QuerySet[_M],
    asked: dict[str, Any],
    *,
    by: str = "id",
    kind: type[int] | type[str] = int,
    downwards: bool = False,
) -> Page:
    """A page of rows in the order of one column (of that kind) that tells them apart."""
    after = position_of(asked.get("cursor"), kind)
    if after is not None:
        rows = rows.filter(Q(**{f"{by}__{'lt' if downwards else 'gt'}": after}))
    found = list(rows.order_by(f"-{by}" if downwards else by)[: asked["limit"] + 1])
    return paged(found, asked["limit"], lambda row: getattr(row, by))


@cache
def page_of(item: type[serializers.Serializer[Any]]) -> type[serializers.Serializer[Any]]:
    """The serializer of a page of such items."""
    name = item.__name__.removesuffix("Serializer")
    fields = {
        "__doc__": "Some of the items, and the cursor of what follows.",
        "items": item(many=True, help_text="in a fixed order"),
        "next": Text("send it as `cursor` for the next page; null: that was all", null=True),
    }
    return type(f"{name}Page", (serializers.Serializer,), fields)
