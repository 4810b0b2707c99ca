"""A line of a provider's bill, whatever the format it came in."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Final, Literal, NamedTuple, get_args

LineKind = Literal["usage", "fee", "credit", "tax", "adjustment"]

LINE_KINDS: Final[tuple[LineKind, ...]] = get_args(LineKind)
"""`usage` is metered by model and token class (or left open by the provider), `fee` is anything
else it charges for, `credit` lowers the bill, `tax` is tax, `adjustment` restates or rounds."""


class BillLine(NamedTuple):
    """One amount that a provider charges or credits.

    `bill_id` and `line_no` (from 1) name the line; `line_no` is its place in the bill as stored.
    `account` is the provider's billing account and `project` its project or workspace (`""`: not
    said). `day` is the UTC day of the usage, or the first day of the charge's own span. On a
    usage line `model` is the provider's own name for what executed and `token_class` one of
    `metering.domain.cells.TOKEN_CLASSES` or a unit; both are `""` where the bill does not break
    the amount down. `tier` is `standard`, `batch`, `flex`, `priority`, … `quantity` counts
    `quantity_unit` (`tokens`, `requests`, … or `""`); `None` is not reported, which is not zero.
    `amount` is exact, in major units of `currency` (ISO 4217); credits are negative.
    """

    bill_id: int
    line_no: int
    provider: str
    account: str
    project: str
    day: date
    kind: LineKind
    model: str
    token_class: str
    tier: str
    quantity: Decimal | None
    quantity_unit: str
    amount: Decimal
    currency: str
    description: str
