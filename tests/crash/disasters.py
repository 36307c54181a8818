"""What happens to servers and their database while clients use them. Each ends with all of them at work again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Final, TypeAlias

from tests.crash.database import FragileDatabase
from tests.crash.replicas import Replicas

__all__ = ["DISASTERS", "Disaster", "Scene"]


class Scene:
    """Where it happens. Times are in seconds, drawn from `random`."""

    def __init__(self, replicas: Replicas, database: FragileDatabase, random: Random) -> None:
        self.replicas = replicas
        self.database = database
        self.random = random

    async def pause(self, least: float, most: float) -> None:
        await asyncio.sleep(self.random.uniform(least, most))


Disaster: TypeAlias = Callable[[Scene], Awaitable[None]]


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


async def freeze_database(scene: Scene) -> None:
    """It says nothing for less than a lease, or for more."""
    scene.database.freeze()
    await scene.pause(0.3, 2 * scene.replicas.lease)
    scene.database.thaw()


async def kill_one_while_the_database_is_away(scene: Scene) -> None:
    server = scene.random.choice(scene.replicas.servers)
    await scene.database.stop()
    await server.kill()
    await scene.pause(0, 1)
    await scene.database.start()
    await server.start()


async def stop_one_while_the_database_is_away(scene: Scene) -> None:
    """What it has left to write, nobody hears of."""
    server = scene.random.choice(scene.replicas.servers)
    await scene.database.stop()
    await server.stop()
    await scene.database.start()
    await server.start()


async def freeze_one_while_the_database_restarts(scene: Scene) -> None:
    """What the frozen one finds when it goes on is another session, and leases that are over."""
    server = scene.random.choice(scene.replicas.servers)
    server.freeze()
    await scene.database.stop()
    await scene.database.start()
    await scene.pause(1.2 * scene.replicas.lease, 2 * scene.replicas.lease)
    server.thaw()


DISASTERS: Final[Mapping[Disaster, int]] = {
    kill_one: 4,
    kill_all_but_one: 1,
    freeze_one: 3,
    stop_one: 1,
    restart_database: 3,
    freeze_database: 3,
    kill_one_while_the_database_is_away: 1,
    stop_one_while_the_database_is_away: 1,
    freeze_one_while_the_database_restarts: 1,
}
"""How often each happens, among all."""
