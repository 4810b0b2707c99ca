"""What keeps a wrong bill out: closed months, doubled days, doubtful units and currencies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import date, datetime
from decimal import Decimal, localcontext
from typing import NamedTuple

from django.db.models import Q

from allocation.closed_months import MonthIsClosed, refuse_if_closed
from allocation.domain.bill_lines import BillLine
from allocation.domain.bill_units import unit_doubt
from allocation.domain.matching import is_metered_kind
from allocation.models import ProviderBill
from metering.domain.money import EXACT
from metering.domain.periods import Month
from metering.readings import day_costs


class BillRefused(ValueError):
    """The bill was not taken in, and nothing of it was stored; the message says why and how to
    mend it, a line for each fault."""


class BillPart(NamedTuple):
    """What a document says about one account's month."""

    account: str
    month: Month
    days: tuple[date, ...]
    currency: str
    lines: tuple[BillLine, ...]


class Confirmed(NamedTuple):
    """What a person has looked at and says is right all the same."""

    unit: bool = False
    provider: bool = False


def refuse_future(parts: Sequence[BillPart], now: datetime) -> None:
    """Raises `BillRefused` for a month that has not begun: its days are mistyped or misread."""
    for part in parts:
        if part.month > Month.of(now):
            raise BillRefused(
                f"the document bills {part.days[0]}, in a month that has not begun; correct the day"
            )


def refuse_closed(parts: Sequence[BillPart]) -> None:
    """Raises `BillRefused` if the month of any part is closed."""
    for part in parts:
        try:
            refuse_if_closed(part.month)
        except MonthIsClosed as error:
            raise BillRefused(str(error)) from error


def refuse_doubtful(parts: Sequence[BillPart], provider: str, confirmed: Confirmed) -> None:
    """Raises `BillRefused` where unit, currency or provider are probably mistaken: compared with
    what was metered on the same days and with the provider's earlier bills."""
    for part in parts:
        if not confirmed.unit:
            _refuse_currency(part, provider)
        if confirmed.unit and confirmed.provider:
            continue
        costs: dict[str, Decimal] = defaultdict(Decimal)
        days = set(part.days)
        with localcontext(EXACT):
            for metered in day_costs(part.month.period):
                comparable = metered.day in days and metered.currency == part.currency
                costs[metered.provider] += metered.cost if comparable else 0
        if costs and provider not in costs and not confirmed.provider:
            raise BillRefused(
                f"nothing of {provider!r} was metered in {part.month} (metered: "
                f"{', '.join(sorted(costs))}); correct the provider, or confirm it "
                "(--confirm-provider)"
            )
        usage = sum_of([line for line in part.lines if is_metered_kind(line)])
        doubt = unit_doubt(usage, costs.get(provider, Decimal(0)))
        if doubt is not None and not confirmed.unit:
            raise BillRefused(
                f"{part.month}: {doubt}; import it in its own unit (--amount-unit), or confirm "
                "that it is right (--confirm-unit)"
            )


def _refuse_currency(part: BillPart, provider: str) -> None:
    earlier = (
        ProviderBill.objects.filter(
            provider=provider, account=part.account, replacement__isnull=True
        )
        .exclude(currency=part.currency)
        .order_by("-imported_at")
        .first()
    )
    if earlier is not None:
        raise BillRefused(
            f"{part.month} is billed in {part.currency}, but bill {earlier.pk} of {earlier.month} "
            f"was in {earlier.currency}; correct the currency, or confirm it (--confirm-unit)"
        )


def overlapped_by(
    part: BillPart, provider: str, replaces: Collection[int], sha256: str
) -> list[int]:
    """The bills that this part of a document restates: of the same account, or of the very same
    document under whatever account. Raises `BillRefused` where it would double one."""
    active = (
        ProviderBill.objects.filter(
            provider=provider, month=str(part.month), replacement__isnull=True
        )
        .filter(Q(account=part.account) | Q(document__sha256=sha256))
        .order_by("id")
    )
    overlapped = [b for b in active if b.id in replaces or set(b.days) & set(part.days)]
    doubled = [b.id for b in overlapped if b.id not in replaces]
    if doubled:
        named = ", ".join(str(n) for n in doubled)
        account = f" of account {part.account!r}" if part.account else ""
        raise BillRefused(
            f"{provider} {part.month}{account}: bill {named} already speaks for days of this "
            f"bill; replace it (--replaces {doubled[0]}), or give another --account if this is "
            "another document, of another account"
        )
    return [b.id for b in overlapped]


def refuse_unreplaced(left: Collection[int], provider: str) -> None:
    """Raises `BillRefused` for the first bill that was to be replaced and cannot be."""
    for bill_id in sorted(left):
        bill = ProviderBill.objects.filter(id=bill_id).first()
        if bill is None:
            raise BillRefused(f"there is no bill {bill_id} to replace")
        if hasattr(bill, "replacement"):
            raise BillRefused(f"bill {bill_id} is already replaced by {bill.replacement.by_id}")
        raise BillRefused(
            f"bill {bill_id} is {bill.provider}'s of {bill.month}, account {bill.account!r}; the "
            f"document says nothing of that, so it cannot replace it for {provider}"
        )


def sum_of(lines: Sequence[BillLine]) -> Decimal:
    """The exact total of the lines."""
    with localcontext(EXACT):
        return sum((line.amount for line in lines), Decimal(0))
