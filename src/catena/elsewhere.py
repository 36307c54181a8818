"""Runs that other servers on the same store have: followed, looked at and cancelled through it.

A run's own server writes what it is about to tell into the run's log, and at the end the whole turn. Who follows from
here reads that, a batch behind: often while there is news, seldom while there is none, and not at all when nobody
follows. All who follow one run share that.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Final

from catena.errors import Interrupted, NotFound, StoreUnavailable
from catena.feed import Feed
from catena.fold import TERMINAL
from catena.journal import replay
from catena.planning import decode_order
from catena.recovery import Retelling
from catena.revival import ids_of, response_of
from catena.run import Run
from catena.run_log import decode_log
from catena.runs import Runs
from catena.store import Peers, Turn
from catena.wire.events import Completed, Event, Failed, Incomplete
from catena.wire.response import Response

__all__ = ["Elsewhere", "has_ended"]

_SOON: Final = 0.03
_LATE: Final = 0.5
_SLOWER: Final = 1.5
"""Seconds until the next look after news, at most, and how these grow while there is none."""

_ATTEND_EVERY: Final = 5.0
_ATTEND_FOR: Final = 15.0
"""Seconds between two words to a run's server that it is followed here, and how long each holds."""

_NO_BATCH: Final = 2**31 - 1


def has_ended(feed: Feed) -> bool:
    """Whether a feed tells an end; else it goes on elsewhere."""
    return bool(feed) and _is_end(feed.events[-1])


def _is_end(event: Event) -> bool:
    return isinstance(event, Completed | Incomplete | Failed)


def _events_of(turn: Turn | None) -> Sequence[Event]:
    """All events of a turn that has ended, if it was streamed and is still there."""
    return replay(response_of(turn), turn.cuts) if turn is not None and turn.cuts else ()


class Elsewhere:
    """What is asked here of runs that are not here, or not any more."""

    def __init__(self, runs: Runs, peers: Peers) -> None:
        self._runs = runs
        self._peers = peers
        self._followed: dict[str, _Following] = {}

    async def follow(self, turn: Turn, start: int = 0) -> AsyncGenerator[Sequence[Event], None]:
        """The events of a streamed run from number `start` on, until its end, whoever has it meanwhile.

        Raises Interrupted if this server stops before, or the run is deleted.
        """
        position = start
        while not self._runs.closing:
            async with contextlib.aclosing(self._leg(turn, position)) as batches:
                async for batch in batches:
                    position += len(batch)
                    yield batch
                    if _is_end(batch[-1]):
                        return
            rest = await self._rest(turn, position)
            if rest is not None:
                if rest:
                    yield rest
                return
        raise Interrupted

    async def _leg(self, turn: Turn, position: int) -> AsyncGenerator[Sequence[Event], None]:
        """Those that come as long as the run stays where it is."""
        run = self._runs.working(turn.project, turn.id)
        async with (
            self._attended(turn) if run is None else _here(run) as feed,
            contextlib.aclosing(feed.follow(position)) as batches,
        ):
            async for batch in batches:
                yield batch

    async def _rest(self, turn: Turn, position: int) -> Sequence[Event] | None:
        """What is still to be told of a run that has ended; None if it has not, as far as is known."""
        try:
            stored = await self._runs.store.load(turn.project, turn.id)
        except StoreUnavailable:
            return None
        if stored is None:
            raise Interrupted
        if stored.status not in TERMINAL:
            return None
        return _events_of(stored)[position:]

    @contextlib.asynccontextmanager
    async def _attended(self, turn: Turn) -> AsyncIterator[Feed]:
        following = self._followed.get(turn.id)
        if following is None:
            following = self._followed[turn.id] = _Following(turn, self._runs, self._peers)
        following.followers += 1
        try:
            yield following.feed
        finally:
            following.followers -= 1
            if (not following.followers or following.feed.ended) and self._followed.get(turn.id) is following:
                del self._followed[turn.id]
            if not following.followers:
                following.stop()

    async def is_streamed(self, turn: Turn) -> bool:
        """Whether a run that goes on can be followed. In the foreground only one that is streamed is known before it
        ends."""
        order = await self._peers.order(turn.project, turn.id)
        return not order or bool(decode_order(order).request.stream)

    async def response(self, turn: Turn) -> Response:
        """A run's response as far as its log tells it."""
        if turn.status in TERMINAL:
            return response_of(turn)
        retelling = Retelling(response_of(turn), ids_of(turn))
        log = await self._runs.store.load_log(turn.project, turn.id)
        retelling.go_on(decode_log(log), begun=turn.status != "queued")
        return retelling.response

    async def cancel(self, turn: Turn) -> Response:
        """Have a run cancelled by the server that has it, and return the response as it ended."""
        await self._peers.ask_to_cancel(turn.project, turn.id)
        self._runs.asked.set()
        pause = _SOON
        while True:
            now = await self._peers.progress(turn.project, turn.id, _NO_BATCH)
            if now is None or now.status in TERMINAL:
                break
            await asyncio.sleep(pause)
            pause = min(pause * _SLOWER, _LATE)
        ended = await self._runs.store.load(turn.project, turn.id)
        if ended is None:
            raise NotFound(f"Response with id '{turn.id}' not found.")
        return response_of(ended)


@contextlib.asynccontextmanager
async def _here(run: Run) -> AsyncIterator[Feed]:
    with run.followed():
        yield run.feed


class _Following:
    """One run that is followed here, through its log. `feed` ends with it, or when this server takes it up."""

    def __init__(self, turn: Turn, runs: Runs, peers: Peers) -> None:
        self.feed = Feed()
        self.followers = 0
        self._turn = turn
        self._runs = runs
        self._peers = peers
        self._retelling = Retelling(response_of(turn), ids_of(turn))
        self._batch = 0
        self._attended_at = -_ATTEND_EVERY
        self._task = asyncio.create_task(self._go())

    def stop(self) -> None:
        """Nobody follows any more."""
        self._task.cancel()

    async def _go(self) -> None:
        self.feed.publish(self._retelling.start())
        pause = _SOON
        try:
            while self._runs.working(self._turn.project, self._turn.id) is None and not self._runs.closing:
                told = len(self.feed)
                if await self._look():
                    break
                pause = _SOON if len(self.feed) > told else min(pause * _SLOWER, _LATE)
                await asyncio.sleep(pause)
        finally:
            self.feed.end()

    async def _look(self) -> bool:
        """Tell what is new. True if there is no more to come."""
        with contextlib.suppress(StoreUnavailable):  # what is new is still new when it is back
            await self._attend()
            now = await self._peers.progress(self._turn.project, self._turn.id, self._batch)
            if now is None:
                return True
            if now.status in TERMINAL:
                return await self._tell_end()
            self._batch += len(now.batches)
            chunks = decode_log(now.batches)
            self.feed.publish(self._retelling.go_on(chunks, begun=now.status != "queued"))
        return False

    async def _tell_end(self) -> bool:
        ended = await self._runs.store.load(self._turn.project, self._turn.id)
        self.feed.publish(_events_of(ended)[len(self.feed) :])
        return True

    async def _attend(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._attended_at >= _ATTEND_EVERY:
            await self._peers.attend(self._turn.project, self._turn.id, _ATTEND_FOR)
            self._attended_at = now
