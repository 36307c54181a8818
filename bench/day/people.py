"""What people do on a day: each kind of request as often as its weight says, on trees that they grow and leave."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from bench.load import Connection
from bench.sockets import Socket
from bench.workloads.asking import id_in
from bench.workloads.joining import number_of

__all__ = ["People"]

_TREES: Final = 200
"""Trees that are in use; with more, the oldest are left."""

_TURNS: Final = 40
"""Turns after which a tree is left."""

_WEIGHTS: Final[Mapping[str, int]] = {
    "stateless": 15,
    "stored": 12,
    "grow": 25,
    "branch": 5,
    "stream": 6,
    "resume": 4,
    "background": 5,
    "get": 10,
    "items": 6,
    "delete": 4,
    "conversation": 4,
    "socket": 4,
}


class _Tree:
    """The ids of its turns, and how many use it at this moment."""

    def __init__(self, root: str) -> None:
        self.turns = [root]
        self.users = 0
        self.left = False


class People:
    """Clients of one server. `times` are the milliseconds of what was done, by kind; `failures`, what went wrong."""

    def __init__(self, port: int, seed: int = 1) -> None:
        self.times: dict[str, list[float]] = defaultdict(list)
        self.failures: Counter[str] = Counter()
        self._port = port
        self._chance = random.Random(seed)
        self._trees: list[_Tree] = []
        self._left: list[str] = []
        self._idle: list[Connection] = []
        self._sockets: list[Socket] = []
        self._doing: Mapping[str, Callable[[Connection], Awaitable[float | None]]] = {
            "stateless": self._stateless,
            "stored": self._stored,
            "grow": self._grow,
            "branch": self._branch,
            "stream": self._stream,
            "resume": self._resume,
            "background": self._background,
            "get": self._get,
            "items": self._items,
            "delete": self._delete,
            "conversation": self._conversation,
            "socket": self._socket,
        }

    async def act(self) -> None:
        """Do something, and keep how long it took. What fails is counted."""
        (kind,) = self._chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
        begun = time.perf_counter()
        try:
            async with self._connection() as connection:
                took = await self._doing[kind](connection)
        except (RuntimeError, OSError, asyncio.IncompleteReadError) as error:
            self.failures[f"{kind}: {error!r:.300}"] += 1
        else:
            self.times[kind].append((time.perf_counter() - begun) * 1e3 if took is None else took)

    def part(self) -> None:
        """Close all connections."""
        for connection in self._idle:
            connection.close()
        for socket in self._sockets:
            socket.close()
        self._idle, self._sockets = [], []

    def forget_times(self) -> dict[str, list[float]]:
        """What is in `times`, which is empty then."""
        times, self.times = self.times, defaultdict(list)
        return times

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                break
        else:
            connection = await Connection.open(self._port)
        try:
            yield connection
        finally:
            if connection.is_open:
                self._idle.append(connection)

    # What is done: it returns the milliseconds that count, or None for all that it took

    async def _stateless(self, connection: Connection) -> None:
        await connection.ask("/responses", {"model": "m", "input": "Say hello.", "store": False})

    async def _stored(self, connection: Connection) -> None:
        root = id_in(await connection.ask("/responses", {"model": "m", "input": "Say hello."}))
        self._trees.append(_Tree(root))
        if len(self._trees) > _TREES:
            self._leave(self._trees[0])

    async def _grow(self, connection: Connection) -> None:
        await self._continue(connection, -1)

    async def _branch(self, connection: Connection) -> None:
        await self._continue(connection, self._chance.random())

    async def _continue(self, connection: Connection, place: float) -> None:
        if not self._trees:
            return await self._stored(connection)
        with self._some_tree() as tree:
            parent = tree.turns[-1] if place < 0 else tree.turns[int(place * len(tree.turns))]
            body = {"model": "m", "input": "And then?", "previous_response_id": parent}
            tree.turns.append(id_in(await connection.ask("/responses", body)))
            if len(tree.turns) > _TURNS and not tree.left:
                self._leave(tree)
        return None

    @contextlib.contextmanager
    def _some_tree(self) -> Iterator[_Tree]:
        """Nothing of it is deleted while inside."""
        tree = self._chance.choice(self._trees)
        tree.users += 1
        try:
            yield tree
        finally:
            tree.users -= 1
            self._give_up(tree)

    def _leave(self, tree: _Tree) -> None:
        self._trees.remove(tree)
        tree.left = True
        self._give_up(tree)

    def _give_up(self, tree: _Tree) -> None:
        if tree.left and not tree.users:
            self._left += tree.turns

    async def _stream(self, connection: Connection) -> float:
        """Until the first event."""
        times: list[float] = []
        begun = time.perf_counter()
        body = {"model": "paced", "input": "Go on.", "stream": True}
        await connection.stream("/responses", body, lambda _: times.append(time.perf_counter()))
        return (times[0] - begun) * 1e3

    async def _resume(self, connection: Connection) -> float:
        """Until the first event of the rest; the beginning of the stream broke off."""
        heard: list[bytes] = []

        def hear(event: bytes) -> None:
            heard.append(event)
            if len(heard) == 6:
                connection.drop()

        body = {"model": "paced", "input": "Go on.", "stream": True}
        try:
            await connection.stream("/responses", body, hear)
        except ConnectionResetError:
            if len(heard) < 6:
                raise
        if len(heard) < 6:
            raise RuntimeError(f"ended before it was broken off: {heard[-1:]}")
        path = f"/responses/{id_in(heard[0])}?stream=true&starting_after={number_of(heard[5])}"
        times: list[float] = []
        rest: list[int] = []

        def hear_again(event: bytes) -> None:
            times.append(time.perf_counter())
            rest.append(number_of(event))

        begun = time.perf_counter()
        async with self._connection() as another:
            await another.stream(path, None, hear_again, method="GET")
        if rest != list(range(6, 6 + len(rest))):
            raise RuntimeError(f"resumed after 5: {rest}")
        return (times[0] - begun) * 1e3

    async def _background(self, connection: Connection) -> None:
        """Until it is told to be completed: who waits asks again and again."""
        body = {"model": "m", "input": "Take your time.", "background": True}
        made = id_in(await connection.ask("/responses", body))
        for _ in range(1000):
            reply = await connection.ask(f"/responses/{made}", method="GET")
            if (status := msgspec.json.decode(reply)["status"]) == "completed":
                self._left.append(made)
                return
            if status not in ("queued", "in_progress"):
                raise RuntimeError(f"a background response {status}")
            await asyncio.sleep(0.02)
        raise RuntimeError("a background response that does not end")

    async def _get(self, connection: Connection) -> None:
        await self._read(connection, "")

    async def _items(self, connection: Connection) -> None:
        await self._read(connection, "/input_items?limit=100")

    async def _read(self, connection: Connection, what: str) -> None:
        if not self._trees:
            return await self._stored(connection)
        with self._some_tree() as tree:
            await connection.ask(f"/responses/{self._chance.choice(tree.turns)}{what}", method="GET")
        return None

    async def _delete(self, connection: Connection) -> None:
        """One of the turns that nobody uses any more."""
        if not self._left:
            return await self._stored(connection)
        place = self._chance.randrange(len(self._left))
        self._left[place], self._left[-1] = self._left[-1], self._left[place]
        await connection.ask(f"/responses/{self._left.pop()}", method="DELETE")
        return None

    async def _conversation(self, connection: Connection) -> None:
        """Two turns of a new one, which is deleted then."""
        made: Any = msgspec.json.decode(await connection.ask("/conversations", {}))
        for _ in range(2):
            body = {"model": "m", "input": "And then?", "conversation": made["id"]}
            self._left.append(id_in(await connection.ask("/responses", body)))
        await connection.ask(f"/conversations/{made['id']}", method="DELETE")

    async def _socket(self, connection: Connection) -> None:
        """Two turns over a socket that is kept."""
        del connection
        # The one that was idle the longest: one that answers no ping for too long is closed.
        socket = self._sockets.pop(0) if self._sockets else await Socket.open(self._port)
        first = await socket.ask({"model": "m", "input": "Say hello."})
        self._left.append(
            await socket.ask({"model": "m", "input": "And then?", "previous_response_id": first})
        )
        self._sockets.append(socket)
