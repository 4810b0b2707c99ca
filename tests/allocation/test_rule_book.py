"""Rules by version: what holds in which month, and what an import may change."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import Error, transaction

from allocation.models import Rule, RuleVersion
from allocation.rule_book import (
    BUILT_IN_AUTHOR,
    STANDARD,
    STANDARD_FILE,
    NoSuchRule,
    content_of,
    read_rule_file,
    rule_for,
    store_rule,
)
from metering import people
from metering.domain.periods import Month

pytestmark = pytest.mark.usefixtures("db")

NOW = datetime(2026, 11, 2, tzinfo=UTC)
RULE = """
name = "ours"
valid_from = {month}-01
[[pools]]
name = "everything"
select = {{}}
divide = {{ strategy = "activity-based", driver = "{driver}" }}
"""


@pytest.fixture
def store(tmp_path: Path) -> Any:
    def stored(month: str, driver: str = "tokens") -> RuleVersion:
        path = tmp_path / "ours.toml"
        path.write_text(RULE.format(month=month, driver=driver), encoding="utf-8")
        return store_rule(read_rule_file(path), author="ana", now=NOW).version

    return stored


def holding(month: str) -> int:
    return rule_for(Month.parse(month), "ours", now=NOW).number


def test_the_standard_rule_is_stored_on_first_use_and_kept() -> None:
    assert not Rule.objects.exists()
    version = rule_for(Month(2026, 10), None, now=NOW)
    assert (version.rule_id, version.number, version.author) == (STANDARD, 1, BUILT_IN_AUTHOR)
    assert rule_for(Month(2027, 1), STANDARD, now=NOW) == version
    assert content_of(version) == read_rule_file(STANDARD_FILE).content


def test_the_same_rule_twice_is_one_version(store: Any) -> None:
    assert store("2026-10") == store("2026-10")
    assert RuleVersion.objects.count() == 1


def test_a_version_holds_until_the_next_one_begins(store: Any) -> None:
    store("2026-01")
    store("2026-10", "requests")
    assert [holding(m) for m in ("2026-01", "2026-09", "2026-10", "2027-05")] == [1, 1, 2, 2]
    with pytest.raises(NoSuchRule, match=r"2025-12.*known: ours"):
        holding("2025-12")


def test_a_version_between_two_others_ends_where_the_later_begins(store: Any) -> None:
    store("2026-01")
    store("2026-10", "requests")
    store("2026-05", "active_users")
    assert [holding(m) for m in ("2026-04", "2026-05", "2026-09", "2026-10")] == [1, 3, 3, 2]


def test_a_version_of_the_same_month_replaces_and_the_old_one_stays_readable(store: Any) -> None:
    first = store("2026-10")
    store("2026-10", "requests")
    third = store("2026-10")
    assert holding("2026-10") == third.number == 3
    first.refresh_from_db()
    assert first.valid_to == first.valid_from == date(2026, 10, 1)
    assert content_of(first) == content_of(third)


@pytest.mark.parametrize(
    "change",
    [
        {"content": {}},
        {"digest": "0" * 64},
        {"valid_from": date(2026, 9, 1)},
        {"author": "ben"},
    ],
)
def test_a_version_is_never_edited(store: Any, change: dict[str, Any]) -> None:
    mine = RuleVersion.objects.filter(pk=store("2026-10").pk)
    with pytest.raises(Error, match="Cannot update"), transaction.atomic():
        mine.update(**change)
    with pytest.raises(Error, match="Cannot delete"), transaction.atomic():
        mine.delete()


def test_what_has_ended_does_not_come_back(store: Any) -> None:
    first = store("2026-01")
    store("2026-10", "requests")
    with pytest.raises(Error, match="Cannot update"), transaction.atomic():
        RuleVersion.objects.filter(pk=first.pk).update(valid_to=None)


def test_the_database_knows_one_version_at_a_time(store: Any) -> None:
    first = store("2026-01")
    with pytest.raises(Error, match="one_version_of_a_rule_at_a_time"), transaction.atomic():
        RuleVersion.objects.create(
            rule=first.rule, number=2, content=first.content, digest=first.digest,
            valid_from=date(2026, 5, 1), author="ben",
        )  # fmt: skip


def test_the_command_answers_and_refuses(tmp_path: Path) -> None:
    people.add("ana", ["finance"])
    path = tmp_path / "ours.toml"
    path.write_text(RULE.format(month="2026-10", driver="tokens"), encoding="utf-8")
    answers = []
    for _ in range(2):
        out = StringIO()
        call_command("import_rules", str(path), "--as", "ana", "--json", stdout=out)
        answers.append(json.loads(out.getvalue()))
    assert [(a["version"], a["created"]) for a in answers] == [(1, True), (1, False)]
    path.write_text(RULE.format(month="2026-10", driver="tokenz"), encoding="utf-8")
    with pytest.raises(CommandError, match=r"ours\.toml: driver 'tokenz'.*\$\.pools\[0\]"):
        call_command("import_rules", str(path))
    path.write_text("name = ", encoding="utf-8")
    with pytest.raises(CommandError, match=r"ours\.toml is no TOML file"):
        call_command("import_rules", str(path))
    with pytest.raises(CommandError, match="No such file"):
        call_command("import_rules", str(tmp_path / "none.toml"))
    assert RuleVersion.objects.count() == 1
