"""Reading rules: what is taken, what is refused and how it is said."""

from __future__ import annotations

import tomllib
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from allocation.domain.bill_lines import BillLine
from allocation.domain.rules import (
    NOBODY,
    InvalidRule,
    Measure,
    Selection,
    Weighted,
    plain_content,
    read_rule,
    rule_content,
    rule_digest,
)
from metering.domain.cells import Owner

RULE = """
name = "ours"
valid_from = 2026-10-01

[[pools]]
name = "metered"
select = { kinds = ["metered"] }
divide = { strategy = "direct" }

[[pools]]
name = "batch fees"
select = { kinds = ["fee", "unmetered"], models = ["gpt-*"], descriptions = ["*batch*"] }
fallback = { to = "driver", driver = "driver:seats" }
[pools.divide]
strategy = "weighted"
driver = "tokens"
by = "model"
weights = { "gpt-4o" = 2.50, "*" = 1 }

[[pools]]
name = "the rest"
select = {}
divide = { strategy = "activity-based", driver = "requests", providers = "all" }
"""


def document(text: str = RULE) -> dict[str, Any]:
    return tomllib.loads(text, parse_float=Decimal)


def line(**changes: Any) -> BillLine:
    return BillLine(
        1, 1, "openai", "org", "proj", date(2026, 10, 3), "usage", "gpt-4o", "input", "standard",
        Decimal(10), "tokens", Decimal("0.10"), "USD", "gpt-4o, input",
    )._replace(**changes)  # fmt: skip


def test_a_rule_is_read_exactly() -> None:
    rule = read_rule(document())
    assert rule.valid_from == date(2026, 10, 1)
    weighted = rule.content.pools[1].divide
    assert isinstance(weighted, Weighted)
    assert weighted.weights == {"gpt-4o": Decimal("2.5"), "*": Decimal(1)}
    assert rule.content.pools[0].fallback == NOBODY


def test_a_stored_rule_reads_as_it_was() -> None:
    content = read_rule(document()).content
    assert rule_content(plain_content(content)) == content
    assert rule_digest(rule_content(plain_content(content))) == rule_digest(content)


def test_the_digest_covers_the_words_and_not_the_spelling_of_numbers() -> None:
    digest = rule_digest(read_rule(document()).content)
    same = rule_digest(read_rule(document(RULE.replace("2.50", "2.5"))).content)
    other = rule_digest(read_rule(document(RULE.replace("2.50", "2.51"))).content)
    assert digest == same
    assert digest != other


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2026-10-01", "2026-10-02", "first day of a month"),
        ("valid_from = 2026-10-01", "", "first day of a month"),
        ('driver = "tokens"', 'driver = "tokenz"', r"'tokenz' is not known.*\$\.pools\[1\]"),
        ('by = "model"', "", r"missing required field `by` - at `\$\.pools\[1\]\.divide`"),
        ('"*" = 1', '"gpt-5" = 1', r'need a "\*"'),
        ('"*" = 1', '"*" = -1', "must be zero or more"),
        ('kinds = ["metered"]', 'kinds = ["metered", "fee"]', "only metered amounts"),
        ('kinds = ["metered"]', 'kinds = ["metred"]', r"metred.*\$\.pools\[0\]\.select"),
        ('name = "the rest"', 'name = "metered"', "two pools are named 'metered'"),
        ('name = "the rest"', 'name = "no pool"', "run's own"),
        ("select = {}", "selekt = {}", "selekt"),
        ('driver = "requests", providers = "all"', 'driver = "active_users", models = ["x"]',
         "knows no provider, model"),
        ('driver = "tokens"', 'driver = "driver:seats"', "no model to weigh it by"),
    ],
)  # fmt: skip
def test_a_wrong_rule_is_refused_with_its_place(old: str, new: str, message: str) -> None:
    assert old in RULE
    with pytest.raises(InvalidRule, match=message):
        read_rule(document(RULE.replace(old, new, 1)))


def test_the_first_pool_that_fits_takes_the_line() -> None:
    rule = read_rule(document()).content

    def taken(kind: Any, **changes: Any) -> str:
        pool = rule.pool_for(line(**changes), kind)
        return "" if pool is None else pool.name

    assert taken("metered") == "metered"
    assert taken("fee", description="batch surcharge") == "batch fees"
    assert taken("fee", description="Batch surcharge") == "the rest"
    assert taken("unmetered", model="claude-3", description="a batch") == "the rest"
    assert taken("tax") == "the rest"


def test_what_no_pool_fits_is_taken_by_none() -> None:
    rule = read_rule(document()).content
    only_metered = type(rule)(name="x", pools=rule.pools[:1])
    assert only_metered.pool_for(line(), "tax") is None


def test_an_empty_selection_takes_everything_and_each_list_narrows_it() -> None:
    assert Selection().takes(line(), "tax")
    for field, value in line()._asdict().items():
        name = {"token_class": "token_classes"}.get(field, f"{field}s")
        if name in Selection.__struct_fields__ and name != "kinds":
            fits, differs = ({name: (text,)} for text in (value, "elsewhere"))
            assert msgspec.convert(fits, Selection).takes(line(), "tax"), name
            assert not msgspec.convert(differs, Selection).takes(line(), "tax"), name


def test_owners_may_be_named_or_left_out() -> None:
    assert Measure("tokens").counts(Owner("a"))
    assert not Measure("tokens", cost_centres=("b",)).counts(Owner("a"))
    assert not Measure("tokens", except_cost_centres=("a",)).counts(Owner("a", "acme"))
