"""Which metered usage each line of a bill pays for.

Bill lines and metered cells meet in cells (provider, project, UTC day, executed model, token
class, tier). First they meet exactly. What is left over is joined in steps, from the narrowest
to the widest, wherever one side leaves open what the other side says:

1. `tier`: the bill does not say the tier;
2. `project`: one side does not know the project;
3. `alias`: one side has the undated name of the model (`gpt-4o`) and the other a dated snapshot
   of it (`gpt-4o-2024-08-06`);
4. `unit`: a tool's line names its unit (`web_search`) but no model;
5. `class`: the bill names the model, but no token class;
6. `day`: the bill breaks the amount down no further than the provider's (or project's) day.

Two cells are joined only if one of them has too much bill and the other too much metering: a cell
that already agrees is left in peace. The last three steps join only what has no counterpart at
all. All that is joined forms one group, which is settled as a whole: its bill lines together pay
for its metered cells together. Nothing is split between projects by guesswork; whoever must
divide a group's amount divides it over the metered cells by their cost.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext
from typing import Final, Literal, NamedTuple

from allocation.domain.bill_lines import BillLine
from metering.domain.capacity import UNIT as CAPACITY
from metering.domain.cells import Cell, MeteredCell, Owner, counts_tokens
from metering.domain.money import EXACT
from metering.domain.price_book import CAPACITY_TIERS
from metering.domain.units import unit_named

Verdict = Literal["matched", "bill_only", "metered_only"]
Join = Literal["exact", "tier", "project", "alias", "unit", "class", "day", "none", "apart"]

_NOTHING: Final = Decimal(0)
_SNAPSHOT: Final = re.compile(r"[-@](?:\d{4}-\d{2}-\d{2}|\d{8}|latest)$")


@dataclass(frozen=True, slots=True)
class Group:
    """Bill lines and the metered cells that they pay for; all of one provider's UTC day.

    Every bill line and every metered cell is in exactly one group. `cell` holds what the members
    have in common; a part is `""` where they differ or where nobody says it. `how` is the widest
    step that was needed: `exact`, a step of this module, `none` (one side only) or `apart` (a fee
    without unit, a credit, a tax, an adjustment, reserved capacity: what metering never counts).
    """

    cell: Cell
    how: Join
    bill: tuple[BillLine, ...]
    metered: tuple[MeteredCell, ...]

    def __post_init__(self) -> None:
        if not self.bill and not self.metered:
            raise EmptyGroup(f"{self.cell} has neither bill lines nor metered cells")

    @property
    def verdict(self) -> Verdict:
        if self.bill and self.metered:
            return "matched"
        return "bill_only" if self.bill else "metered_only"

    @property
    def amount(self) -> Decimal:
        """What the bill asks, exact, in the bill's currency."""
        return _total(line.amount for line in self.bill)

    @property
    def cost(self) -> Decimal:
        """What the priced part of the metered usage should have cost, exact."""
        return _total(m.cost for m in self.metered if m.cost is not None)

    @property
    def metered_quantity(self) -> Decimal:
        return _total(m.quantity for m in self.metered)

    @property
    def unpriced_quantity(self) -> Decimal:
        """The part of `metered_quantity` whose price is not known."""
        return _total(m.quantity for m in self.metered if m.cost is None)

    @property
    def billed_quantity(self) -> Decimal | None:
        """What the bill counts, or `None` where a line reports no count that compares with ours."""
        counts = [comparable_quantity(line) for line in self.bill]
        if not counts or None in counts:
            return None
        return _total(c for c in counts if c is not None)


class EmptyGroup(ValueError):
    """A group without members says nothing about anything."""


class Matching(NamedTuple):
    """The groups, in the order of their cells; the same for any order of the input."""

    groups: tuple[Group, ...]

    def of(self, verdict: Verdict) -> tuple[Group, ...]:
        return tuple(g for g in self.groups if g.verdict == verdict)


