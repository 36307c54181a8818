"""One response being produced: engine → fold → feed → commit → terminal event. One path, whoever listens.

A run belongs to the server, not to the socket: a stored stream whose followers are gone goes on for a grace time. And
it is committed before anybody hears that it ended: if the commit fails, its end is a failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from typing import Any, TypeAlias

import msgspec

from catena.chunks import Chunk
from catena.context.chain import ChainTurn
from catena.errors import CatenaError
from catena.feed import Feed
from catena.fold import TERMINAL, Fold
from catena.forms import answer_to, check_form
from catena.history import History
from catena.journal import record
from catena.planning import Plan
from catena.run_log import RunLog
from catena.store import LeaseLost, Store
from catena.wire.events import Event
from catena.wire.response import Response

__all__ = ["Run", "RunSettings", "Workshop"]

log = logging.getLogger("catena.runs")

Answer: TypeAlias = AsyncGenerator[Sequence[Chunk], None]


class RunSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How runs behave; times are in seconds.

    `grace` is how long a stored stream goes on when its last follower is gone; 0 ends it at once, -1 never. `lease` is
    how long a run is its server's own without a sign of life. `log_every` is the pause between two batches of a run's
    log.
    """

    grace: float = 10.0
    lease: float = 30.0
    log_every: float = 1.0


class Workshop(msgspec.Struct, frozen=True):
    """What every run of a server works with. `owner` is this server, among those on the same store."""

    store: Store
    history: History
    settings: RunSettings
    clock: Callable[[], float]
    owner: str
    ended: Callable[[str], None]
    """Told the id of each run that has ended."""


