"""One run for one `Idempotency-Key`: who sends the same request under the same key again gets the same response.

While the first run goes on, the others follow it; after its end they are answered from the store, which has the key in
the same transaction as the turn, for a day. A key whose request left nothing to answer from is free again: it was
refused, or its reply was an error, or all had left, or it is not stored. Bodies are compared by their bytes: what a key
or a body says is not looked at, and only digests are kept.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from catena.errors import BadRequest, NotFound
from catena.fold import TERMINAL
from catena.run import Run
from catena.runs import Runs
from catena.store import Door, RequestKey, Turn

__all__ = ["Begin", "Known", "Mode", "Once", "request_key"]

Begin: TypeAlias = Callable[[], Awaitable[Run]]

Mode: TypeAlias = Literal["plain", "streamed", "queued"]
"""How a request is answered: by its end, by all that happens until then, or by that it waits."""

_DAY: Final = 86_400
_LONGEST: Final = 255
_LOOK_EVERY: Final = 0.5
"""Seconds between two looks at a run that another server has."""


class Known(msgspec.Struct, frozen=True):
    """What a key stands for: a run that goes on here, or a turn that is stored."""

    source: Run | Turn
    replayed: bool

    @property
    def headers(self) -> Mapping[str, str]:
        """What a reply says of it."""
        return {"idempotent-replayed": "true"} if self.replayed else {}


class _Fields(msgspec.Struct):
    background: bool = False


_decode_fields: Final = msgspec.json.Decoder(_Fields).decode


class _Search(msgspec.Struct, frozen=True):
    """A request under way that has no run yet: it looks for the key, and begins one if there is none."""

    body: bytes
    task: asyncio.Task[Known]


def request_key(header: str | None, door: Door, body: bytes) -> RequestKey | None:
    """The key of a request to `door`, if it has one. Raises BadRequest where it is empty or too long."""
    if header is None:
        return None
    if not 1 <= len(header) <= _LONGEST:
        raise BadRequest(
            f"Invalid 'Idempotency-Key': expected a header with 1 to {_LONGEST} characters, but got one with "
            f"{len(header)} instead.",
            code="invalid_value",
        )
    return RequestKey(_digest(f"{door} {header}".encode()), _digest(body))


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


class Once:
    """Lets each key of a project begin one run."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._store = runs.store
        self._searches: dict[tuple[str, bytes], _Search] = {}

    async def begin(self, project: str, key: RequestKey, mode: Mode, begin: Begin) -> Known:
        """What the key stands for already, or else the run that `begin` gives. A turn has ended, unless it is queued.

        Raises BadRequest if it was used with another body, NotFound if what it began is deleted, and what `begin`
        raises: then the key is free again.
        """
        place = (project, key.name)
        while True:
            run = self._runs.keyed.get(place)
            if run is not None:
                _check_body(run.plan.order.key, key)
                return Known(run, replayed=True)
            search = self._searches.get(place)
            if search is None:
                task = asyncio.create_task(self._search(project, key, mode, begin))
                self._searches[place] = _Search(key.body, task)
                return await asyncio.shield(task)
            if search.body == key.body:
                return replace(await asyncio.shield(search.task), replayed=True)
            # Whose key it is shows when the other knows: it may be refused itself.
            await asyncio.wait([search.task])

    async def _search(self, project: str, key: RequestKey, mode: Mode, begin: Begin) -> Known:
        try:
            while not await self._runs.hold_key(project, key):
                # Another server has begun a run for it, or is about to.
                turn = await self._find(project, key, mode)
                if turn is not None:
                    return Known(turn, replayed=True)
                await asyncio.sleep(_LOOK_EVERY)
            turn = await self._find(project, key, mode)
            return Known(await begin(), replayed=False) if turn is None else Known(turn, replayed=True)
        finally:
            if (project, key.name) not in self._runs.keyed:
                self._runs.release_key(project, key)
            del self._searches[project, key.name]

    async def _find(self, project: str, key: RequestKey, mode: Mode) -> Turn | None:
        since = int(self._runs.workshop.clock()) - _DAY
        use = await self._store.find_key(project, key.name, since=since)
        if use is None:
            return None
        turn = await self._store.load(project, use.turn_id)
        if turn is not None and _is_free(turn, mode):
            return None
        _check_body(RequestKey(key.name, use.body), key)
        if turn is None:
            raise _deleted(use.turn_id)
        if mode == "queued":
            return turn
        turn = await self._ended(turn)
        return None if _is_free(turn, mode) else turn

    async def _ended(self, turn: Turn) -> Turn:
        """The turn once it has ended: another server may have its run."""
        found: Turn | None = turn
        while found is not None and found.status not in TERMINAL:
            await asyncio.sleep(_LOOK_EVERY)
            found = await self._store.load(turn.project, turn.id)
        if found is None:
            raise _deleted(turn.id)
        return found


def _check_body(first: RequestKey | None, key: RequestKey) -> None:
    if first is not None and first.body != key.body:
        raise BadRequest(
            "This Idempotency-Key was used before, with another request body. Use a new key for a new request.",
            code="idempotency_key_reused",
        )


def _deleted(turn_id: str) -> NotFound:
    return NotFound(f"The response that this Idempotency-Key began, '{turn_id}', was deleted.")


def _is_free(turn: Turn, mode: Mode) -> bool:
    """Whether nobody was given the end of this turn, though it is stored: its reply was an error, or all had left."""
    if turn.status == "cancelled":
        return not _decode_fields(turn.fields).background
    before_its_first_word = turn.door == "chat" and turn.output == b"[]"
    return turn.status == "failed" and (mode == "plain" or before_its_first_word)
