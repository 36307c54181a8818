"""One response being produced: engine → fold → feed → commit → terminal event. One path, whoever listens.

What is told of a run is on record before: the pieces of a stream in its log, its end by a commit. If the commit fails,
its end is a failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Final

import msgspec

from catena.audience import Audience
from catena.chunks import Chunk, UsageReport
from catena.context.chain import ChainTurn
from catena.errors import CatenaError, StoreUnavailable
from catena.feed import Feed
from catena.fold import TERMINAL, Fold
from catena.forms import answer_to, check_form
from catena.history import History
from catena.journal import record
from catena.planning import Plan
from catena.run_log import RunLog
from catena.store import LeaseLost, Store, Turn
from catena.taps import Tapped, drawn
from catena.traceparent import passed_on
from catena.wire.events import Event
from catena.wire.response import Response

__all__ = ["Run", "RunSettings", "Workshop"]

log = logging.getLogger("catena.runs")

_AGAIN: Final = 0.5
"""Seconds until an end that could not be stored is tried again."""

_WHILE_STOPPING: Final = 2.0
"""Seconds for which an end waits, at most, while its server stops: a connection may just have to be made anew."""


class RunSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How runs behave; times are in seconds.

    `grace` is how long a stored stream goes on when its last follower is gone; 0 ends it at once, -1 never. `lease` is
    how long a run is its server's own without a sign of life. `log_every` is the pause between two batches of a run's
    log; with 0, every piece is logged before it is told. `outage` is how long an end waits for a store that cannot be
    reached; then the run fails. With `wait_for_log` a stream waits as long with every piece, where other servers may
    take it up; without, it goes on, and is logged later.
    """

    grace: float = 10.0
    lease: float = 30.0
    log_every: float = 0.0
    outage: float = 0.0
    wait_for_log: bool = False


class Workshop(msgspec.Struct, frozen=True):
    """What every run of a server works with. `owner` is this server, among those on the same store."""

    store: Store
    history: History
    settings: RunSettings
    clock: Callable[[], float]
    owner: str
    ended: Callable[[str], None]
    """Told the id of each run that has ended."""
    unwritten: list[tuple[Turn, bool]]
    """Ends that were told as failures, as the store could not be written; there, these turns are still under way. The
    flag says that webhooks are to be told as well."""


