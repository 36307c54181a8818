"""A deadline that is moved often and met hardly ever.

A stream's deadline moves with every read, and cancelling and arming a timer each time would cost too much. So
moving it later only notes the time: the timer that is armed fires early, sees so, and is armed again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

__all__ = ["Deadline"]


class Deadline:
    """Calls `when_due` once the loop's clock has reached what was `set` last, unless it was cleared."""

    __slots__ = ("_armed_for", "_due", "_loop", "_timer", "_when_due")

    def __init__(self, loop: asyncio.AbstractEventLoop, when_due: Callable[[], None]) -> None:
        self._loop = loop
        self._when_due = when_due
        self._due = inf
        self._armed_for = inf
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        """Be due `seconds` from now instead of whenever it was."""
        self._due = due = self._loop.time() + seconds
        if due < self._armed_for:
            self._arm()

    def clear(self) -> None:
        """Be due never; a timer that is armed will find nothing to do."""
        self._due = inf

    def cancel(self) -> None:
        """Be due never, and leave no timer behind."""
        self._due = self._armed_for = inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_for = self._due
        self._timer = self._loop.call_at(self._due, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._armed_for = inf
        if self._due <= self._loop.time():
            self._when_due()
        elif self._due < inf:
            self._arm()
