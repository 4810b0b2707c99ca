"""Pages of long lists: as many as a person leafs through, without counting what is beyond."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from django.core.paginator import Page
from django.core.paginator import Paginator as _Paginator

if TYPE_CHECKING:
    Paginator = _Paginator[Any]
else:
    Paginator = _Paginator

PAGES: Final = 200
"""Beyond this many pages a filter finds what leafing does not, and OFFSET gets slow."""


class BoundedPaginator(Paginator):
    """Counts the rows of a short list, and of a long one only as many as its pages can show."""

    @cached_property
    def count(self) -> int:
        limit = PAGES * self.per_page
        rows = self.object_list
        if hasattr(rows, "order_by"):
            return int(rows.order_by()[: limit + 1].count())
        return len(rows)

    @property
    def is_cut_off(self) -> bool:
        return self.count > PAGES * self.per_page

    @property
    def num_pages(self) -> int:
        return max(1, min(PAGES, -(-self.count // self.per_page)))

    def page(self, number: int | str) -> Page[Any]:
        """Like Django's; the last page of a cut-off list is the last that is offered."""
        number = self.validate_number(number)
        bottom = (number - 1) * self.per_page
        return Page(self.object_list[bottom : bottom + self.per_page], number, self)
