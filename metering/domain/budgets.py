"""What an owner means to spend in a month, and where that stands.

A budget limits nothing by itself: it is what spending is held against. Spend that is not known
(calls without a price, amounts in other currencies) is told beside the known amount, never taken
as zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Literal, get_args

from metering.domain.money import EXACT, RATING_QUANTUM, minor_digits
from metering.domain.periods import Period

Book = Literal["cost", "charge"]
Scope = Literal["everything", "source", "tenant", "cost_centre"]

BOOKS: Final[tuple[Book, ...]] = get_args(Book)
LARGEST: Final = Decimal(10) ** 15
"""Every amount is below it."""


class InvalidBudget(ValueError):
    """The budget cannot be right: the message says what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """`amount` of `currency` a month, above zero; from `warn_share` of it on (above 0, up to 1)
    its owner is warned.

    `book` is what is counted: what calls should have cost, or what a tenant is charged. `scope`
    and `key` say whose: a source's, a tenant's, a cost centre's, or (with an empty key) all.
    """

    scope: Scope
    key: str
    book: Book
    amount: Decimal
    currency: str
    warn_share: Decimal

    def __post_init__(self) -> None:
        if (self.scope == "everything") != (self.key == ""):
            raise InvalidBudget("a budget is of one owner, or of everything")
        if self.book == "charge" and self.scope != "tenant":
            raise InvalidBudget("only a tenant is charged; a budget of another owner is of cost")
        if not self.amount.is_finite() or not 0 < self.amount < LARGEST:
            raise InvalidBudget(f"{self.amount} is no amount above 0 and below {LARGEST}")
        if not self.warn_share.is_finite() or not 0 < self.warn_share <= 1:
            raise InvalidBudget(f"{self.warn_share} is no share above 0 and up to 1")
        minor_digits(self.currency)


@dataclass(frozen=True, slots=True)
class Spending:
    """What was spent in `period` as far as it is known, exactly, in one currency.

    `unpriced_calls` and `unpriced_tokens` have no price yet (a part of a shared call is tokens
    without a call); `elsewhere` is what was spent in other currencies, which is not converted;
    `unknown` says why nothing can be known at all.
    """

    period: Period
    known: Decimal
    unpriced_calls: int = 0
    unpriced_tokens: int = 0
    elsewhere: Mapping[str, Decimal] = field(default_factory=dict)
    unknown: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether `known` is all that was spent."""
        return not (self.unpriced_calls or self.unpriced_tokens or self.elsewhere or self.unknown)


@dataclass(frozen=True, slots=True)
class Standing:
    """A budget and what was spent of it. What is said of it is true of the known spend: it may be
    exceeded without being known to be (`spending.is_whole`), and not the other way round."""

    budget: Budget
    spending: Spending

    @property
    def used(self) -> Decimal:
        """Known spend as a share of the budget, rounded half to even to 18 decimals."""
        share = EXACT.divide(self.spending.known, self.budget.amount)
        return EXACT.quantize(share, RATING_QUANTUM).normalize(EXACT)

    @property
    def is_warning(self) -> bool:
        """Whether the warning share is reached; so it stays beyond the budget's end."""
        return self.spending.known >= EXACT.multiply(self.budget.amount, self.budget.warn_share)

    @property
    def is_exceeded(self) -> bool:
        """Whether more was spent than is meant to be; all of it, to the last digit, is not more."""
        return self.spending.known > self.budget.amount

    @property
    def left(self) -> Decimal:
        """What is left at most; below zero where it is exceeded."""
        return EXACT.subtract(self.budget.amount, self.spending.known)