class Run:
    """One response being produced. `feed` tells its events; `response` is what may be told of it at this moment."""

    # What most runs never have is not set for each.
    error: CatenaError | None = None
    heard: float | None = None
    """When the engine's first words came, on the clock of `began`."""
    _unheard: list[Chunk] | None = None
    """Of a run that nobody can follow: what its engine has said, to be folded when it is whole."""
    _turn: Turn | None = None
    """As it was begun."""
    _log: RunLog | None = None
    _task: asyncio.Task[Any] | None = None
    _asking = False
    _begun = False
    _cancelled = False
    _stopped = False
    _steered = False
    _handed_back = False
    _audience: Audience | None = None

    def __init__(self, plan: Plan, workshop: Workshop) -> None:
        self.plan = plan
        self.feed = Feed()
        self.began = time.perf_counter()
        self._workshop = workshop
        self._traceparent = passed_on.get()
        self._fold = Fold(plan.response, plan.ids)
        self._fold.feed(plan.offer.chunks)
        self._untold: list[Event] = []
        self._logs = bool(plan.announced and plan.request.stream)
        """Whether what is told could be asked for again: it is in the log before."""
        self._lost = asyncio.Event()

    @property
    def response(self) -> Response:
        response = self._fold.response
        if response.status not in TERMINAL or (self.feed.ended and not self.lost):
            return response
        # It has ended, but is not committed, and perhaps never will be: after a crash that would not have been.
        return msgspec.structs.replace(
            response, status="in_progress", completed_at=None, error=None, incomplete_details=None, usage=None
        )

    @property
    def outcome(self) -> Response:
        """The response as it ends, committed or not."""
        return self._fold.response

    @property
    def lost(self) -> bool:
        """Whether it turned out to be another server's."""
        return self._lost.is_set()

    @property
    def followers(self) -> int:
        """How many follow it at this moment."""
        return self._audience.size if self._audience is not None else 0

    @property
    def task(self) -> asyncio.Task[Any] | None:
        """The task in which it goes on."""
        return self._task

    @property
    def working(self) -> bool:
        """Whether its engine is being asked, or its end is being written."""
        return self._task is not None

    @property
    def waits(self) -> bool:
        """Whether it is stored, and waits for a worker: this server's or another's."""
        return self.plan.stored and self._begun and not self.working

    @property
    def _is_over(self) -> bool:
        """Whether its engine is wanted no more."""
        return self._cancelled or self._stopped or self._steered

    # Ways to run it

    def start(self) -> None:
        """Go on in a task of its own, whoever follows."""
        if not (self.plan.background or self.plan.begun_first):
            self._open()  # nothing has to be waited for
        self._task = asyncio.create_task(self.execute())

    async def complete(self) -> Response:
        """Run to the end and return the response, for who waits for nothing else.

        Raises the error that a failed run ended with; nothing is stored then.
        """
        self._task = asyncio.current_task()
        if not self.plan.begun_first and self.plan.question.form is None:
            self._unheard = []
        await self.execute()
        if self.error is not None:
            raise self.error
        return self._fold.response

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

    def keep(self, fence: int) -> None:
        """This server claimed a run that goes on here: its lease was over, as the store was away. It goes on."""
        self.plan = msgspec.structs.replace(self.plan, fence=fence)
        if self._log is not None:
            self._log.under(fence)

    # Ways to end it early

    def cancel(self) -> None:
        """Stop the engine; what was produced is kept. Does nothing once the run is past its engine."""
        self._cancelled = True
        self._interrupt()
        if self._task is None and self.plan.background:
            self.start()

    def steer(self) -> None:
        """Stop the engine, which is to be told more; what was produced is kept. Once it calls tools, it is let end."""
        if self._asking and self._task is not None and not self._steered and not self._fold.calling:
            self._steered = True
            self._interrupt()

    def stop(self, *, hand_back: bool = False) -> asyncio.Task[Any] | None:
        """The server stops. The run fails with what there is, or is given back to the queue.

        A stream of which something was told is not given back: another answer would contradict it. Returns the task
        that does so, if the run is under way.
        """
        self._stopped = True
        self._handed_back = hand_back and self._log is None
        self._interrupt()
        if self._task is None:
            self.feed.end()  # it waits for a worker, in the store: nothing more is told of it here
        return self._task

    def _interrupt(self) -> None:
        """Stop asking. Done twice, it would break into the closing of the engine's answer."""
        if self._asking and self._task is not None:
            self._asking = False
            self._task.cancel()

    # The run itself

    async def execute(self) -> None:
        """To the end, whatever it is."""
        if passed_on.get() is not self._traceparent:  # this may be another task than the request's
            passed_on.set(self._traceparent)
        try:
            await self._ask()
        except CatenaError as error:
            self._fail(error)
        except LeaseLost:
            self._lost.set()
        except asyncio.CancelledError:
            if self._cancelled:
                self._fold.cancel()
            elif self._steered:
                self._untold += self._fold.stop("steered")
            elif not self._handed_back:
                self._fail(CatenaError("The server stopped before the response was finished."))
            if not self._is_over:
                raise  # it was not us who stopped it
            if self._task is not None and self._task.cancelling():
                self._task.uncancel()
        except Exception:
            log.exception("run %s failed by a fault of this server", self.plan.response.id)
            self._fail(CatenaError())
        finally:
            await self._conclude()

    async def _ask(self) -> None:
        """Ask the engine and fold its answer."""
        fold, feed = self._fold, self.feed
        if self._is_over:
            raise asyncio.CancelledError
        if not self.plan.generates:
            await self._prepare()
            return
        self._asking = True
        try:
            async with contextlib.aclosing(answer_to(self.plan)) as answer:
                if self.plan.background:
                    feed.publish(fold.begin())
                    first = await drawn(answer)
                elif self.plan.begun_first:
                    first = await self._announced(answer)
                else:
                    if self._unheard is None:
                        self._open()
                    first = await drawn(answer)
                self.heard = time.perf_counter()
                chunks = first
                while chunks is not None:
                    await self._take(chunks)
                    chunks = await drawn(answer, self._push)
        finally:
            self._asking = False
        if self._is_over:
            raise asyncio.CancelledError
        check_form(self.plan, fold)
        now = int(self._workshop.clock())
        if self._unheard is not None:
            if fold.whole(self._unheard, now):
                return
            fold.feed(self._unheard)
        # Told with the end, after the commit: a run that is cut off before has another end.
        self._untold += fold.finish(now)

    async def _prepare(self) -> None:
        """The turn is complete with its input."""
        if self.plan.begun_first:
            await self._begin()
        self._open()
        self._fold.prepare(int(self._workshop.clock()))

    def _open(self) -> None:
        """Tell the first events, unless they were told."""
        if not self.feed:
            self.feed.publish(self._fold.start())

    async def _take(self, chunks: Sequence[Chunk]) -> None:
        """Fold these; have them in the log, and then tell what they made."""
        if self._unheard is not None:
            self._unheard += chunks
            return
        self._untold += self._fold.feed(chunks)
        if self._logs:
            if self._log is None:
                self._log = self._new_log()
                chunks = [*self.plan.offer.chunks, *chunks]
            await self._log.add(chunks)
            if self._lost.is_set():
                raise LeaseLost(self.plan.response.id)
        self._tell()

    def _push(self, chunks: Sequence[Chunk]) -> bool:
        """The same at once, from within the read of the engine's socket, where nothing has to be waited for."""
        if self._unheard is not None:
            self._unheard += chunks
            return True
        run_log = self._log
        if not self._asking or (run_log is not None and run_log.may_wait):
            return False
        self._untold += self._fold.feed(chunks)
        if run_log is not None:
            run_log.add_at_once(chunks)
            if self._lost.is_set():
                raise LeaseLost(self.plan.response.id)
        self._tell()
        return True

    def _tell(self) -> None:
        if not self._logs and self._fold.finished:
            return  # with the end, which comes with the same read of the socket, or the next one
        untold, self._untold = self._untold, []
        self.feed.publish(untold)

    def _new_log(self) -> RunLog:
        store, settings = self._workshop.store, self._workshop.settings
        patience = settings.outage if settings.wait_for_log and store.peers is not None else None
        turn = self._turn or self.plan.turn(self.plan.response)
        return RunLog(store, turn, settings.log_every, self._lost, patience, lease=settings.lease)

    async def _announced(self, answer: Tapped[Sequence[Chunk]]) -> Sequence[Chunk] | None:
        """The first chunks; the row of this turn is written and told while the engine begins to think."""
        first = asyncio.ensure_future(drawn(answer))
        try:
            await self._begin()
            self._open()
            return await first
        finally:
            first.cancel()
            await asyncio.wait((first,))

    async def _begin(self) -> None:
        self._begun = True  # also if we are stopped in the middle: then there may be a row
        self._turn = self.plan.turn(self.plan.response)
        workshop = self._workshop
        try:
            await workshop.store.begin(self._turn, owner=workshop.owner, lease=workshop.settings.lease)
        except CatenaError:
            self._begun = False
            raise

    def _fail(self, error: CatenaError) -> None:
        self.error = error
        if self._unheard is not None:  # what was used is counted all the same
            self._fold.feed([chunk for chunk in self._unheard if type(chunk) is UsageReport])
        self._untold += self._fold.fail(error)

    async def _conclude(self) -> None:
        """Commit, then tell. Of a run that is another's now, or will be, nothing is told: its feed just ends."""
        if self._log is not None:
            await self._log.close()
        ending: Sequence[Event] = ()
        try:
            if self._lost.is_set():
                return
            if self._handed_back and self._fold.response.status not in TERMINAL:
                await self._workshop.store.release(self.plan.turn(self._fold.response))
                return
            ending = await self._committed()
        except LeaseLost:
            self._lost.set()
            ending = ()
        except CatenaError as error:
            log.warning("run %s was not given back: %s", self.plan.response.id, error.message)
        finally:
            if self.lost and self.error is None:
                self.error = CatenaError(
                    "The response was taken over by another server and is not told here."
                )
            self._workshop.ended(self.plan.response.id)
            if self._audience is not None:
                self._audience.disperse()
                self._audience = None  # it leads back here: of a circle only the collector would make an end
            # Nobody hears the end of what was never announced.
            self.feed.end(ending if self.feed else ())

    async def _committed(self) -> Sequence[Event]:
        """The events that tell the end, which is committed."""
        ending = self._ending()
        if not self.plan.stored and not self.plan.background:
            return ending
        try:
            await self._commit_patiently(ending)
        except LeaseLost:
            raise
        except CatenaError as error:
            if self.error is None:  # one that has failed may be stored as that after all: it is told so, too
                self._fail(error)
        except Exception:
            log.exception("run %s was not stored by a fault of this server", self.plan.response.id)
            self._fail(CatenaError())
        else:
            return ending
        ending = self._ending()
        if self.plan.stored and self._begun:
            await self._commit_failure(ending)
        return ending

    def _ending(self) -> Sequence[Event]:
        """The events that tell the end, whether it is committed or not."""
        return [*self._untold, *self._fold.terminal()] if self._unheard is None else ()

    async def _commit_patiently(self, ending: Sequence[Event]) -> None:
        """Commit; where the store cannot be reached, and somebody was told of the run, for as long as is set."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            try:
                return await self._commit(ending)
            except StoreUnavailable:
                if not (self.plan.announced and self._begun) or loop.time() - began >= self._patience:
                    raise
            await asyncio.sleep(_AGAIN)

    @property
    def _patience(self) -> float:
        """Seconds for which its end waits for the store."""
        if isinstance(self.error, StoreUnavailable):
            return 0.0  # its log has waited already
        outage = self._workshop.settings.outage
        return min(outage, _WHILE_STOPPING) if self._stopped else outage

    async def _commit_failure(self, ending: Sequence[Event]) -> None:
        """Now, or when the store can be written again: its row says that it is under way, and must not for ever."""
        try:
            await self._check_unstored()
            await self._commit(ending)
        except LeaseLost:
            raise
        except Exception as error:
            if self._stopped and self._workshop.store.peers is not None:
                # Nobody would write it later: another server ends the run, with what is on record.
                raise LeaseLost(self.plan.response.id) from error
            cuts = self._journal(ending) if isinstance(error, CatenaError) else b""
            turn = self.plan.turn(self._fold.response, cuts)
            self._workshop.unwritten.append((turn, self.plan.background))

    async def _check_unstored(self) -> None:
        """Raise LeaseLost if another end is stored: this run's own, whose commit was not answered, or another server's.

        Its followers hear that one then, as they would of any other server's run.
        """
        store, plan = self._workshop.store, self.plan
        if store.peers is not None:
            stored = await store.load(plan.project, plan.response.id)
            if stored is not None and stored.status in TERMINAL:
                raise LeaseLost(plan.response.id)

    async def _commit(self, ending: Sequence[Event]) -> None:
        plan, response = self.plan, self._fold.response
        store = self._workshop.store
        notify_at = self._workshop.clock() if plan.background else None
        if not plan.stored and notify_at is not None:
            await store.notify(plan.project, response.id, response.status, notify_at)
        if not plan.stored or not self._is_kept(response):
            return
        await store.finish(plan.turn(response, self._journal(ending)), notify_at=notify_at)
        if not isinstance(response.output, msgspec.Raw):
            turn = ChainTurn(response.id, response.model, plan.items, response.output)
            self._workshop.history.extend(
                plan.project, plan.link, turn, plan.upstream.dialect, written=plan.question.written
            )

    def _journal(self, ending: Sequence[Event]) -> bytes:
        # Only responses can be followed again later, and what is asked for again under its key.
        order = self.plan.order
        followable = order.request.stream and (order.door == "responses" or order.key is not None)
        return record([*self.feed.events, *ending]) if followable else b""

    def _is_kept(self, response: Response) -> bool:
        """Of what was begun everything is kept; of what was not, only an answer."""
        return self._begun if self.plan.begun_first else response.status in ("completed", "incomplete")

    # Followers

    def followed(self) -> AbstractContextManager[None]:
        """While inside, somebody follows. When the last one goes before the end, the grace time begins."""
        if self.feed.ended:
            return contextlib.nullcontext()
        if self._audience is None:
            self._audience = self._new_audience()
        return self._audience.member()

    def _new_audience(self) -> Audience:
        plan, workshop = self.plan, self._workshop
        if plan.background:
            return Audience(self.feed, -1, self.cancel)
        if not plan.stored:
            return Audience(self.feed, 0, self.cancel)
        peers = workshop.store.peers
        is_attended = (
            partial(peers.is_attended, plan.project, plan.response.id) if peers is not None else None
        )
        return Audience(self.feed, workshop.settings.grace, self.cancel, is_attended)
