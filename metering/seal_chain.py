"""The chains of the seals: of each book the first link that is missing, moved or rewritten.

A chain shows what was done to any link but its last: that one is named by what was sealed (the
close of a month, `roots_missing`; an approved invoice). Whoever could rewrite all of it is found
by the roots that a close prints, kept outside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby

from metering.domain.periods import Month
from metering.models import Seal
from metering.verification.findings import Finding, rows


def check(month: Month) -> Iterator[Finding]:
    """The first broken link of each book's chain, and the month's seals whose buckets do not hash
    to their root."""
    yield from _links()
    yield from _roots(month)


def roots_missing(roots: Mapping[str, str], month: Month) -> Iterator[Finding]:
    """The books in which no seal of the month has the root that is named for it."""
    for book, root in sorted(roots.items()):
        if not Seal.objects.filter(book=book, month=str(month), root=root).exists():
            yield Finding(
                f"seal of the {book} book",
                str(month),
                f"no seal has the root {root[:12]}… any more",
            )


def _links() -> Iterator[Finding]:
    seals = Seal.objects.order_by("book", "sequence").values_list(
        "book", "sequence", "month", "root", "previous_root"
    )
    for book, chain in groupby(seals, key=lambda seal: seal[0]):
        before = ""
        for expected, (_, sequence, month, root, previous_root) in enumerate(chain, 1):
            if sequence != expected:
                yield _broken(book, expected, "it is missing")
                break
            if previous_root != before:
                yield _broken(
                    book,
                    sequence,
                    f"it ({month}) does not follow the one before it: one of them was rewritten "
                    "or moved",
                )
                break
            before = root


def _broken(book: str, sequence: int, what: str) -> Finding:
    return Finding(f"seal of the {book} book", f"seal {sequence}", f"the chain breaks here: {what}")


def _roots(month: Month) -> Iterator[Finding]:
    for book, sequence in rows(
        "SELECT s.book, s.sequence FROM seal s LEFT JOIN LATERAL ("
        " SELECT string_agg(E'\\n' || tenant || '|' || to_char(hour_at AT TIME ZONE 'UTC',"
        " 'YYYY-MM-DD\"T\"HH24') || '|' || events || '|' || digest, ''"
        ' ORDER BY tenant COLLATE "C", hour_at) AS lines FROM seal_bucket WHERE seal_id = s.id'
        ") b ON true WHERE s.month = %(month)s AND s.root <> encode(sha256(convert_to("
        "s.previous_root || coalesce(b.lines, ''), 'UTF8')), 'hex') ORDER BY 1, 2",
        {"month": str(month)},
    ):
        yield Finding(
            f"seal of the {book} book",
            f"seal {sequence}",
            f"the stored buckets of {month} do not hash to its root",
        )
