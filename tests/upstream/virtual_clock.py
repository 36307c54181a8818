"""Time that only passes when a test says so."""

from __future__ import annotations

import asyncio

import pytest

__all__ = ["VirtualClock"]


class VirtualClock:
    """Stands in for the clock of the running loop (the standard library's: its methods can be replaced)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._now = 1000.0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self._now)

    async def pass_by(self, seconds: float) -> None:
        """Let `seconds` pass, and whatever became due happen."""
        self._now += seconds
        for _ in range(3):  # a timer that is due runs in the next round, and wakes a task in the one after
            await asyncio.sleep(0)
