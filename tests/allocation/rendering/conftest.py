"""One realistic statement, made without a database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from allocation.domain.statements import (
    DayReading,
    EvidenceReference,
    FeatureReading,
    Metered,
    Previous,
    RuleVersion,
    RunReference,
    Settlement,
    Statement,
    StatementLine,
    Subject,
    UnallocatedPart,
    sum_exact,
)
from metering.domain.money import settle
from metering.domain.periods import Month

OCTOBER = Month(2026, 10)

MODELS = (
    ("openai", "gpt-4o-2024-08-06", "812.4417250000"),
    ("openai", "gpt-4o-mini-2024-07-18", "1204.0093125500"),
    ("openai", "o4-mini-2025-04-16", "233.9200000000"),
    ("openai", "text-embedding-3-small", "18.0730000000"),
    ("anthropic", "claude-sonnet-4-20250514", "977.3812500000"),
    ("anthropic", "claude-3-5-haiku-20241022", "141.2260000000"),
)

TENANTS = (("acme", "0.41"), ("globex", "0.27"), ("initech", "0.18"), ("", "0.14"))


def line(**changes: Any) -> StatementLine:
    """A direct line of 10.5; name what matters."""
    values: dict[str, Any] = {
        "bill": "openai 2026-10",
        "cost_centre": "cc-growth",
        "tenant": "acme",
        "provider": "openai",
        "model": "gpt-4o-mini-2024-07-18",
        "strategy": "direct",
        "pool": "",
        "rule": "direct v1",
        "basis": "metered cost",
        "driver_value": Decimal("10.1"),
        "driver_total": Decimal("80.8"),
        "amount": Decimal("10.5"),
    }
    return StatementLine(**{**values, **changes})


def settled(lines: tuple[StatementLine, ...], currency: str = "USD") -> tuple[Settlement, ...]:
    """Each owner's lines on each bill, settled on their own."""
    owners = sorted({(part.bill, part.provider, part.cost_centre, part.tenant) for part in lines})
    settlements = []
    for bill, provider, cost_centre, tenant in owners:
        exact = sum_exact(
            part.amount
            for part in lines
            if (part.bill, part.cost_centre, part.tenant) == (bill, cost_centre, tenant)
        )
        settlements.append(
            Settlement(
                bill=bill,
                provider=provider,
                cost_centre=cost_centre,
                tenant=tenant,
                exact=exact,
                amount_minor=settle(exact, currency),
            )
        )
    return tuple(settlements)


def statement_of(lines: tuple[StatementLine, ...], **changes: Any) -> Statement:
    """A statement of cc-growth over these lines."""
    currency = changes.get("currency", "USD")
    settlements = changes.get("settlements", settled(lines, currency))
    total = sum(s.amount_minor for s in settlements)
    values: dict[str, Any] = {
        "period": OCTOBER,
        "subject": Subject(
            kind="cost_centre", key="cc-growth", name="Growth", responsible="head of growth"
        ),
        "mode": "chargeback",
        "currency": currency,
        "state": "draft",
        "run": RunReference(
            number=12,
            digest="3f" * 32,
            inputs_digest="a1" * 32,
            author="finance-analyst",
            rules=(RuleVersion("direct", 1, "9c" * 32), RuleVersion("platform fee", 3, "7d" * 32)),
        ),
        "lines": lines,
        "settlements": settlements,
        "whole_minor": max(total * 4, 0),
        "unallocated_minor": 41_207,
        "unallocated_responsible": "head of platform",
        "unallocated": (
            UnallocatedPart("no pool", "no pool takes it", Decimal("318.4")),
            UnallocatedPart("seats", "driver:seats is zero for everybody", Decimal("93.6704")),
        ),
        "metered": Metered(),
        "previous": None,
        "evidence": EvidenceReference(
            events=48_211,
            digest="5b" * 32,
            listing="manage.py export evidence 2026-10 --out evidence.jsonl",
        ),
    }
    return Statement(**{**values, **changes})


def realistic_lines() -> tuple[StatementLine, ...]:
    lines: list[StatementLine] = []
    for tenant, part in TENANTS:
        weight = Decimal(part)
        for provider, model, total in MODELS:
            lines.append(
                line(
                    bill=f"{provider} 2026-10",
                    tenant=tenant,
                    provider=provider,
                    model=model,
                    driver_value=Decimal(total) * weight * Decimal("0.97"),
                    driver_total=Decimal(total) * Decimal("3.2"),
                    amount=Decimal(total) * weight,
                )
            )
        lines.append(
            line(
                tenant=tenant,
                model="",
                strategy="activity-based",
                pool="platform fee",
                rule="platform fee v3",
                basis="active users",
                driver_value=(weight * 1000).quantize(Decimal(1)),
                driver_total=Decimal(4210),
                amount=weight * Decimal("310.5"),
            )
        )
        lines.append(
            line(
                tenant=tenant,
                model="",
                strategy="weighted",
                pool="variance",
                rule="variance v2",
                basis="tokens, weighted",
                driver_value=weight * Decimal("91250000.25"),
                driver_total=Decimal(402000000),
                amount=weight * Decimal("-42.7531"),
            )
        )
    return tuple(lines)


def realistic_metered() -> Metered:
    days = []
    for number in range(1, 32):
        weekend = date(2026, 10, number).weekday() >= 5
        for position, (_, model, total) in enumerate(MODELS):
            wave = Decimal((number * (7 + position)) % 11 + 14) / 20
            cost = Decimal(total) / 31 * wave * (Decimal("0.35") if weekend else 1)
            days.append(DayReading(date(2026, 10, number), model, cost.quantize(Decimal("1E-9"))))
    features = tuple(
        FeatureReading(tag, Decimal(cost))
        for tag, cost in (
            ("checkout.ai_summary", "1403.8812"),
            ("support.reply_draft", "1120.0417"),
            ("search.embeddings", "402.1190"),
            ("onboarding.assistant", "188.4400"),
            ("", "96.0012"),
        )
    )
    return Metered(
        currency="USD", features=features, days=tuple(days), unpriced_models=("llama-x",)
    )


@pytest.fixture
def statement() -> Statement:
    """October of a cost centre with four owners, two bills, three strategies and a credit."""
    return statement_of(
        realistic_lines(), metered=realistic_metered(), previous=Previous(Month(2026, 9), 312_290)
    )


@pytest.fixture
def of_lines() -> Callable[..., Statement]:
    return statement_of


@pytest.fixture
def make_line() -> Callable[..., StatementLine]:
    return line


@pytest.fixture
def with_text(statement: Statement) -> Callable[[str], Statement]:
    """The statement with one text wherever a text from outside may stand."""

    def build(text: str) -> Statement:
        hostile = line(
            bill=text,
            cost_centre=text,
            tenant=text,
            provider=text,
            model=text,
            strategy=text,
            pool=text,
            rule=text,
            basis=text,
        )
        return replace(
            statement,
            subject=Subject(kind="cost_centre", key=text, name=text, responsible=text),
            lines=(hostile,),
            settlements=settled((hostile,)),
            unallocated_responsible=text,
            unallocated=(UnallocatedPart(text, text, Decimal(1)),),
            run=replace(statement.run, author=text, rules=(RuleVersion(text, 1, text),)),
            metered=Metered(
                currency="USD",
                features=(FeatureReading(text, Decimal(1)),),
                days=(DayReading(date(2026, 10, 1), text, Decimal(1)),),
                unpriced_models=(text,),
            ),
            evidence=EvidenceReference(1, text, text),
        )

    return build
