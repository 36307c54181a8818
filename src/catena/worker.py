"""Takes up the runs that wait, under a lease, and those that a dead server left behind.

The store is the queue. A claim gives a run to one worker for a time, under a fence: who was thought dead and is not can
write nothing any more. Being woken is a hint; looking every few seconds is what it rests on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Sequence
from typing import Any, Final

import msgspec

from catena.chunks import Chunk
from catena.errors import CatenaError, StoreUnavailable
from catena.fold import TERMINAL
from catena.planning import Order, decode_order
from catena.recovery import ended_with_what_it_had
from catena.revival import ids_of, response_of
from catena.run import Run
from catena.run_log import decode_log
from catena.runs import Runs
from catena.store import Claim, LeaseLost, Peers
from catena.wire.response import stored_fields

__all__ = ["Worker"]

log = logging.getLogger("catena.worker")

_LOOK_EVERY: Final = 2.0
"""Seconds between two looks at the queue, when nothing wakes the worker."""

_HEED_EVERY: Final = 1.0
"""Seconds between two looks at what other servers ask."""

_ADOPTED_AT_ONCE: Final = 100


class Worker:
    """The background half of a server."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._store = runs.store
        self._peers = runs.store.peers
        self._out_of_reach = False
        self._renewed_at = runs.workshop.clock()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Take over what a server that stopped or died has left, then go on in tasks of its own."""
        if self._peers is None:
            await self._adopt()
        await self._look()
        self._tasks = [
            asyncio.create_task(self._work(), name="catena worker"),
            asyncio.create_task(self._keep_leases(), name="catena leases"),
        ]
        if self._peers is not None:
            heeding = asyncio.create_task(self._heed(self._peers), name="catena peers")
            self._tasks.append(heeding)

    async def stop(self) -> None:
        """Take up nothing more."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _work(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY):
                    await self._runs.queued.wait()
            self._runs.queued.clear()
            await self._survive(self._look(), "the queue could not be read")

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(self._lease / 3)
            await self._survive(self._renew(), "leases could not be renewed")

    async def _heed(self, peers: Peers) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_HEED_EVERY):
                    await self._runs.asked.wait()
            self._runs.asked.clear()
            await self._survive(self._heed_once(peers), "what other servers ask could not be read")

    async def _heed_once(self, peers: Peers) -> None:
        """Cancel what others ask to be cancelled, and forget what others have taken up."""
        workshop = self._runs.workshop
        for turn_id in await peers.to_cancel(workshop.owner):
            run = self._runs.active.get(turn_id)
            if run is not None and run.response.status not in TERMINAL:
                run.cancel()
        async with self._runs.claiming:
            for claim in await self._claim_cancelled(peers):
                run = self._runs.active.get(claim.turn.id) or await self._revived(claim)
                if run is not None:
                    run.keep(claim.turn.fence)
                    run.cancel()
            waiting = self._runs.waiting()
            taken = set(waiting) - set(await peers.waiting_among(waiting)) if waiting else ()
            for turn_id in taken:
                self._runs.dismiss(turn_id)

    async def _survive(self, work: Coroutine[Any, Any, None], otherwise: str) -> None:
        """These tasks end with the server, and never before."""
        try:
            await work
        except CatenaError as error:
            known = self._out_of_reach
            self._out_of_reach |= isinstance(error, StoreUnavailable)
            if not known:  # else the log would have nothing but this
                log.warning("%s: %s", otherwise, error.message)
        except Exception:
            log.exception("%s, by a fault of this server", otherwise)

    @property
    def _lease(self) -> float:
        return self._runs.workshop.settings.lease

    @property
    def _in_touch(self) -> bool:
        """Whether the store answers, and leases are renewed as they should be: else this machine slept, or was busy, or
        the store was, and nobody's leases say anything."""
        overdue = self._runs.workshop.clock() - self._renewed_at > self._lease / 2
        return not self._out_of_reach and not overdue

    async def _renew(self) -> None:
        workshop = self._runs.workshop
        now = workshop.clock()
        # Only what really goes on here: what this server began and does not know of, as an answer of the store was
        # lost, is taken up by whoever finds its lease over.
        waiting = [turn.id for turn, _ in workshop.unwritten]
        await self._store.renew(workshop.owner, self._lease, [*self._runs.active, *waiting])
        if self._peers is not None:
            names = [name for _, name in self._runs.keyed]
            await self._peers.renew_keys(workshop.owner, names, self._lease)
        self._renewed_at = now

    async def _return(self) -> bool:
        """Whether the store is back after it was out of reach, or this server slept; what goes on here is under leases
        again then."""
        if self._in_touch:
            return False
        await self._store.waiting()
        await self._renew()
        self._out_of_reach = False
        return True

    async def _adopt(self) -> None:
        """Have every run that waits in the store wait here too, where it can be followed and cancelled, and end or
        queue those that were cut off."""
        async with self._runs.claiming:
            left: list[Run] = []
            while claims := await self._claim(_ADOPTED_AT_ONCE):
                left += [run for claim in claims if (run := await self._revived(claim)) is not None]
            await asyncio.gather(*(self._store.release(run.plan.turn(run.response)) for run in left))

    async def _look(self) -> None:
        """Take up as much as there is room for."""
        returned = await self._return()
        await self._write_ends()
        if returned and self._peers is not None:
            # It was so for other servers too. What they have must not look as if it had been left.
            await asyncio.sleep(min(self._lease / 3, _LOOK_EVERY) + _HEED_EVERY)
        async with self._runs.claiming:
            self._begin_unstored()
            while (room := self._room()) > 0:
                claims = await self._claim(room)
                for claim in claims:
                    await self._take_up(claim)
                if len(claims) < room:
                    return

    async def _claim(self, limit: int) -> Sequence[Claim]:
        if not self._in_touch:
            # What goes on here must not look as if it had been left, nor what others have, who may not have renewed.
            if self._peers is not None:
                return ()  # it is looked again, with more patience
            await self._renew()
        return await self._store.claim(self._runs.workshop.owner, self._lease, limit=limit)

    async def _claim_cancelled(self, peers: Peers) -> Sequence[Claim]:
        """What others asked to be cancelled, and nobody has."""
        if not self._in_touch:
            return ()
        owner = self._runs.workshop.owner
        return await peers.claim_cancelled(owner, self._lease, limit=_ADOPTED_AT_ONCE)

    async def _write_ends(self) -> None:
        """Write the ends that could not be written when they came."""
        workshop = self._runs.workshop
        unwritten = workshop.unwritten
        while unwritten:
            turn, notify = unwritten[0]
            try:
                await self._store.finish(turn, notify_at=workshop.clock() if notify else None)
            except StoreUnavailable:
                return
            except (CatenaError, LeaseLost):
                pass  # it has ended in another way meanwhile
            unwritten.pop(0)
            self._runs.told.set()

    def _room(self) -> int:
        return self._runs.background.concurrency - sum(
            run.plan.background and run.working and not run.feed.ended for run in self._runs.active.values()
        )

    def _begin_unstored(self) -> None:
        for run in list(self._runs.active.values()):
            if run.plan.background and not run.plan.stored and not run.working and self._room() > 0:
                self._run(run)

    async def _take_up(self, claim: Claim) -> None:
        known = self._runs.active.get(claim.turn.id)
        if known is not None and known.working:
            known.keep(claim.turn.fence)
            return
        run = known or await self._revived(claim)
        if run is not None:
            self._runs.tally.taken_over += claim.tries > 1
            self._run(run, claim.turn.fence)

    async def _revived(self, claim: Claim) -> Run | None:
        """The run of a claim, as it waited elsewhere; None if it cannot be begun again, and was ended instead."""
        try:
            order = await self._order_of(claim)
            response = msgspec.structs.replace(response_of(claim.turn), status="queued")
            plan = await self._runs.planner.again(claim, order, response)
        except CatenaError as error:
            await self._end(claim, error)
        except Exception:
            log.exception("%s cannot be begun again by a fault of this server", claim.turn.id)
            await self._end(claim, CatenaError())
        else:
            run = self._runs.begin(plan)
            run.revive()
            return run
        return None

    async def _order_of(self, claim: Claim) -> Order:
        """What a run is begun again with. Raises the error that it must end with, if it cannot be."""
        if not claim.request:
            raise CatenaError("The server stopped before the response was finished.")
        if claim.tries > self._runs.background.tries:
            raise CatenaError(
                f"The response was begun {claim.tries - 1} times, and the server stopped each time."
            )
        order = decode_order(claim.request)
        if order.request.stream and await self._store.load_log(claim.turn.project, claim.turn.id):
            # What its followers were told cannot be taken back, and a second answer would be another.
            raise CatenaError("The server stopped while the response was streamed.")
        return order

    def _run(self, run: Run, fence: int = 0) -> None:
        run.take_up(msgspec.structs.replace(run.plan, fence=fence))
        assert run.task is not None
        run.task.add_done_callback(lambda _: self._runs.queued.set())

    async def _end(self, claim: Claim, error: CatenaError) -> None:
        """Store the run as ended with what it had: failed, unless its engine had come to an end."""
        turn = claim.turn
        now = int(self._runs.workshop.clock())
        chunks = await self._logged(claim)
        response, cuts = ended_with_what_it_had(response_of(turn), ids_of(turn), chunks, error, now=now)
        ended = msgspec.structs.replace(
            turn,
            status=response.status,
            output=msgspec.json.encode(response.output),
            fields=stored_fields(response),
            cuts=cuts if _followable(claim) else b"",
        )
        self._runs.tally.taken_over += claim.tries > 1 or not claim.request
        log.warning("%s was cut off by a stop of its server: it is %s", turn.id, response.status)
        with contextlib.suppress(LeaseLost):
            notify_at = self._runs.workshop.clock() if response.background else None
            await self._store.finish(ended, notify_at=notify_at)
            self._runs.told.set()

    async def _logged(self, claim: Claim) -> Sequence[Chunk]:
        batches = await self._store.load_log(claim.turn.project, claim.turn.id)
        try:
            return decode_log(batches)
        except msgspec.DecodeError:
            log.exception("the log of %s cannot be read", claim.turn.id)
            return ()


def _followable(claim: Claim) -> bool:
    """Whether its events were told, and can be told again."""
    if claim.turn.door != "responses":
        return False
    try:
        # In the foreground, only a stream is stored before it has ended.
        return not claim.request or bool(decode_order(claim.request).request.stream)
    except msgspec.DecodeError:
        return True
