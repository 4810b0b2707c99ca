"""The admin of allocation: bills, what explains them, who bears them, and the month's close."""

from allocation.admin import bills, lines, month, periods, reconciliations, rules, runs, statements

__all__ = [
    "bills",
    "lines",
    "month",
    "periods",
    "reconciliations",
    "rules",
    "runs",
    "statements",
]
