"""The minding of several processes, where a signal comes at a bad moment."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from catena import workers
from catena.config import Config


class _Process:
    def __init__(self) -> None:
        self.terminated = False

    def terminate(self) -> None:
        self.terminated = True


async def test_a_worker_that_is_begun_while_the_signal_comes_is_stopped_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: list[_Process] = []

    class Worker:
        def __init__(self, config: Config, listening: socket.socket) -> None:
            self.process = _Process()
            begun.append(self.process)
            minding._stop()  # as the handler would, before anybody else knows of this process

    monkeypatch.setattr(workers, "_Worker", Worker)
    nothing: Any = None
    minding = workers.Workers(Config(), nothing)
    minding._begin()
    assert [process.terminated for process in begun] == [True]
