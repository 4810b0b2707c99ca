"""The books, and whoever asks about them in November."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import time_machine

from tests.allocation.october import NOW
from tests.api.books import Asking, Keys, keys, october_in_the_books
from tests.prebuilt import Prebuilt


@pytest.fixture
def november(db: None) -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def books(november: None, prebuilt: Prebuilt) -> Iterator[Keys]:
    with prebuilt.at(october_in_the_books):
        yield keys()


@pytest.fixture
def acme(books: Keys) -> Asking:
    return Asking(books.portal)


@pytest.fixture
def globex(books: Keys) -> Asking:
    return Asking(books.other)


@pytest.fixture
def finance(books: Keys) -> Asking:
    return Asking(books.finance)
