"""Requests that come at once are done together, each with its own answer."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

import pytest

from metering.group_commit import GroupCommit, Overloaded, OverShare, Unanswered


class Committing:
    """What a group is done by: holds the first one back until it is told to go on, and keeps what
    every group was made of."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.begun = Event()
        self.go_on = Event()

    def __call__(self, requests: Sequence[int]) -> list[int | Exception]:
        self.groups.append(list(requests))
        if not self.begun.is_set():
            self.begun.set()
            assert self.go_on.wait(10)
        if any(request < 0 for request in requests):
            raise ZeroDivisionError(f"one of {list(requests)} cannot be done")
        if 99 in requests:
            raise ConnectionError("the database is away")
        return [PermissionError("not you") if r == 13 else r * 10 for r in requests]


def held(
    committing: Committing, pool: ThreadPoolExecutor, group: GroupCommit[int, int], *later: int
) -> list[Future[int]]:
    """A first request at work, and the later ones waiting for it in their order."""
    futures = [pool.submit(group.do, 1)]
    assert committing.begun.wait(10)
    return [*futures, *held_more(pool, group, 1, *later)]


def held_more(
    pool: ThreadPoolExecutor, group: GroupCommit[int, int], before: int, *later: int
) -> list[Future[int]]:
    """Further requests, waiting behind so many (one at work)."""
    futures: list[Future[int]] = []
    for request in later:
        futures.append(pool.submit(group.do, request))
        while len(group._queue) < before + len(futures) - 1:
            pass
    return futures


def test_what_gathers_while_a_group_is_at_work_is_the_next_group() -> None:
    committing = Committing()
    group: GroupCommit[int, int] = GroupCommit(committing, largest=3, most=100)
    with ThreadPoolExecutor(8) as pool:
        futures = held(committing, pool, group, 2, 3, 4, 5)
        committing.go_on.set()
        assert [future.result(10) for future in futures] == [10, 20, 30, 40, 50]
    assert committing.groups == [[1], [2, 3, 4], [5]]


def test_a_group_that_is_full_waits_for_nobody_to_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("metering.group_commit.GATHER_SECONDS", 60)
    committing = Committing()
    group: GroupCommit[int, int] = GroupCommit(committing, largest=2, most=100)
    with ThreadPoolExecutor(8) as pool:
        futures = held(committing, pool, group, 2, 3, 4, 5)
        committing.go_on.set()
        assert [future.result(10) for future in futures] == [10, 20, 30, 40, 50]
    assert committing.groups == [[1], [2, 3], [4, 5]]


def test_one_refused_request_refuses_no_other() -> None:
    committing = Committing()
    group: GroupCommit[int, int] = GroupCommit(committing, largest=10, most=100)
    with ThreadPoolExecutor(8) as pool:
        futures = held(committing, pool, group, 13, 3)
        committing.go_on.set()
        with pytest.raises(PermissionError):
            futures[1].result(10)
        assert futures[2].result(10) == 30
    assert committing.groups == [[1], [13, 3]]


def test_after_an_error_each_request_is_done_by_itself() -> None:
    committing = Committing()
    group: GroupCommit[int, int] = GroupCommit(committing, largest=10, most=100)
    with ThreadPoolExecutor(8) as pool:
        futures = held(committing, pool, group, 2, -1, 3)
        committing.go_on.set()
        assert futures[1].result(10) == 20
        with pytest.raises(ZeroDivisionError):
            futures[2].result(10)
        assert futures[3].result(10) == 30
        assert group.do(7) == 70, "the thread goes on"
    assert committing.groups == [[1], [2, -1, 3], [2], [-1], [3], [7]]


def test_what_meets_all_alike_is_told_to_all_at_once() -> None:
    committing = Committing()
    group: GroupCommit[int, int] = GroupCommit(
        committing, largest=10, most=100, shared=(ConnectionError,)
    )
    with ThreadPoolExecutor(8) as pool:
        futures = held(committing, pool, group, 2, 99)
        committing.go_on.set()
        for future in futures[1:]:
            with pytest.raises(ConnectionError):
                future.result(10)
    assert committing.groups == [[1], [2, 99]]


def test_more_than_may_wait_is_refused_at_once() -> None:
    committing = Committing()
    group: GroupCommit[int, int] = GroupCommit(committing, largest=10, most=3)
    with ThreadPoolExecutor(8) as pool:
        futures = held(committing, pool, group, 2, 3, 4)
        with pytest.raises(Overloaded):
            group.do(5)
        committing.go_on.set()
        assert [future.result(10) for future in futures] == [10, 20, 30, 40]
        assert group.do(6) == 60, "what was refused is not counted as waiting"
    assert [5] not in committing.groups


def test_a_sender_may_wait_with_its_share_of_what_may_wait() -> None:
    """Requests 20 to 29 are one sender's, 30 to 39 another's, and so on."""
    committing = Committing()
    group: GroupCommit[int, int] = GroupCommit(
        committing, largest=100, most=12, whose=lambda request: request // 10
    )
    with ThreadPoolExecutor(20) as pool:
        # one sender: half of the room; two: a third; three: a quarter
        futures = held(committing, pool, group, *(20, 21, 22, 23, 24, 25), *(30, 31, 32, 33))
        for refused in (26, 34):
            with pytest.raises(OverShare):
                group.do(refused)
        futures += held_more(pool, group, len(futures), 40, 41)
        with pytest.raises(Overloaded) as full:
            group.do(50)
        assert not isinstance(full.value, OverShare), "nobody's share was too large, but all's"
        committing.go_on.set()
        assert [future.result(10) for future in futures[1:]] == [
            request * 10 for request in (*range(20, 26), *range(30, 34), 40, 41)
        ]
        assert group.do(26) == 260, "what is done is no part of a share"


def test_a_thread_that_does_not_wait_is_told_after_the_work() -> None:
    committing = Committing()
    group: GroupCommit[int, int] = GroupCommit(committing, largest=10, most=10)
    told: Future[object] = Future()
    group.hand_in(1, told.set_result)
    assert committing.begun.wait(10)
    assert not told.done()
    committing.go_on.set()
    assert told.result(10) == 10


def test_one_request_larger_than_all_that_may_wait_is_done_alone() -> None:
    committing = Committing()
    committing.go_on.set()
    group: GroupCommit[int, int] = GroupCommit(committing, largest=10, most=3)
    assert group.do(4, size=50) == 40


def test_whoever_waits_too_long_is_told_that_nothing_is_known() -> None:
    committing = Committing()
    group: GroupCommit[int, int] = GroupCommit(committing, largest=10, most=3, patience=0.01)
    with pytest.raises(Unanswered):
        group.do(1)
    committing.go_on.set()
