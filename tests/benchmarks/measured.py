"""What a benchmark says: a figure, where it has a yardstick the ratio to it, and what is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from time import perf_counter, process_time
from typing import Any, Literal, NamedTuple


class Asked(NamedTuple):
    """What is asked of a figure: that its value, or its ratio, is at least or at most so much."""

    of: Literal["value", "ratio"]
    bound: Literal["least", "most"]
    limit: float

    def __str__(self) -> str:
        return f"{self.of} {'≥' if self.bound == 'least' else '≤'} {self.limit:,g}"


@dataclass(frozen=True)
class Measured:
    """`ratio` is value ÷ baseline_value, both measured in this run; `n` is the work's size."""

    name: str
    value: float
    unit: str
    n: int
    baseline: str | None = None
    baseline_value: float | None = None
    asked: Asked | None = None

    @property
    def ratio(self) -> float | None:
        return self.value / self.baseline_value if self.baseline_value else None

    @property
    def is_met(self) -> bool | None:
        """Whether it is what is asked; `None` where nothing is."""
        if self.asked is None:
            return None
        found = self.value if self.asked.of == "value" else self.ratio
        assert found is not None, f"{self.name}: a ratio is asked for, and there is no yardstick"
        limit = self.asked.limit
        return found >= limit if self.asked.bound == "least" else found <= limit

    def as_json(self) -> dict[str, Any]:
        asked = None if self.asked is None else str(self.asked)
        return {**asdict(self), "ratio": self.ratio, "asked": asked, "is_met": self.is_met}


FLAT = Asked("ratio", "most", 1.1)
"""Of memory with several times as many events."""

Benchmark = Callable[[], Iterator[Measured]]


@contextmanager
def stopwatch() -> Iterator[Callable[[], float]]:
    """Seconds since the start, asked for by calling what it gives."""
    start = perf_counter()
    yield lambda: perf_counter() - start


@contextmanager
def processor_stopwatch() -> Iterator[Callable[[], float]]:
    """Processor seconds of this process since the start: for work that waits for nobody, so that
    what else the machine does meanwhile makes neither side of a comparison slower."""
    start = process_time()
    yield lambda: process_time() - start
