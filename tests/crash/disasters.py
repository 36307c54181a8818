"""What happens to servers and their database while clients use them. Each ends with all of them at work again.

Of one thing at a time nobody may hear anything but a delay or an honest failure. Where a server dies or freezes *and*
the database is away, it is noted from when to when: what this server tells in between, it may take back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from random import Random
from typing import Final, TypeAlias

from tests.crash.database import FragileDatabase
from tests.crash.replicas import Replicas
from tests.crash.server import Server
from tests.crash.told import Doubted, Notebook, Settled

__all__ = ["DISASTERS", "Disaster", "Scene"]

_CATCHING_UP: Final = (2.0, 2.5)
"""Seconds in which servers write what they could not write before. To die meanwhile would be a second thing at once."""


class Scene:
    """Where it happens. Times are in seconds, drawn from `random`."""

    def __init__(
        self, replicas: Replicas, database: FragileDatabase, notebook: Notebook, random: Random
    ) -> None:
        self.replicas = replicas
        self.database = database
        self.random = random
        self._note = notebook.note

    async def pause(self, least: float, most: float) -> None:
        await asyncio.sleep(self.random.uniform(least, most))

    @contextmanager
    def in_doubt(self, server: Server) -> Iterator[None]:
        """While inside, what this server tells may be taken back."""
        url = server.url  # it may start anew at another
        self._note(Doubted(url))
        yield
        self._note(Settled(url))


Disaster: TypeAlias = Callable[[Scene], Awaitable[None]]


# One thing at a time


async def kill_one(scene: Scene) -> None:
    """A server dies, and is there again before its leases are over, or after."""
    server = scene.random.choice(scene.replicas.servers)
    await server.kill()
    await scene.pause(0, 1.5 * scene.replicas.lease)
    await server.start()


async def kill_all_but_one(scene: Scene) -> None:
    killed = scene.random.sample(scene.replicas.servers, len(scene.replicas.servers) - 1)
    await asyncio.gather(*(server.kill() for server in killed))
    await scene.pause(0, 0.5)
    await asyncio.gather(*(server.start() for server in killed))


async def freeze_one(scene: Scene) -> None:
    """A server is thought dead by the others, and is not."""
    server = scene.random.choice(scene.replicas.servers)
    server.freeze()
    await scene.pause(1.2 * scene.replicas.lease, 2.5 * scene.replicas.lease)
    server.thaw()


async def stop_one(scene: Scene) -> None:
    """A server is replaced, as by a new version."""
    server = scene.random.choice(scene.replicas.servers)
    await server.stop()
    await server.start()


async def restart_database(scene: Scene) -> None:
    await scene.database.stop()
    await scene.pause(0, 1)
    await scene.database.start()
    await scene.pause(*_CATCHING_UP)


async def crash_database(scene: Scene) -> None:
    await scene.database.crash()
    await scene.pause(0, 1)
    await scene.database.start()
    await scene.pause(*_CATCHING_UP)


async def freeze_database(scene: Scene) -> None:
    """It says nothing for less than a lease, or for more."""
    scene.database.freeze()
    await scene.pause(0.3, 2 * scene.replicas.lease)
    scene.database.thaw()
    await scene.pause(*_CATCHING_UP)


# Two at once


async def kill_one_while_the_database_is_away(scene: Scene) -> None:
    server = scene.random.choice(scene.replicas.servers)
    with scene.in_doubt(server):
        await scene.database.crash()
        await scene.pause(0, 0.5)
        await server.kill()
        await scene.pause(0, 1)
        await scene.database.start()
    await server.start()
    await scene.pause(*_CATCHING_UP)


async def stop_one_while_the_database_is_away(scene: Scene) -> None:
    """What it has left to write, nobody hears of."""
    server = scene.random.choice(scene.replicas.servers)
    with scene.in_doubt(server):
        await scene.database.crash()
        await scene.pause(0, 0.5)
        await server.stop()
        await scene.database.start()
    await server.start()
    await scene.pause(*_CATCHING_UP)


async def freeze_one_while_the_database_restarts(scene: Scene) -> None:
    """What the frozen one finds when it goes on is another session, and leases that are over."""
    server = scene.random.choice(scene.replicas.servers)
    with scene.in_doubt(server):
        server.freeze()
        await scene.database.stop()
        await scene.database.start()
        await scene.pause(1.2 * scene.replicas.lease, 2 * scene.replicas.lease)
        server.thaw()
        await scene.pause(*_CATCHING_UP)


DISASTERS: Final[Mapping[Disaster, int]] = {
    kill_one: 4,
    kill_all_but_one: 2,
    freeze_one: 4,
    stop_one: 2,
    restart_database: 2,
    crash_database: 2,
    freeze_database: 4,
    kill_one_while_the_database_is_away: 2,
    stop_one_while_the_database_is_away: 1,
    freeze_one_while_the_database_restarts: 2,
}
"""How often each happens, among all."""
