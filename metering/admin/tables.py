"""Tables on a page, as values: what a section shows, and how its columns are aligned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.safestring import SafeString

Text = str | SafeString


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading; figures are aligned to the right."""

    title: str
    is_figure: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """Where a reader goes on."""

    title: str
    url: str


@dataclass(frozen=True, slots=True)
class Section:
    """A titled table. `note` says what the reader should know of it; `totals` is its last row."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Text]]
    note: Text = ""
    totals: Sequence[Text] = ()
    links: Sequence[Link] = ()
    empty: str = "nothing"


def text(*titles: str) -> list[Column]:
    """Columns of words."""
    return [Column(title) for title in titles]


def figures(*titles: str) -> list[Column]:
    """Columns of numbers."""
    return [Column(title, is_figure=True) for title in titles]