def match(bill_lines: Sequence[BillLine], metered: Sequence[MeteredCell]) -> Matching:
    """Give every bill line and every metered cell exactly one verdict.

    The result does not depend on the order of the input. Amounts are compared only for their
    sign, and only where the bill gives no quantities, so mixed currencies are the caller's to
    refuse.
    """
    billed: dict[Cell, list[BillLine]] = defaultdict(list)
    apart: list[Group] = []
    spelt = _spellings(metered)
    for line in sorted(bill_lines, key=_line_order):
        cell = _as_metered(cell_of(line), spelt)
        if is_metered_kind(line):
            billed[cell].append(line)
        else:
            apart.append(Group(cell, "apart", (line,), ()))
    # Sorted once: what is joined later is put in order by place, not compared again.
    readings = sorted(metered, key=_reading_order)
    used: dict[Cell, list[int]] = defaultdict(list)
    for place, reading in enumerate(readings):
        used[reading.cell].append(place)
    settled = [
        _Node(
            cell,
            "exact" if cell in billed and cell in used else "none",
            tuple(billed.get(cell, ())),
            used.get(cell, []),
            readings,
        )
        for cell in sorted({**billed, **used})
    ]
    for step in _STEPS:
        settled = _join(settled, step)
    groups = [Group(n.cell, n.how, n.bill, n.metered) for n in settled]
    return Matching(tuple(sorted(groups + apart, key=_group_order)))


def _spellings(metered: Iterable[MeteredCell]) -> dict[str, str]:
    """How metering's senders call each unit (`web_search`, `web_search_requests`)."""
    names = sorted({reading.cell.token_class for reading in metered}, reverse=True)
    return {unit.name: name for name in names if (unit := unit_named(name)) is not None}


def _as_metered(cell: Cell, spelt: Mapping[str, str]) -> Cell:
    """The bill's cell with its unit in metering's spelling: a bill counts `web_searches`."""
    unit = unit_named(cell.token_class)
    if unit is None:
        return cell
    return cell._replace(token_class=spelt.get(unit.name, cell.token_class))


def cell_of(line: BillLine) -> Cell:
    """The cell that a bill line stands in; parts that the bill leaves open are `""`."""
    return Cell(line.provider, line.project, line.day, line.model, line.token_class, line.tier)


def is_capacity(line: BillLine) -> bool:
    """A charge for reserved capacity by the hour: it says so in its class, or is of the tier that
    is paid so and counts no tokens. Calls on it are free, so no metered usage meets it."""
    return line.kind in ("usage", "fee") and (
        line.token_class == CAPACITY
        or (line.tier in CAPACITY_TIERS and not counts_tokens(line.token_class))
    )


def is_metered_kind(line: BillLine) -> bool:
    """Usage, and fees that count a unit (`web_search`), can be met by metered usage."""
    if is_capacity(line):
        return False
    return line.kind == "usage" or (line.kind == "fee" and line.token_class != "")


def undated(model: str) -> str:
    """The alias of a dated snapshot: `gpt-4o-2024-08-06`, `claude-sonnet-4-5-20250929` and
    `claude-3-5-haiku-latest` lose their ending; a name without one is its own alias."""
    return _SNAPSHOT.sub("", model)


def comparable_quantity(line: BillLine) -> Decimal | None:
    """The line's quantity if it counts what metering counts: tokens for a token class (the unit
    may be left out), whatever the unit for another class; otherwise `None`."""
    if line.quantity is None or line.quantity < 0:
        return None
    if counts_tokens(line.token_class) or line.token_class == "":
        return line.quantity if line.quantity_unit in ("tokens", "") else None
    return line.quantity


class _Node:
    """A group in the making."""

    __slots__ = ("_readings", "_sign", "bill", "cell", "how", "places")

    def __init__(
        self,
        cell: Cell,
        how: Join,
        bill: tuple[BillLine, ...],
        places: list[int],
        readings: Sequence[MeteredCell],
    ) -> None:
        self.cell = cell
        self.how = how
        self.bill = bill
        self.places = places
        self._readings = readings
        self._sign: int | None = None

    @property
    def metered(self) -> tuple[MeteredCell, ...]:
        return tuple([self._readings[place] for place in self.places])

    def united(self, others: Iterable[_Node], cell: Cell, how: Join) -> _Node:
        """All of them as one, whose members have the cell in common."""
        parts = (self, *others)
        bill = sorted((line for part in parts for line in part.bill), key=_line_order)
        places = sorted([place for part in parts for place in part.places])
        return _Node(cell, how, tuple(bill), places, self._readings)

    def sign(self) -> int:
        """1: more bill than metering, -1: less, 0: they agree or cannot be told apart."""
        if self._sign is None:  # every step asks again, and adding up is what matching costs
            self._sign = self._compared()
        return self._sign

    def _compared(self) -> int:
        if not self.places:
            return 1
        if not self.bill:
            return -1
        group = Group(self.cell, self.how, self.bill, self.metered)
        billed = group.billed_quantity
        if billed is not None:
            return _sign(billed, group.metered_quantity)
        if group.unpriced_quantity:
            return 0
        return _sign(group.amount, group.cost)


