"""The books, and whoever asks about them in November."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import time_machine

from tests.allocation.october import NOW
from tests.api.books import Asking, Keys, keys, october_in_the_books


@pytest.fixture
def november(db: None) -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def books(november: None, tmp_path: Path) -> Keys:
    october_in_the_books(tmp_path)
    return keys()


@pytest.fixture
def acme(books: Keys) -> Asking:
    return Asking(books.portal)


@pytest.fixture
def globex(books: Keys) -> Asking:
    return Asking(books.other)


@pytest.fixture
def finance(books: Keys) -> Asking:
    return Asking(books.finance)
