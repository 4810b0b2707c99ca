"""What is owed for time, as rows: what a contract's editions come to, and what a month holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, cast

from django.db import IntegrityError, transaction
from django.db.models import F, Q

from metering.domain.commitments import Commitment, CommitmentKind
from metering.domain.contract_terms import InvalidTerm, terms_in_force
from metering.domain.money import plain
from metering.domain.periods import Period
from metering.models.commitments import CommitmentRow
from metering.models.prices import PriceListImport


class CommitmentChanges(NamedTuple):
    """Rows that are given an end (by id; at their own start: taken back), and those to open."""

    ended: dict[int, datetime]
    added: tuple[Commitment, ...]
    words: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.ended or self.added)


def commitments_of(period: Period) -> list[Commitment]:
    """What is held at some instant of the period, sorted."""
    rows = CommitmentRow.objects.filter(valid_from__lt=period.end).filter(
        Q(valid_to=None) | Q(valid_to__gt=period.start) & Q(valid_to__gt=F("valid_from"))
    )
    return [_value(row) for row in rows.order_by("kind", "provider", "model_id", "valid_from")]


def changes(book: str, newest: Sequence[Commitment]) -> CommitmentChanges:
    """What the book's rows need for its editions and the newest one to hold. A row is never
    extended: what is held for longer is a further row. Raises `InvalidTerm`."""
    editions = PriceListImport.objects.filter(book=book).order_by("effective_at")
    said = [
        [Commitment.from_json(each) for each in terms if "kind" in each]
        for terms in editions.values_list("terms", flat=True)
    ]
    wanted = terms_in_force([*said, newest])
    missing = {(each.key, each.valid_from): each for each in wanted}
    ended: dict[int, datetime] = {}
    added: list[Commitment] = []
    words: list[str] = []
    for row in CommitmentRow.objects.filter(book=book).order_by("id"):
        if row.valid_to is not None and row.valid_to <= row.valid_from:
            continue
        held = _value(row)
        same = missing.get((held.key, held.valid_from))
        if same is None or _content(same) != _content(held):
            ended[row.id] = held.valid_from
            words.append(f"ends    {in_words(held)}")
            continue
        del missing[held.key, held.valid_from]
        if same.valid_to == held.valid_to:
            continue
        if held.valid_to is None or (same.valid_to is not None and same.valid_to < held.valid_to):
            assert same.valid_to is not None
            ended[row.id] = same.valid_to
            words.append(f"ends    {in_words(same)}")
        else:
            missing[held.key, held.valid_to] = _from(same, held.valid_to)
    added += missing.values()
    return CommitmentChanges(
        ended, tuple(added), (*words, *(f"new     {in_words(each)}" for each in added))
    )


def store(book: str, found: CommitmentChanges, edition: PriceListImport) -> None:
    """Write the changes in the caller's transaction. Raises `InvalidTerm` where another contract
    has committed to the same."""
    try:
        with transaction.atomic():
            _store(book, found, edition)
    except IntegrityError as error:
        if "one_commitment_of_a_kind_at_a_time" not in str(error):
            raise
        raise InvalidTerm(
            f"{edition.source}: another contract already commits to this at that time; end its "
            f"commitment first ({str(error).strip().splitlines()[-1].strip()})"
        ) from error


def _store(book: str, found: CommitmentChanges, edition: PriceListImport) -> None:
    for id_, ends_at in found.ended.items():
        CommitmentRow.objects.filter(id=id_).update(valid_to=ends_at)
    CommitmentRow.objects.bulk_create(
        CommitmentRow(
            book=book,
            kind=each.kind,
            provider=each.provider.lower(),
            model_id=each.model.lower(),
            units=each.units,
            price=each.price,
            currency=each.currency,
            valid_from=each.valid_from,
            valid_to=each.valid_to,
            opened_by=edition,
        )
        for each in found.added
    )


def in_words(each: Commitment) -> str:
    """The commitment in a line, for who imports it."""
    amount = f"{plain(each.price)} {each.currency}"
    much = (
        f"{amount} a month"
        if each.kind == "monthly_minimum"
        else f"{each.units} at {amount} an hour"
    )
    until = f" to {each.valid_to:%Y-%m-%d}" if each.valid_to else ""
    return f"{each.place}: {much} from {each.valid_from:%Y-%m-%d}{until}"


def _from(commitment: Commitment, start: datetime) -> Commitment:
    return Commitment.from_json(commitment.as_json() | {"valid_from": start.isoformat()})


def _content(each: Commitment) -> Sequence[object]:
    return (each.units, each.price, each.currency)


def _value(row: CommitmentRow) -> Commitment:
    return Commitment(
        kind=cast("CommitmentKind", row.kind),  # a check of the table
        provider=row.provider,
        model=row.model_id,
        units=row.units,
        price=row.price,
        currency=row.currency,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
    )