class _Step(NamedTuple):
    """One widening: which parts of the cell may be left open by one of the two sides."""

    how: Join
    open_project: bool
    model: Literal["same", "alias", "any"]
    open_class: bool
    one_sided: bool

    def family(self, cell: Cell) -> tuple[str, date, str, str, str]:
        """What two cells must share to be looked at together in this step."""
        model = {"same": cell.model, "alias": undated(cell.model), "any": ""}[self.model]
        return (
            cell.provider,
            cell.day,
            "" if self.open_project else cell.project,
            model,
            "" if self.open_class else cell.token_class,
        )


_STEPS: Final = (
    _Step("tier", False, "same", False, False),  # noqa: FBT003 - columns of a table
    _Step("project", True, "same", False, False),  # noqa: FBT003
    _Step("alias", True, "alias", False, False),  # noqa: FBT003
    _Step("unit", True, "any", False, True),  # noqa: FBT003
    _Step("class", True, "alias", True, True),  # noqa: FBT003
    _Step("day", True, "any", True, True),  # noqa: FBT003
)


def _join(nodes: list[_Node], step: _Step) -> list[_Node]:
    families: dict[tuple[str, date, str, str, str], list[_Node]] = defaultdict(list)
    for node in nodes:
        families[step.family(node.cell)].append(node)
    joined: list[_Node] = []
    for family in families.values():
        joined.extend(family if len(family) == 1 else _join_family(family, step))
    return joined


def _join_family(family: list[_Node], step: _Step) -> list[_Node]:
    """Unite all that settle with each other. Whole components are united, so that the outcome
    does not depend on which of two candidates is looked at first."""
    signs = [n.sign() for n in family]
    free = [
        signs[i] != 0 and not (step.one_sided and n.bill and n.places) for i, n in enumerate(family)
    ]
    bills = [i for i in range(len(family)) if free[i] and signs[i] > 0]
    readings = [i for i in range(len(family)) if free[i] and signs[i] < 0]
    root = list(range(len(family)))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    for b in bills:
        for m in readings:
            if fits(family[b].cell, family[m].cell):
                root[find(m)] = find(b)
    parts: dict[int, list[_Node]] = defaultdict(list)
    for i, node in enumerate(family):
        parts[find(i)].append(node)
    return [p[0] if len(p) == 1 else _unite(p, step.how) for p in parts.values()]


def fits(one: Cell, other: Cell) -> bool:
    """Whether two cells of one provider's day differ only in what one of them leaves open."""
    return all(
        a in (b, "") or b == ""
        for a, b in (
            (one.project, other.project),
            (one.token_class, other.token_class),
            (one.tier, other.tier),
        )
    ) and same_model(one.model, other.model)


def same_model(one: str, other: str) -> bool:
    """Whether the names may mean one model: equal, one left open, or one the other's alias."""
    if one in (other, "") or other == "":
        return True
    alias = undated(one)
    return alias == undated(other) and alias in (one, other)


def _unite(parts: list[_Node], how: Join) -> _Node:
    cells = [p.cell for p in parts]
    cell = Cell(
        cells[0].provider,
        _common(c.project for c in cells),
        cells[0].day,
        _common_model({c.model for c in cells if c.model}),
        _common(c.token_class for c in cells),
        _common(c.tier for c in cells),
    )
    return parts[0].united(parts[1:], cell, how)


def _common(values: Iterable[str]) -> str:
    said = {v for v in values if v}
    return said.pop() if len(said) == 1 else ""


def _common_model(said: set[str]) -> str:
    aliases = {undated(m) for m in said}
    if len(aliases) != 1:
        return ""
    dated = said - aliases
    return dated.pop() if len(dated) == 1 else aliases.pop()


def _line_order(line: BillLine) -> tuple[int, int]:
    return (line.bill_id, line.line_no)


def _reading_order(reading: MeteredCell) -> tuple[Cell, Owner, bool, str, Decimal, Decimal]:
    cell, owner, quantity, cost, currency, _ = reading
    if cost is None:
        return (cell, owner, True, currency, quantity, _NOTHING)
    return (cell, owner, False, currency, quantity, cost)


def _group_order(group: Group) -> tuple[Cell, bool, tuple[int, int]]:
    first = _line_order(group.bill[0]) if group.bill else (0, 0)
    return (group.cell, not group.metered, first)


def _sign(one: Decimal, other: Decimal) -> int:
    return (one > other) - (one < other)


def _total(amounts: Iterable[Decimal]) -> Decimal:
    with localcontext(EXACT):
        return sum(amounts, Decimal(0))
