"""Takes the words of turns behind their commits, so that they can be searched.

What is still to be done stands in a table of its own. Whoever takes some of it holds it until it is done, so that
servers share the work, and what is deleted meanwhile is waited for by who deletes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from catena.errors import StoreUnavailable
from catena.store.postgres.database import Database, Row, Session
from catena.store.postgres.lookback import look_back
from catena.store.postgres.rows import those
from catena.store.postgres.statements import Q, Statement
from catena.store.postgres.words import of_project, vector_of
from catena.wire.words import VERSION, words_of

__all__ = ["Indexing"]

log = logging.getLogger("catena.store")

_AT_ONCE: Final = 64
_MOST: Final = 1024 * 1024
"""Turns, and bytes of them, whose words are taken together: so long a deletion may have to wait."""

_LONGEST: Final = 5.0
"""Seconds for which words are taken for a search before it goes on with what there is."""

_PATIENCE: Final = "SET LOCAL lock_timeout = '2s'"
"""How long a search waits for what others are just taking."""

_LOOK_EVERY: Final = 10.0
"""Seconds between two looks for what servers that died have left."""

_SOON: Final = 0.2
"""Seconds in which turns gather, so that their words are taken together."""

_REST: Final = 0.05
"""Seconds between two steps while turns are being stored: the processor is theirs."""


class Indexing:
    """Goes on in a task of its own, until it is closed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._more = asyncio.Event()
        self._task = asyncio.create_task(self._go(), name="catena store words")

    def stored(self) -> None:
        """There is a turn whose words are to be taken."""
        self._more.set()

    async def fill(self) -> bool:
        """Take the words of some turns that nobody else is taking; whether there were any. Raises StoreUnavailable."""
        return await self._database.transaction(lambda session: _fill(session, Q["lock_unworded"]))

    async def catch_up(self) -> None:
        """Have what was stored before this call be found, but for where there is very much to be done yet.

        Raises StoreUnavailable.
        """
        clock = asyncio.get_running_loop().time
        until = clock() + _LONGEST
        while clock() < until and await self._is_behind():
            if not await self.fill() and not await self._wait_for_others():
                return

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _is_behind(self) -> bool:
        ((behind,),) = await self._database.fetch(Q["behind"], {"version": VERSION})
        return bool(behind)

    async def _wait_for_others(self) -> bool:
        """Have what others are just taking be taken, and look further back; False if they are too slow."""

        async def step(session: Session) -> None:
            await session.execute(_PATIENCE)
            if not await _fill(session, Q["hold_unworded"]):
                await look_back(session)

        try:
            await self._database.transaction(step)
        except StoreUnavailable as error:
            if isinstance(error.__cause__, asyncpg.LockNotAvailableError):
                return False
            raise
        return True

    async def _go(self) -> None:
        clock = asyncio.get_running_loop().time
        look_at = clock()
        while True:
            try:
                while await self.fill():
                    await self._rest()
                if clock() >= look_at:
                    look_at = clock() + _LOOK_EVERY
                    while await self._database.transaction(look_back):
                        await self._rest()
                        while await self.fill():
                            await self._rest()
            except StoreUnavailable:
                pass  # it is still to be done when the store is back
            except Exception:
                log.exception("words could not be taken, by a fault of this server")
            await self._wait()

    async def _wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_EVERY):
                await self._more.wait()
                await asyncio.sleep(_SOON)
        self._more.clear()

    async def _rest(self) -> None:
        if self._more.is_set():
            self._more.clear()
            await asyncio.sleep(_REST)


async def _fill(session: Session, which: Statement) -> bool:
    held = await session.fetch(which, {"limit": _AT_ONCE})
    if not held:
        return False
    # In a statement of its own, which sees what was deleted before these were held.
    turns = await session.fetch(Q["to_word"], {**_keys_in(held), "most": _MOST})
    vectors = await asyncio.to_thread(_vectors, turns)
    found = [(row["tree"], row["turn"], vector) for row, vector in zip(turns, vectors, strict=True) if vector]
    words = {
        "trees": [tree for tree, _, _ in found],
        "ids": [rest for _, rest, _ in found],
        "vectors": [vector for _, _, vector in found],
    }
    await session.fetch(Q["add_words"], words)
    await session.fetch(Q["drop_unworded"], _keys_in(turns))
    return True


def _keys_in(rows: Sequence[Row]) -> dict[str, Any]:
    return those([(row["tree"], row["turn"]) for row in rows])


def _vectors(turns: Sequence[Row]) -> list[str | None]:
    return [_vector(row) for row in turns]


def _vector(turn: Row) -> str | None:
    if turn["project"] is None:
        return None  # it is gone
    try:
        text = words_of(turn["input"] or b"[]", turn["output"] or b"[]")
    except ValueError:
        log.error("a stored turn cannot be read, so its words are not found")
        return None  # and the others go on
    vector = vector_of(text)
    return f"{of_project(turn['project'])} {vector}" if vector else None
