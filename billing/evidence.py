"""The events under an invoice's lines: which they are, how many, and the digest that proves it.

The lines of one charge (what is included, what is over) stand on the same events: all that the
charge meters. Selections name models and endpoint tags as they were used, never by pattern, so a
line's evidence does not change when a plan's patterns do.
"""

from __future__ import annotations

import glob
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from billing.domain.charges import Charged, UsageLine, Use, left_out_by
from billing.domain.plans import Plan
from billing.models import InvoiceLine
from metering.domain.periods import Period
from metering.evidence import Selection, evidence_under


@dataclass(frozen=True, slots=True)
class LineEvidence:
    """The events under a line: as selections that share no event, their number, and the SHA-256
    over them all, sorted by key. Nothing was metered: no selection, and an empty digest."""

    selections: tuple[Selection, ...] = ()
    count: int = 0
    digest: str = ""

    def content(self) -> dict[str, Any]:
        """As JSON holds it; a selection is read back by `msgspec.convert(…, Selection)`."""
        return {
            "selections": [msgspec.json.decode(msgspec.json.encode(s)) for s in self.selections],
            "count": self.count,
            "digest": self.digest,
        }


class Case(NamedTuple):
    """One tenant's cycle as it was charged."""

    tenant: str
    period: Period
    plan: Plan
    usage: Sequence[UsageLine]
    charged: Charged


def gather(cases: Sequence[Case]) -> list[dict[str, LineEvidence]]:
    """The evidence under each charge of each case, by the charge's code, in one pass over the
    events of each period, whosever they are."""
    keys: list[tuple[int, str]] = []
    chosen: list[tuple[Selection, ...]] = []
    for i, case in enumerate(cases):
        scope = case.plan.scope
        seen = {Use(x.model, x.endpoint_tag) for x in case.usage if left_out_by(x, scope) is None}
        for metered in case.charged.metered:
            keys.append((i, metered.charge.code))
            chosen.append(selections_of(case.tenant, case.period, case.plan, metered.uses, seen))
    gathered: list[dict[str, LineEvidence]] = [{} for _ in cases]
    for (i, code), line, found in zip(keys, chosen, evidence_under(chosen), strict=True):
        gathered[i][code] = (
            LineEvidence(line, found.count, found.digest) if line else LineEvidence()
        )
    return gathered


def selections_of(
    tenant: str, period: Period, plan: Plan, uses: Iterable[Use], seen: Iterable[Use]
) -> tuple[Selection, ...]:
    """The fewest selections that hold the uses of one charge and no other that was seen.

    One for the models of which every endpoint tag belongs to the charge, and one for each set of
    tags that other models have in it.
    """
    mine, all_tags = _tags(uses), _tags(seen)
    models_by_tags: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for model, tags in sorted(mine.items()):
        whole = tags == all_tags[model]
        models_by_tags[() if whole else tuple(sorted(tags))].append(model)
    scope = plan.scope
    return tuple(
        Selection(
            period=period,
            tenant=tenant,
            models=tuple(glob.escape(model) for model in models),
            endpoint_tags=tags,
            data_modes=tuple(sorted(scope.data_modes)),
            environments=tuple(sorted(scope.environments)),
            statuses=tuple(sorted(scope.statuses)),
            served_from=tuple(sorted(scope.served_from)),
        )
        for tags, models in sorted(models_by_tags.items())
    )


def stored_selections(line: InvoiceLine) -> list[Selection]:
    """What a stored line says its events are, as they were when its invoice was drafted."""
    return [
        msgspec.structs.replace(
            msgspec.convert(stored, Selection), received_by=line.invoice.created_at
        )
        for stored in line.evidence_selections
    ]


def _tags(uses: Iterable[Use]) -> Mapping[str, set[str]]:
    tags: dict[str, set[str]] = defaultdict(set)
    for use in uses:
        tags[use.model].add(use.endpoint_tag)
    return tags
