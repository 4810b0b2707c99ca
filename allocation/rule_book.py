"""The company's allocation rules: taken in by version, found by month."""

from __future__ import annotations

import tomllib
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple

from django.db import connection, transaction

from allocation.domain.rules import (
    DatedRule,
    InvalidRule,
    RuleContent,
    plain_content,
    read_rule,
    rule_content,
    rule_digest,
)
from allocation.models import Rule, RuleVersion
from metering.domain.periods import Month
from metering.files.input_files import text_of

STANDARD: Final = "standard"
"""The rule's name where none is asked for. Stored on first use, as the release at that time had
it: a later release does not change an installation's rule behind its back."""

STANDARD_FILE: Final = Path(__file__).with_name("standard_rule.toml")
BUILT_IN_AUTHOR: Final = "apportion"
_RULES_LOCK: Final = 0x52554C45


class NoSuchRule(LookupError):
    """No version of the rule holds for the month."""


class StoredRule(NamedTuple):
    """A version of a rule, and whether taking it in changed anything."""

    version: RuleVersion
    created: bool


def read_rule_file(path: Path) -> DatedRule:
    """A rule file (TOML) as a value. Raises `InvalidRule` naming the file and the place, or
    `UnreadableInput`."""
    text = text_of(path)
    try:
        return read_rule(tomllib.loads(text, parse_float=Decimal))
    except tomllib.TOMLDecodeError as error:
        raise InvalidRule(f"{path.name} is no TOML file: {error}") from error
    except InvalidRule as error:
        raise InvalidRule(f"{path.name}: {error}") from error


def store_rule(rule: DatedRule, *, author: str, now: datetime) -> StoredRule:
    """Let the rule hold from its month on, as a new version.

    The version that held then ends there; one that began in that very month stays readable, but
    holds for no month any more. Versions that begin later stay. Taking in again what already holds
    from that month on changes nothing.
    """
    digest = rule_digest(rule.content)
    with transaction.atomic():
        _lock_rules()
        Rule.objects.get_or_create(name=rule.content.name)
        versions = RuleVersion.objects.filter(rule=rule.content.name)
        replaced = versions.filter(valid_from=rule.valid_from).order_by("-number").first()
        if replaced is not None and replaced.digest == digest and not _withdrawn(replaced):
            return StoredRule(replaced, created=False)
        later = versions.filter(valid_from__gt=rule.valid_from)
        ahead = [v.valid_from for v in later if not _withdrawn(v)]
        for version in versions.filter(valid_from__lte=rule.valid_from):
            if version.valid_to is None or version.valid_to > rule.valid_from:
                version.valid_to = rule.valid_from
                version.save(update_fields=["valid_to"])
        return StoredRule(
            RuleVersion.objects.create(
                rule_id=rule.content.name,
                number=versions.count() + 1,
                content=plain_content(rule.content),
                digest=digest,
                valid_from=rule.valid_from,
                valid_to=min(ahead, default=None),
                author=author,
                created_at=now,
            ),
            created=True,
        )


def rule_for(month: Month, name: str | None, *, now: datetime) -> RuleVersion:
    """The version of the rule that holds for the month; the standard rule if none is named."""
    wanted = name or STANDARD
    first = month.first_day()
    found = _holding(wanted, first)
    if found is None and wanted == STANDARD and not Rule.objects.filter(name=STANDARD).exists():
        store_rule(read_rule_file(STANDARD_FILE), author=BUILT_IN_AUTHOR, now=now)
        found = _holding(wanted, first)
    if found is None:
        known = ", ".join(sorted(Rule.objects.values_list("name", flat=True))) or "none"
        raise NoSuchRule(
            f"no rule {wanted!r} holds for {month}; import one with import_rules FILE (known: "
            f"{known})"
        )
    return found


def content_of(version: RuleVersion) -> RuleContent:
    """What a stored version says. Raises `InvalidRule` if it no longer has its digest."""
    content = rule_content(version.content)
    if rule_digest(content) != version.digest:
        raise InvalidRule(f"{version} does not have the content that its digest was taken of")
    return content


def _holding(name: str, day: date) -> RuleVersion | None:
    versions = RuleVersion.objects.filter(rule=name, valid_from__lte=day)
    return next((v for v in versions if v.valid_to is None or v.valid_to > day), None)


def _withdrawn(version: RuleVersion) -> bool:
    return version.valid_to == version.valid_from


def _lock_rules() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_RULES_LOCK])
