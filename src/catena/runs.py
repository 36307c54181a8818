"""The runs of this server: planned, begun, found again while they go on, cancelled, and ended when the server stops."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Set
from typing import Any, Final

import msgspec

from catena.errors import BadRequest, TooManyRequests
from catena.fold import TERMINAL
from catena.history import History
from catena.planning import Order, Plan, Planner, Recollection
from catena.run import Run, RunSettings, Workshop
from catena.store import Store
from catena.upstream.routing import Router
from catena.wire.response import Response

__all__ = ["BackgroundSettings", "Runs", "not_in_background"]

_encode = msgspec.json.Encoder().encode

_RETRY_AFTER: Final = 5


class BackgroundSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How background runs behave: so many at once, so many waiting, so many tries after crashes.

    What is not stored is kept for `keep_unstored` seconds after its end.
    """

    concurrency: int = 16
    queue: int = 1000
    tries: int = 3
    keep_unstored: float = 600.0


class Runs:
    """See the module. `active` are the runs that wait or go on here, and those that are kept without being stored."""

    def __init__(
        self,
        store: Store,
        router: Router,
        history: History,
        *,
        settings: RunSettings | None = None,
        background: BackgroundSettings | None = None,
        require_same_model: bool = False,
        omitted_tools: Set[str] = frozenset(),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.history = history
        self.background = background or BackgroundSettings()
        self.planner = Planner(
            store,
            router,
            history,
            clock=clock,
            require_same_model=require_same_model,
            omitted_tools=omitted_tools,
        )
        self.active: dict[str, Run] = {}
        self.keyed: dict[tuple[str, bytes], Run] = {}
        """The active runs whose requests were sent under a key, by project and name."""
        self.claiming = asyncio.Lock()
        """Held while runs are taken from the queue: what waits is either taken up or cancelled, never both."""
        self.queued = asyncio.Event()
        """Set when there may be something for a worker to do."""
        self.told = asyncio.Event()
        """Set when a background run has ended, so that there may be a webhook to deliver."""
        self.workshop = Workshop(
            store=store,
            history=history,
            settings=settings or RunSettings(),
            clock=clock,
            owner=os.urandom(8).hex(),
            ended=self._ended,
            unwritten=[],
        )

    async def plan(self, project: str, order: Order, recollection: Recollection | None = None) -> Plan:
        """See `Planner.plan`."""
        return await self.planner.plan(project, order, recollection)

    def begin(self, plan: Plan) -> Run:
        """A run of `plan`, known as active until it ends."""
        run = self.active[plan.response.id] = Run(plan, self.workshop)
        if plan.order.key is not None:
            self.keyed[plan.project, plan.order.key.name] = run
        return run

    async def submit(self, plan: Plan) -> Run:
        """A run that waits for a worker; it is stored when this returns.

        Raises TooManyRequests if too many wait already, or StoreUnavailable.
        """
        await self._check_room()
        run = self.begin(plan)
        try:
            await run.enqueue(_encode(plan.order))
        except Exception:
            self._forget(plan.response.id)
            raise
        self.queued.set()
        return run

    async def _check_room(self) -> None:
        here = sum(run.plan.background and not run.working for run in self.active.values())
        if max(here, await self.store.waiting()) >= self.background.queue:
            raise TooManyRequests(
                "Too many background responses are waiting. Please try again later.",
                code="background_queue_full",
                headers={"retry-after": str(_RETRY_AFTER)},
            )

    def running(self, project: str, turn_id: str) -> Run | None:
        """The run of a response whose id was told already, while it waits or goes on, or is kept."""
        run = self.active.get(turn_id)
        if run is None or run.plan.project != project:
            return None
        return run if run.plan.announced or run.plan.background else None

    async def cancel(self, run: Run) -> Response:
        """Cancel a background run, unless it has ended, and return its response as it ended.

        Raises BadRequest for a run that is not in the background.
        """
        if not run.plan.background:
            raise not_in_background()
        async with self.claiming:
            waited = not run.working
            if run.response.status not in TERMINAL:
                run.cancel()
            if waited:
                await run.feed.finished()  # before its end is written, a worker would find it waiting
        await run.feed.finished()
        return run.response

    def _ended(self, turn_id: str) -> None:
        run = self.active[turn_id]
        if run.plan.background:
            self.told.set()
        if run.plan.background and not run.plan.stored:
            loop = asyncio.get_running_loop()
            loop.call_later(self.background.keep_unstored, self._forget, turn_id)
        else:
            self._forget(turn_id)

    def _forget(self, turn_id: str) -> None:
        run = self.active.pop(turn_id, None)
        if run is not None and run.plan.order.key is not None:
            self.keyed.pop((run.plan.project, run.plan.order.key.name), None)

    async def close(self) -> None:
        """End every run that is under way: a background run is given back to the queue, any other is stored with
        what it had."""
        tasks: list[asyncio.Task[Any]] = []
        for run in list(self.active.values()):
            task = run.stop(hand_back=run.plan.background and run.plan.stored)
            if task is not None and not task.done():
                tasks.append(task)
        if tasks:
            await asyncio.wait(tasks)


def not_in_background() -> BadRequest:
    """Why a response cannot be cancelled by its id."""
    return BadRequest("Cannot cancel a synchronous response.")