class Run:
    """One response being produced. `feed` tells its events; `response` is what it is at this moment."""

    def __init__(self, plan: Plan, workshop: Workshop) -> None:
        self.plan = plan
        self.feed = Feed()
        self.error: CatenaError | None = None
        self._workshop = workshop
        self._fold = Fold(plan.response, plan.ids)
        self._fold.feed(plan.offer.chunks)
        self._log: RunLog | None = None
        self._lost = asyncio.Event()
        self._task: asyncio.Task[Any] | None = None
        self._asking = False
        self._begun = False
        self._cancelled = False
        self._steered = False
        self._handed_back = False
        self._followers = 0
        self._grace: asyncio.TimerHandle | None = None

    @property
    def response(self) -> Response:
        return self._fold.response

    @property
    def task(self) -> asyncio.Task[Any] | None:
        """The task in which it goes on."""
        return self._task

    @property
    def working(self) -> bool:
        """Whether its engine is being asked, or its end is being written."""
        return self._task is not None

    # Ways to run it

    def start(self) -> None:
        """Go on in a task of its own, whoever follows."""
        self._task = asyncio.create_task(self.execute())

    async def complete(self) -> Response:
        """Run to the end and return the response, for who waits for nothing else.

        Raises the error that a failed run ended with; nothing is stored then.
        """
        self._task = asyncio.current_task()
        await self.execute()
        if self.error is not None:
            raise self.error
        return self.response

    async def enqueue(self, order: bytes) -> None:
        """Have the run wait for a worker: it is stored, and its first events are told. Raises StoreUnavailable."""
        if self.plan.stored:
            await self._workshop.store.begin(self.plan.turn(self.response), request=order)
        self._begun = True
        self.feed.publish(self._fold.start())

    def revive(self) -> None:
        """The run was stored by another server: its first events are told here as they were told there."""
        self._begun = True
        self.feed.publish(self._fold.start())

    def take_up(self, plan: Plan) -> None:
        """A worker begins with a run that waited, under the fence of `plan`."""
        self.plan = plan
        self.start()

    # Ways to end it early

    def cancel(self) -> None:
        """Stop the engine; what was produced is kept. Does nothing once the run is past its engine."""
        self._cancelled = True
        if self._asking and self._task is not None:
            self._task.cancel()
        elif self._task is None and self.plan.background:
            self.start()

    def steer(self) -> None:
        """Stop the engine, which is to be told more; what was produced is kept. Once it calls tools, it is let end."""
        if self._asking and self._task is not None and not self._steered and not self._fold.calling:
            self._steered = True
            self._task.cancel()

    def stop(self, *, hand_back: bool = False) -> asyncio.Task[Any] | None:
        """The server stops. The run fails with what there is, or is given back to the queue.

        Returns the task that does so, if the run is under way.
        """
        self._handed_back = hand_back
        if self._asking and self._task is not None:
            self._task.cancel()
        return self._task

    # The run itself

    async def execute(self) -> None:
        """To the end, whatever it is."""
        try:
            await self._ask()
        except CatenaError as error:
            self._fail(error)
        except LeaseLost:
            self._lost.set()
        except asyncio.CancelledError:
            if not self._cancelled and not self._steered:
                if not self._handed_back and not self._lost.is_set():
                    self._fail(CatenaError("The server stopped before the response was finished."))
                raise
            if self._task is not None and self._task.cancelling():
                self._task.uncancel()
            if self._cancelled:
                self._fold.cancel()
            else:
                self.feed.publish(self._fold.stop("steered"))
        except Exception:
            log.exception("run %s failed by a fault of this server", self.plan.response.id)
            self._fail(CatenaError())
        finally:
            await self._conclude()

    async def _ask(self) -> None:
        """Ask the engine and fold its answer."""
        fold, feed = self._fold, self.feed
        if self._cancelled:
            raise asyncio.CancelledError
        if not self.plan.generates:
            await self._prepare()
            return
        self._asking = True
        try:
            async with contextlib.aclosing(answer_to(self.plan)) as answer:
                if self.plan.background:
                    feed.publish(fold.begin())
                elif self.plan.begun_first:
                    self._take(await self._announced(answer))
                else:
                    feed.publish(fold.start())
                async for chunks in answer:
                    self._take(chunks)
        finally:
            self._asking = False
        if self._cancelled:
            raise asyncio.CancelledError
        check_form(self.plan.form, fold)
        feed.publish(fold.finish(int(self._workshop.clock())))

    async def _prepare(self) -> None:
        """The turn is complete with its input."""
        if self.plan.begun_first:
            await self._begin()
        self.feed.publish(self._fold.start())
        self._fold.prepare(int(self._workshop.clock()))

    def _take(self, chunks: Sequence[Chunk]) -> None:
        self.feed.publish(self._fold.feed(chunks))
        if self.plan.announced:
            if self._log is None:
                self._log = self._new_log()
                self._log.add(self.plan.offer.chunks)
            self._log.add(chunks)

    def _new_log(self) -> RunLog:
        interval = self._workshop.settings.log_every if self.plan.request.stream else 0.0
        return RunLog(self._workshop.store, self.plan.turn(self.plan.response), interval, self._lost)

    async def _announced(self, answer: Answer) -> Sequence[Chunk]:
        """The first chunks; the row of this turn is written and told while the engine begins to think."""
        first = asyncio.ensure_future(_next(answer))
        try:
            await self._begin()
            self.feed.publish(self._fold.start())
            return await first
        finally:
            first.cancel()
            await asyncio.wait((first,))

    async def _begin(self) -> None:
        self._begun = True  # also if we are stopped in the middle: then there may be a row
        workshop = self._workshop
        try:
            await workshop.store.begin(
                self.plan.turn(self.response), owner=workshop.owner, lease=workshop.settings.lease
            )
        except CatenaError:
            self._begun = False
            raise

    def _fail(self, error: CatenaError) -> None:
        self.error = error
        self.feed.publish(self._fold.fail(error))

    async def _conclude(self) -> None:
        """Commit, then tell. Of a run that is another's now, or will be, nothing is told: its feed just ends."""
        if self._log is not None:
            await self._log.close()
        ending: Sequence[Event] = ()
        try:
            if self._lost.is_set():
                return
            if self._handed_back and self.response.status not in TERMINAL:
                await self._workshop.store.release(self.plan.turn(self.response))
                return
            ending = await self._committed()
        except LeaseLost:
            ending = ()
        finally:
            self._workshop.ended(self.plan.response.id)
            if self._grace is not None:
                self._grace.cancel()
            if self.feed:  # nobody hears the end of what was never announced
                self.feed.publish(ending)
            self.feed.end()

    async def _committed(self) -> Sequence[Event]:
        """The events that tell the end, which is committed."""
        ending = self._fold.terminal()
        try:
            await self._commit(ending)
        except CatenaError as error:
            self._fail(error)
            ending = self._fold.terminal()
            with contextlib.suppress(CatenaError):
                await self._commit(ending)  # else it would be running in the store, and hold its conversation
        return ending

    async def _commit(self, ending: Sequence[Event]) -> None:
        plan, response = self.plan, self.response
        store = self._workshop.store
        notify_at = self._workshop.clock() if plan.background else None
        if not plan.stored and notify_at is not None:
            await store.notify(plan.project, response.id, response.status, notify_at)
        if not plan.stored or not self._is_kept(response):
            return
        # Only responses can be followed again later, and what is asked for again under its key.
        followable = plan.request.stream and (plan.order.door == "responses" or plan.order.key is not None)
        cuts = record([*self.feed.events, *ending]) if followable else b""
        await store.finish(plan.turn(response, cuts), notify_at=notify_at)
        if not isinstance(response.output, msgspec.Raw):
            turn = ChainTurn(response.id, response.model, plan.items, response.output)
            self._workshop.history.extend(plan.project, plan.link, turn, plan.upstream.dialect)

    def _is_kept(self, response: Response) -> bool:
        """Of what was begun everything is kept; of what was not, only an answer."""
        return self._begun if self.plan.begun_first else response.status in ("completed", "incomplete")

    # Followers

    @contextlib.contextmanager
    def followed(self) -> Iterator[None]:
        """While inside, somebody follows. When the last one goes before the end, the grace time begins."""
        self._followers += 1
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None
        try:
            yield
        finally:
            self._followers -= 1
            if self._followers == 0 and not self.feed.ended:
                self._left_alone()

    def _left_alone(self) -> None:
        if self.plan.background:
            return
        grace = self._workshop.settings.grace if self.plan.stored else 0.0
        if grace == 0:
            self.cancel()
        elif grace > 0:
            self._grace = asyncio.get_running_loop().call_later(grace, self.cancel)


async def _next(answer: Answer) -> Sequence[Chunk]:
    return await anext(answer, ())
