"""Several processes that answer over one socket, and the one that minds them.

The parent binds the socket, starts the others, and waits: for one to die, which is replaced, or for the signal that
says stop, which it passes on. A worker whose parent is gone stops by itself. They know nothing of each other but what
is in the store.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing as mp
import os
import signal
import socket
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Final

from rich.markup import escape

from catena.config import Config, ConfigError
from catena.errors import CatenaError
from catena.logs import keep_logs

__all__ = ["Workers"]

log = logging.getLogger("catena.workers")

_PROCESSES: Final = mp.get_context("spawn")
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

_PAUSE: Final = 1.0
"""Seconds until a replacement that could not begin is tried again, as the database may be away."""


class _Worker:
    """A process, and whether it has begun to answer."""

    def __init__(self, config: Config, listening: socket.socket) -> None:
        self.ready = False
        self.hears, tells = _PROCESSES.Pipe(duplex=False)
        self.process: BaseProcess = _PROCESSES.Process(
            target=_work, args=(config, listening, tells), name="catena worker"
        )
        self.process.start()
        tells.close()

    @property
    def waited_for(self) -> list[Any]:
        """What changes when it does."""
        return [self.process.sentinel] if self.ready else [self.process.sentinel, self.hears]

    def look(self) -> None:
        """Find out whether it has begun to answer."""
        if not self.ready and self.hears.poll():
            try:
                self.ready = bool(self.hears.recv())
            except EOFError:
                self.process.join()  # it ended instead


class Workers:
    """As many processes as the settings say, over a socket that is bound."""

    def __init__(self, config: Config, listening: socket.socket) -> None:
        self._config = config
        self._listening = listening
        self._stopping = False
        self._told = False
        self._workers: list[_Worker] = []

    def run(self, ready: Callable[[], None]) -> bool:
        """Mind them until a signal says stop, and they have stopped. `ready` is called when all answer.

        False if one could not begin, or no other was left when a replacement could not; it has said why.
        """
        for number in _SIGNALS:
            signal.signal(number, lambda *_: self._stop())
        for _ in range(self._config.server.workers):
            self._begin()
        whole = True
        while self._workers:
            wait([each for worker in self._workers for each in worker.waited_for])
            for worker in list(self._workers):
                worker.look()
                if not worker.process.is_alive():
                    whole &= self._ended(worker)
            if not self._told and all(worker.ready for worker in self._workers) and not self._stopping:
                self._told = True
                ready()
        return whole

    def _begin(self) -> None:
        worker = _Worker(self._config, self._listening)
        self._workers.append(worker)
        if self._stopping:  # the signal came while it was begun, and did not find it
            worker.process.terminate()

    def _ended(self, worker: _Worker) -> bool:
        """Replace a worker, unless all are to stop; False if they are now, as it never began."""
        self._workers.remove(worker)
        if self._stopping:
            return True
        if not worker.ready:
            if not (self._told and any(other.ready for other in self._workers)):
                self._stop()
                return False
            time.sleep(_PAUSE)
        log.warning("worker %s ended with %s and is replaced", worker.process.pid, worker.process.exitcode)
        self._begin()
        return True

    def _stop(self) -> None:
        self._stopping = True
        for worker in self._workers:
            worker.process.terminate()


def _work(config: Config, listening: socket.socket, tells: Connection) -> None:
    """A worker, from its start to its end."""
    from catena.cli.terminal import errors
    from catena.http_server import event_loop, serve
    from catena.server import open_app

    keep_logs(config.logs, requests=config.server.access_log)
    parent = mp.parent_process()
    assert parent is not None

    def ready() -> None:
        tells.send(True)
        tells.close()

    async def until_stopped() -> None:
        asyncio.get_running_loop().add_reader(parent.sentinel, _stop_alone)
        async with open_app(config) as opened:
            await serve(opened, [listening], stop_within=config.server.stop_seconds, ready=ready)

    try:
        with asyncio.Runner(loop_factory=event_loop) as runner:
            runner.run(until_stopped())
    except (CatenaError, ConfigError, OSError) as error:
        errors.print("[bold red]catena:[/]", escape(str(error)))
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(1) from None


def _stop_alone() -> None:
    loop = asyncio.get_running_loop()
    parent = mp.parent_process()
    assert parent is not None
    loop.remove_reader(parent.sentinel)
    os.kill(os.getpid(), signal.SIGTERM)
