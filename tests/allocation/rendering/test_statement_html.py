"""The page holds what the statement says, runs nothing, loads nothing, and reads aloud."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser

import pytest

from allocation.domain.statements import Metered, Statement
from allocation.rendering.statement_html import statement_html

VOID = {"meta", "br", "link", "img", "input", "hr", "base"}


class Page(HTMLParser):
    """Collects elements, their attributes and the text, and checks that tags nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    @property
    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}

    @property
    def whole_text(self) -> str:
        return " ".join(" ".join(self.text).split())


def test_it_says_who_owes_how_much_for_what(statement: Statement) -> None:
    text = Page(statement_html(statement)).whole_text
    for said in (
        "Chargeback statement",
        "Growth",
        "October 2026",
        "Amount owed US$3,654.80",
        "head of growth",
        "Draft, not yet approved",
        "September 2026: US$3,122.90",
        "checkout.ai_summary",
        "active users: 140 of 4,210",
        "48,211",
        statement.digest,
        statement.evidence.digest,
        statement.run.digest,
        "driver:seats is zero for everybody",
        "calls of llama-x, for which no price is known",
    ):
        assert said in text, said


def test_what_rounding_adds_is_told_beside_what_it_is_made_of(
    of_lines: Callable[..., Statement], make_line: Callable[..., object]
) -> None:
    """Each of ten tenants bears 0.006, which is a cent of money: 0.10 of 0.06."""
    tenants = [make_line(tenant=f"tenant-{n}", amount=Decimal("0.006")) for n in range(10)]
    text = Page(statement_html(of_lines(tuple(tenants)))).whole_text
    assert "US$0.04 of it by rounding to money, for each bill and tenant" in text
    alone = Page(statement_html(of_lines(tuple(tenants[:1])))).whole_text
    assert "of it by rounding" not in alone, "half a cent and less is not seen in the figures"


def test_showback_never_says_owed(statement: Statement) -> None:
    text = Page(statement_html(replace(statement, mode="showback"))).whole_text
    assert "Showback statement" in text
    assert "Amount owed" not in text
    assert "nothing is owed on it" in text


def test_every_line_is_on_the_page(statement: Statement) -> None:
    page = Page(statement_html(statement))
    lines = re.findall(r"<tr><td>", statement_html(statement))
    assert len(lines) == len(statement.lines)
    assert page.whole_text.count("Sum of the lines") == 4


def test_it_runs_nothing_and_loads_nothing(statement: Statement) -> None:
    html = statement_html(statement)
    page = Page(html)
    assert not page.tags & {"script", "link", "iframe", "img", "object", "embed", "form", "base"}
    loading = {"src", "srcset", "href", "action", "data", "xlink:href"}
    for tag, attributes in page.elements:
        assert not loading & set(attributes), tag
        assert not [name for name in attributes if name.startswith("on")], tag
    assert "url(" not in html
    assert "@import" not in html


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><script>alert(1)</script>",
    "</svg><script>alert(1)</script>",
    "' onmouseover='alert(1)",
    "{{ 7|add:7 }}{% debug %}",
    "javascript:alert(1)",
    "]]></svg><a href='http://example.com'>x</a>",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_text_from_outside_stays_text(text: str, with_text: Callable[[str], Statement]) -> None:
    html = statement_html(with_text(text))
    page = Page(html)
    assert not page.tags & {"script", "img", "a"}
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")], tag
    assert " ".join(text.split()) in page.whole_text


def test_tables_and_pictures_can_be_read_aloud(statement: Statement) -> None:
    page = Page(statement_html(statement))
    headers = [attributes for tag, attributes in page.elements if tag == "th"]
    assert headers
    assert all(h.get("scope") in {"col", "row", "rowgroup"} for h in headers)
    pictures = [a for _, a in page.elements if a.get("role") == "img"]
    assert len(pictures) == 2
    assert "gpt-4o-mini-2024-07-18 US$1,204.01" in (pictures[0]["aria-label"] or "")
    assert "over 31 days" in (pictures[1]["aria-label"] or "")
    assert ("html", {"lang": "en-GB"}) in page.elements


def test_a_month_without_anything_still_has_a_page(of_lines: Callable[..., Statement]) -> None:
    empty = of_lines((), whole_minor=0, unallocated_minor=0, unallocated=(), metered=Metered())
    page = Page(statement_html(empty))
    assert "US$0.00" in page.whole_text
    assert "svg" not in page.tags
    assert "bills has an owner" in page.whole_text


@pytest.mark.parametrize(("currency", "shown"), [("JPY", "JP¥1,235"), ("KWD", "KWD 1,234.567")])
def test_currencies_have_their_own_minor_units(
    currency: str,
    shown: str,
    of_lines: Callable[..., Statement],
    make_line: Callable[..., object],
) -> None:
    statement = of_lines((make_line(amount=Decimal("1234.567")),), currency=currency)
    assert shown in Page(statement_html(statement)).whole_text.replace("\N{NO-BREAK SPACE}", " ")


def test_credits_larger_than_costs_are_shown_with_their_sign(
    of_lines: Callable[..., Statement], make_line: Callable[..., object]
) -> None:
    statement = of_lines((make_line(amount=Decimal("-12.5")),))
    assert "\N{MINUS SIGN}US$12.50" in Page(statement_html(statement)).whole_text


def test_the_same_statement_gives_the_same_bytes(statement: Statement) -> None:
    assert statement_html(statement) == statement_html(statement)
