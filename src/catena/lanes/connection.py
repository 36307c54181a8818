"""One connection: its messages go to their lanes, within bounds, and all lanes share what it remembers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from catena.errors import BadRequest, CatenaError, TooManyRequests
from catena.lanes.lane import Admit, Desk, Gone, Lane
from catena.lanes.recall import Recall
from catena.lanes.steering import Steering
from catena.runs import Runs
from catena.wire import wording
from catena.wire.socket import Envelope, error_frame, open_envelope

__all__ = ["Connection", "Gone", "Limits"]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Of one connection: responses in flight, distinct names of lanes, and requests that wait for their turn, with
    their bytes."""

    in_flight: int = 16
    lanes: int = 32
    waiting: int = 256
    waiting_bytes: int = 100 * 1024 * 1024


class Connection:
    """Takes the messages of a client and sends it frames, each in one call of `send`, until it is closed.

    `send` raises Gone if there is nobody any more. `admit` is asked for each request. With `warm_engine`, preparing a
    response also has the engine read its context.
    """

    def __init__(
        self,
        runs: Runs,
        project: str,
        send: Callable[[str], Awaitable[None]],
        *,
        admit: Admit,
        limits: Limits | None = None,
        warm_engine: bool = False,
    ) -> None:
        self._limits = limits or Limits()
        self._desk = Desk(
            runs=runs,
            project=project,
            send=_in_order(send),
            admit=admit,
            recall=Recall(project, runs.history),
            slots=asyncio.Semaphore(self._limits.in_flight),
            steering=Steering(),
            warm_engine=warm_engine,
        )
        self._lanes: dict[str | None, Lane] = {}
        self._stopping = False

    async def take(self, message: bytes) -> None:
        """A message of the client's. What is wrong with it is told; a good one waits for its turn."""
        if self._stopping:
            return
        try:
            envelope = open_envelope(message)
        except CatenaError as error:
            await self._desk.send(error_frame(error))
            return
        try:
            if envelope.type == "response.create":
                self._check_room(len(message))
                self._lane(envelope).add(envelope.previous_response_id, message)
            else:
                await self._desk.steering.take(self._desk.send, message)
        except CatenaError as error:
            await self._desk.send(error_frame(error, envelope.stream_id))
        except RecursionError:
            await self._desk.send(error_frame(wording.body_too_deep(), envelope.stream_id))

    def _check_room(self, size: int) -> None:
        waiting = sum(lane.waiting for lane in self._lanes.values())
        held = sum(lane.held for lane in self._lanes.values())
        if waiting >= self._limits.waiting or (waiting and held + size > self._limits.waiting_bytes):
            raise TooManyRequests(
                "Too many requests wait on this WebSocket connection. Wait for responses before sending more.",
                code="websocket_queue_full",
            )

    def _lane(self, envelope: Envelope) -> Lane:
        name = envelope.stream_id
        lane = self._lanes.get(name)
        if lane is not None:
            return lane
        if name is not None and len(self._lanes.keys() - {None}) >= self._limits.lanes:
            raise BadRequest(
                "This WebSocket connection has reached its maximum number of distinct stream IDs "
                f"({self._limits.lanes}). Reuse an existing stream_id or open a new WebSocket connection.",
                param="stream_id",
                code="websocket_stream_limit_reached",
            )
        lane = self._lanes[name] = Lane(name, self._desk)
        return lane

    async def tell(self, error: CatenaError) -> None:
        """Send an error that is about the connection."""
        await self._desk.send(error_frame(error))

    async def drain(self) -> None:
        """Take nothing more, drop what waits, and wait until what is under way has ended."""
        self._stopping = True
        for lane in self._lanes.values():
            lane.clear()
        await self._ended()

    async def close(self) -> None:
        """Nobody listens any more: the responses under way are on their own."""
        self._stopping = True
        for lane in self._lanes.values():
            lane.close()
        await self._ended()

    async def _ended(self) -> None:
        tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
        if tasks:
            await asyncio.wait(tasks)


def _in_order(send: Callable[[str], Awaitable[None]]) -> Callable[[str], Awaitable[None]]:
    """Sends one frame after the other, in the order of the calls, also where the client is slow."""
    one_at_a_time = asyncio.Lock()

    async def ordered(text: str) -> None:
        async with one_at_a_time:
            await send(text)

    return ordered
