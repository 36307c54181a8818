"""Takes up the runs that wait, under a lease, and those that a dead server left behind.

The store is the queue. A claim gives a run to one worker for a time, under a fence: who was thought dead and is not can
write nothing any more. Being woken is a hint; looking every few seconds is what it rests on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any, Final

import msgspec

from catena.errors import CatenaError
from catena.ids import TurnIds
from catena.planning import Order
from catena.recovery import failed_with_what_it_had
from catena.run import Run
from catena.run_log import decode_log
from catena.runs import Runs
from catena.store import Claim, LeaseLost
from catena.wire.response import Response, stored_fields, whole_response

__all__ = ["Worker"]

log = logging.getLogger("catena.worker")

_LOOK_EVERY: Final = 2.0
"""Seconds between two looks at the queue, when nothing wakes the worker."""

_decode_order = msgspec.json.Decoder(Order).decode
_decode_items = msgspec.json.Decoder(list[dict[str, Any]]).decode


class Worker:
    """The background half of a server."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._store = runs.store
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Fail or take up what a server that died has left, then go on in tasks of its own."""
        await self._look()
        self._tasks = [
            asyncio.create_task(self._work(), name="catena worker"),
            asyncio.create_task(self._keep_leases(), name="catena leases"),
        ]

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
            try:
                await self._look()
            except CatenaError as error:
                log.warning("the queue could not be read: %s", error.message)

    async def _keep_leases(self) -> None:
        workshop = self._runs.workshop
        lease = workshop.settings.lease
        while True:
            await asyncio.sleep(lease / 3)
            try:
                await self._store.renew(workshop.owner, lease)
            except CatenaError as error:
                log.warning("leases could not be renewed: %s", error.message)

    async def _look(self) -> None:
        """Take up as much as there is room for."""
        workshop = self._runs.workshop
        async with self._runs.claiming:
            self._begin_unstored()
            while (room := self._room()) > 0:
                claims = await self._store.claim(workshop.owner, workshop.settings.lease, limit=room)
                for claim in claims:
                    await self._take_up(claim)
                if len(claims) < room:
                    return

    def _room(self) -> int:
        return self._runs.background.concurrency - sum(
            run.plan.background and run.working and not run.feed.ended for run in self._runs.active.values()
        )

    def _begin_unstored(self) -> None:
        for run in list(self._runs.active.values()):
            if run.plan.background and not run.plan.stored and not run.working and self._room() > 0:
                self._run(run)

    async def _take_up(self, claim: Claim) -> None:
        waiting = self._runs.active.get(claim.turn.id)
        if waiting is not None:
            self._run(waiting, claim.turn.fence)
            return
        error = await self._hopeless(claim)
        if error is None:
            try:
                await self._again(claim)
            except CatenaError as refusal:
                error = refusal
            else:
                return
        await self._fail(claim, error)

    async def _hopeless(self, claim: Claim) -> CatenaError | None:
        """Why a run that a dead server left cannot be begun again, if it cannot."""
        if not claim.request:
            return CatenaError("The server stopped before the response was finished.")
        if claim.tries > self._runs.background.tries:
            return CatenaError(
                f"The response was begun {claim.tries - 1} times, and the server stopped each time."
            )
        told = await self._store.load_log(claim.turn.project, claim.turn.id)
        if told and _decode_order(claim.request).request.stream:
            # What its followers were told cannot be taken back, and a second answer would be another.
            return CatenaError("The server stopped while the response was streamed.")
        return None

    async def _again(self, claim: Claim) -> None:
        order = _decode_order(claim.request)
        response = msgspec.structs.replace(_response(claim), status="queued")
        plan = await self._runs.planner.again(claim, order, response)
        run = self._runs.begin(plan)
        run.revive()
        self._run(run, claim.turn.fence)

    def _run(self, run: Run, fence: int = 0) -> None:
        run.take_up(msgspec.structs.replace(run.plan, fence=fence))
        assert run.task is not None
        run.task.add_done_callback(lambda _: self._runs.queued.set())

    async def _fail(self, claim: Claim, error: CatenaError) -> None:
        """Store the run as failed, with what it had."""
        turn = claim.turn
        chunks = decode_log(await self._store.load_log(turn.project, turn.id))
        minted = sum(item["id"][-50:-4] == turn.id[-50:-4] for item in _decode_items(turn.input))
        ids = TurnIds.of(turn.id, used=minted)
        response, cuts = failed_with_what_it_had(_response(claim), ids, chunks, error)
        ended = msgspec.structs.replace(
            turn,
            status=response.status,
            output=msgspec.json.encode(response.output),
            fields=stored_fields(response),
            cuts=cuts,
        )
        log.warning("%s was cut off by a stop of its server: %s", turn.id, error.message)
        with contextlib.suppress(LeaseLost):
            notify_at = self._runs.workshop.clock() if response.background else None
            await self._store.finish(ended, notify_at=notify_at)
            self._runs.told.set()


def _response(claim: Claim) -> Response:
    turn = claim.turn
    return whole_response(
        turn.fields,
        id=turn.id,
        created_at=turn.created_at,
        status=turn.status,
        model=turn.model,
        previous_response_id=turn.parent,
        output=turn.output,
    )
