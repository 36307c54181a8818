"""The runs of this server: planned, begun, found again while they go on, cancelled, and ended when the server stops."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import msgspec

from catena.context.chain import ancestry
from catena.errors import BadRequest, StoreUnavailable, TooManyRequests
from catena.fold import TERMINAL
from catena.history import History
from catena.limits.ticket import Ticket, current_ticket
from catena.planning import Order, Plan, Planner, Planning, Recollection
from catena.run import Run, RunSettings, Workshop
from catena.store import RequestKey, Store
from catena.tally import Tally
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
        planning: Planning | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.history = history
        self.background = background or BackgroundSettings()
        planning = planning or Planning()
        self.prompts = planning.prompts
        self.planner = Planner(store, router, history, clock=clock, planning=planning)
        self.active: dict[str, Run] = {}
        self.tally = Tally()
        self._tickets: dict[str, Ticket] = {}
        self._settling: set[asyncio.Task[None]] = set()
        self.keyed: dict[tuple[str, bytes], Run] = {}
        """The active runs whose requests were sent under a key, by project and name."""
        self.claiming = asyncio.Lock()
        """Held while runs are taken from the queue: what waits is either taken up or cancelled, never both."""
        self.queued = asyncio.Event()
        """Set when there may be something for a worker to do."""
        self.asked = asyncio.Event()
        """Set when another server, or this one, is asked to cancel a run that may be anywhere."""
        self.closing = False
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
        plan = await self.planner.plan(project, order, recollection)
        ticket = current_ticket()
        if plan.stored and ticket is not None:
            ticket.check_storage()
        return plan

    def begin(self, plan: Plan) -> Run:
        """A run of `plan`, known as active until it ends."""
        run = self.active[plan.response.id] = self._made(plan)
        ticket = current_ticket()
        if ticket is not None:
            ticket.take()
            self._tickets[plan.response.id] = ticket
        if plan.order.key is not None:
            self.keyed[plan.project, plan.order.key.name] = run
        return run

    def _made(self, plan: Plan) -> Run:
        return Run(plan, self.workshop)

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
        """The run of a response whose id was told already, while it waits or goes on, or is kept.

        With other servers on the store, one that waits there is none of this server's own: any may take it up.
        """
        run = self.active.get(turn_id)
        if run is None or run.plan.project != project:
            return None
        if self.store.peers is not None and run.plan.stored and not run.working:
            return None
        return run if run.plan.announced or run.plan.background else None

    def working(self, project: str, turn_id: str) -> Run | None:
        """The same for one that is stored and goes on here at this moment."""
        run = self.running(project, turn_id)
        return run if run is not None and run.working and not run.feed.ended else None

    def continuing(self, project: str, turn_id: str) -> bool:
        """Whether a turn is made here that continues this one, or one that does, and will be stored."""
        return any(
            run.plan.project == project
            and run.plan.stored
            and not run.feed.ended
            and any(link.turn_id == turn_id for link in ancestry(run.plan.link))
            for run in self.active.values()
        )

    def waiting(self) -> Sequence[str]:
        """The ids of the stored runs that were begun here and wait for a worker."""
        return [turn_id for turn_id, run in self.active.items() if run.plan.background and run.waits]

    def dismiss(self, turn_id: str) -> None:
        """A run that waited here was taken up by another server: it is followed there."""
        run = self.active[turn_id]
        self._settle(turn_id, None)  # what it uses there is not known here: the guess stays
        self._forget(turn_id)
        run.feed.end()

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
        if self._tickets:
            usage = run.outcome.usage
            self._settle(turn_id, usage.total_tokens if usage is not None else None)
        self.tally.count(run, time.perf_counter())
        if run.plan.background:
            self.told.set()
            if not run.plan.stored:
                loop = asyncio.get_running_loop()
                loop.call_later(self.background.keep_unstored, self._forget, turn_id)
                return
        self._forget(turn_id)

    def _settle(self, turn_id: str, used: int | None) -> None:
        ticket = self._tickets.pop(turn_id, None)
        if ticket is not None:
            task = asyncio.create_task(ticket.settle(used))
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)

    def _forget(self, turn_id: str) -> None:
        if self._tickets:
            self._settle(turn_id, 0)
        run = self.active.pop(turn_id, None)
        if run is not None and run.plan.order.key is not None:
            self.keyed.pop((run.plan.project, run.plan.order.key.name), None)
            self.release_key(run.plan.project, run.plan.order.key)

    async def hold_key(self, project: str, key: RequestKey) -> bool:
        """Whether this server, of all on the store, may begin a run for a key. It may until `release_key`."""
        peers, lease = self.store.peers, self.workshop.settings.lease
        return peers is None or await peers.hold_key(project, key.name, self.workshop.owner, lease)

    def release_key(self, project: str, key: RequestKey) -> None:
        """Let others begin runs for a key: its run has ended, or there is none."""
        if self.store.peers is not None:
            releasing = self.store.peers.release_key(project, key.name, self.workshop.owner)
            task = asyncio.create_task(_survived(releasing))
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)

    async def close(self) -> None:
        """End every run that is under way: a background run is given back to the queue, any other is stored with
        what it had."""
        self.closing = True
        tasks: list[asyncio.Task[Any]] = []
        for run in list(self.active.values()):
            task = run.stop(hand_back=run.plan.background and run.plan.stored)
            if task is not None and not task.done():
                tasks.append(task)
        if tasks:
            await asyncio.wait(tasks)
        if self._settling:
            await asyncio.wait(self._settling)


async def _survived(work: Coroutine[Any, Any, None]) -> None:
    """What ends by itself in a while, if the store is away."""
    with contextlib.suppress(StoreUnavailable):
        await work


def not_in_background() -> BadRequest:
    """Why a response cannot be cancelled by its id."""
    return BadRequest("Cannot cancel a synchronous response.")
