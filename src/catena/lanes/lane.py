"""One lane: requests one after another, each with all its events before the next begins."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from catena.admission import check_supported
from catena.errors import BadRequest, CatenaError
from catena.lanes.recall import Kept, Recall
from catena.lanes.steering import Steering
from catena.limits.ticket import Ticket
from catena.planning import Order, Plan
from catena.run import Run
from catena.runs import Runs
from catena.wire.events import Completed, Created, ErrorEvent, Event, Failed, Incomplete
from catena.wire.request import CreateRequest, require_input
from catena.wire.socket import decode_response_create, error_frame, event_frame

__all__ = ["Admit", "Desk", "Gone", "Lane"]

log = logging.getLogger("catena.lanes")

_ENDS = (Completed, Incomplete, Failed)


Admit: TypeAlias = Callable[[int], Awaitable[Ticket]]
"""Lets a request with so many bytes in, or raises the error that says why not."""


class Gone(Exception):
    """There is nobody any more to send to."""


class Desk(msgspec.Struct, frozen=True):
    """What the lanes of one connection share. Each holds one of the `slots` while a response of its is produced."""

    runs: Runs
    project: str
    send: Callable[[str], Awaitable[None]]
    admit: Admit
    recall: Recall
    slots: asyncio.Semaphore
    steering: Steering
    warm_engine: bool


class Lane:
    """See the module. `task` is the one in which it works, while there is anything to do."""

    def __init__(self, name: str | None, desk: Desk) -> None:
        self.name = name
        self.task: asyncio.Task[None] | None = None
        self._desk = desk
        self._queue: deque[tuple[object, bytes]] = deque()

    @property
    def waiting(self) -> int:
        """How many requests wait for their turn."""
        return len(self._queue)

    @property
    def held(self) -> int:
        """How many bytes they have."""
        return sum(len(message) for _, message in self._queue)

    def add(self, parent_id: object, message: bytes) -> None:
        """A `response.create` that continues `parent_id`: its turn comes after those that are here."""
        self._queue.append((parent_id, message))
        if self.task is None or self.task.done():
            self.task = asyncio.create_task(self._work())

    def clear(self) -> None:
        """Drop what waits."""
        self._queue.clear()

    def close(self) -> None:
        """Stop working; a response under way is no longer followed."""
        self.clear()
        if self.task is not None:
            self.task.cancel()

    async def _work(self) -> None:
        try:
            while self._queue:
                async with self._desk.slots:
                    # What waited for a slot may have been dropped meanwhile.
                    if self._queue:
                        await self._answer(*self._queue.popleft())
        except Gone:
            self.clear()

    async def _answer(self, parent_id: object, message: bytes) -> None:
        """One request to the end of its response, and of those that follow it because it was steered."""
        try:
            with _faults_concealed():
                successor = await self._turn(*self._asked(message), size=len(message))
        except CatenaError as error:
            self._desk.recall.evict(self.name, parent_id)
            await self._desk.send(error_frame(error, self.name))
            return
        while successor is not None:
            successor = await self._succeed(successor)

    def _asked(self, message: bytes) -> tuple[CreateRequest, bool]:
        asked = decode_response_create(self._desk.runs.prompts.filled(message))
        request = asked.posted()
        check_supported(request)
        return self._desk.steering.joined(request, self.name), asked.generates

    async def _succeed(self, request: CreateRequest) -> CreateRequest | None:
        parent_id = request.previous_response_id
        assert parent_id is not None
        try:
            with _faults_concealed():
                return await self._turn(request)
        except CatenaError as error:
            self._desk.recall.evict(self.name, parent_id)
            if not await self._desk.steering.give_up(self._desk.send, parent_id, error.message):
                await self._desk.send(error_frame(error, self.name))
            return None

    async def _turn(
        self, request: CreateRequest, generates: bool = True, size: int = 0
    ) -> CreateRequest | None:
        """Produce and tell one response; the request that follows of itself, if there is one.

        Raises the error of a response that never began.
        """
        desk = self._desk
        parent = desk.recall.find(request.previous_response_id)
        run = await self._begun(request, parent, generates, size)
        run.start()
        desk.steering.begin(run, self.name)
        with run.followed():
            async with contextlib.aclosing(run.feed.follow()) as batches:
                async for batch in batches:
                    desk.steering.committed(request.previous_response_id, self.name)
                    if isinstance(batch[-1], _ENDS):
                        self._remember(run, parent)
                    await self._tell(batch, run.plan)
        if not isinstance(run.feed.events[-1] if run.feed else None, _ENDS):
            error = run.error or CatenaError("The response went on elsewhere and is not told here any more.")
            await desk.steering.give_up(desk.send, run.plan.response.id, error.message)
            raise error
        if not generates and desk.warm_engine:
            await _warm(run.plan)
        return await desk.steering.end(desk.send, run)

    async def _begun(self, request: CreateRequest, parent: Kept | None, generates: bool, size: int) -> Run:
        ticket = await self._desk.admit(size)
        try:
            with ticket.current():
                return self._desk.runs.begin(await self._plan(request, parent, generates))
        except BaseException:
            await ticket.close(failed=True)
            raise

    async def _plan(self, request: CreateRequest, parent: Kept | None, generates: bool) -> Plan:
        desk = self._desk
        if parent is not None and request.store is not False:
            raise BadRequest(
                f"Previous response with id '{parent.turn.id}' is not stored, so what continues it cannot be either. "
                "Try again with `store` set to false.",
                param="store",
                code="previous_response_not_stored",
            )
        plan = await desk.runs.plan(desk.project, Order(request=request), desk.recall.link)
        if not generates:
            return replace(plan, generates=False)
        require_input(request)
        return plan

    def _remember(self, run: Run, parent: Kept | None) -> None:
        # Before its end is told, for then it may be continued on any lane.
        if run.response.status in ("completed", "incomplete"):
            self._desk.recall.keep(self.name, run.plan, parent, run.response)
        else:
            self._desk.recall.evict(self.name, run.plan.request.previous_response_id)

    async def _tell(self, batch: Sequence[Event], plan: Plan) -> None:
        for event in batch:
            # A response that fails says so itself, and clients take either for its end.
            if not isinstance(event, ErrorEvent):
                omitted = _omitted(plan) if isinstance(event, Created) else {}
                await self._desk.send(event_frame(event, self.name, omitted))


def _omitted(plan: Plan) -> dict[str, Sequence[str]]:
    return {"catena_omitted_tools": plan.offer.omitted, "catena_omitted_parameters": plan.question.left_out}


@contextlib.contextmanager
def _faults_concealed() -> Iterator[None]:
    """A fault of ours is in the log, and an error that reveals nothing to the client."""
    try:
        yield
    except (CatenaError, Gone):
        raise
    except Exception:
        log.exception("a fault of this server on a WebSocket connection")
        raise CatenaError from None


async def _warm(plan: Plan) -> None:
    """Have the engine read the context, up to its first word."""
    try:
        async with contextlib.aclosing(plan.upstream.stream(plan.prompt)) as answer:
            await anext(answer, ())
    except CatenaError as error:
        log.info("%s could not be warmed up: %s", plan.upstream.name, error.message)
