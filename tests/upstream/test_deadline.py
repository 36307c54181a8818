"""A deadline that is cheap to move is still met in time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from catena.upstream.http.deadline import Deadline
from tests.upstream.virtual_clock import VirtualClock


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    return VirtualClock(monkeypatch)


@pytest.fixture
def due() -> list[str]:
    return []


@pytest.fixture
async def deadline(due: list[str]) -> Deadline:
    return Deadline(asyncio.get_running_loop(), lambda: due.append("due"))


async def test_it_is_met_once_and_not_before(clock: VirtualClock, deadline: Deadline, due: list[str]) -> None:
    deadline.set(10)
    await clock.pass_by(9.9)
    assert due == []
    await clock.pass_by(0.2)
    assert due == ["due"]
    await clock.pass_by(100)
    assert due == ["due"]


async def test_what_was_set_last_counts(clock: VirtualClock, deadline: Deadline, due: list[str]) -> None:
    deadline.set(10)
    await clock.pass_by(9)
    deadline.set(10)
    await clock.pass_by(9)
    deadline.set(5)
    await clock.pass_by(4.9)
    assert due == []
    await clock.pass_by(0.2)
    assert due == ["due"]


async def test_an_earlier_one_is_met_earlier(clock: VirtualClock, deadline: Deadline, due: list[str]) -> None:
    deadline.set(100)
    deadline.set(1)
    await clock.pass_by(1.1)
    assert due == ["due"]


async def test_one_that_was_cleared_is_not_met(
    clock: VirtualClock, deadline: Deadline, due: list[str]
) -> None:
    deadline.set(10)
    deadline.clear()
    await clock.pass_by(11)
    assert due == []
    deadline.set(10)
    await clock.pass_by(11)
    assert due == ["due"]


async def test_one_that_was_cleared_may_be_set_before_its_timer_fires(
    clock: VirtualClock, deadline: Deadline, due: list[str]
) -> None:
    deadline.set(10)
    deadline.clear()
    deadline.set(20)
    await clock.pass_by(11)
    assert due == []
    await clock.pass_by(10)
    assert due == ["due"]


async def test_one_that_was_cancelled_leaves_no_timer(deadline: Deadline, due: list[str]) -> None:
    deadline.set(10)
    timer = deadline._timer
    deadline.cancel()
    assert timer is not None
    assert timer.cancelled()


async def test_moving_it_later_arms_no_timer(
    clock: VirtualClock, deadline: Deadline, due: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    armed = []
    call_at = loop.call_at

    def counted(when: float, *rest: Any) -> asyncio.TimerHandle:
        armed.append(when)
        return call_at(when, *rest)

    monkeypatch.setattr(loop, "call_at", counted)
    for _ in range(1000):
        deadline.set(10)
        await clock.pass_by(0.01)
    assert len(armed) <= 2
    await clock.pass_by(10)
    assert due == ["due"]
