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
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Final

from catena.config import Config, ConfigError
from catena.errors import CatenaError
from catena.logs import keep_logs

__all__ = ["Workers"]

log = logging.getLogger("catena.workers")

_PROCESSES: Final = mp.get_context("spawn")
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


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
        self._workers: list[_Worker] = []

    def run(self, ready: Callable[[], None]) -> bool:
        """Mind them until a signal says stop, and they have stopped. `ready` is called when all answer.

        False if one could not begin; it has said why.
        """
        for number in _SIGNALS:
            signal.signal(number, lambda *_: self._stop())
        for _ in range(self._config.server.workers):
            self._begin()
        told = False
        whole = True
        while self._workers:
            wait([each for worker in self._workers for each in worker.waited_for])
            for worker in list(self._workers):
                worker.look()
                if not worker.process.is_alive():
                    whole &= self._ended(worker)
            if not told and all(worker.ready for worker in self._workers) and not self._stopping:
                told = True
                ready()
        return whole

    def _begin(self) -> None:
        worker = _Worker(self._config, self._listening)
        self._workers.append(worker)
        if self._stopping:  # the signal came while it was begun, and did not find it
            worker.process.terminate()

    def _ended(self, worker: _Worker) -> bool:
        """Replace a worker, unless all are to stop; False if it never began."""
        self._workers.remove(worker)
        if self._stopping:
            return True
        if not worker.ready:
            self._stop()
            return False
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
    from catena.server import event_loop, open_app, serve

    keep_logs(config.logs, requests=config.server.access_log)
    parent = mp.parent_process()
    assert parent is not None

    async def until_stopped() -> None:
        asyncio.get_running_loop().add_reader(parent.sentinel, _stop_alone)
        async with open_app(config) as opened:
            tells.send(True)
            tells.close()
            await serve(opened, [listening], stop_within=config.server.stop_seconds)

    try:
        with asyncio.Runner(loop_factory=event_loop) as runner:
            runner.run(until_stopped())
    except (CatenaError, ConfigError, OSError) as error:
        errors.print("[bold red]catena:[/]", str(error), markup=True)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(1) from None


def _stop_alone() -> None:
    loop = asyncio.get_running_loop()
    parent = mp.parent_process()
    assert parent is not None
    loop.remove_reader(parent.sentinel)
    os.kill(os.getpid(), signal.SIGTERM)
