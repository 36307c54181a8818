"""`/v1/responses`: create, retrieve, delete, input items (spec §1.1)."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from typing import Any, Final, get_args

import msgspec
from msgspec.structs import replace

from catena.admission import check_supported
from catena.elsewhere import Elsewhere, has_ended
from catena.errors import BadRequest, Interrupted, NotFound
from catena.fold import TERMINAL
from catena.history import chain_turns
from catena.idempotency import Known, Mode, Once, request_key
from catena.journal import replay
from catena.pages import page_of_context
from catena.planning import Order, Plan
from catena.revival import response_of
from catena.run import Run
from catena.runs import Runs, not_in_background
from catena.store import Turn
from catena.taps import Tap, Tapped, drawn
from catena.web.http import Reply, Request, Stream, json_reply
from catena.web.lists import item_page, item_paging
from catena.web.omitted import omitted_headers
from catena.web.routes import Routes
from catena.wire import wording
from catena.wire.events import Event, event_frame
from catena.wire.request import Includable, decode_create, require_input
from catena.wire.response import Item, Response

__all__ = [
    "ResponseRoutes",
    "attended",
    "check_include",
    "context_items",
]

_INCLUDABLE: Final = get_args(Includable)

_DONE: Final = b"data: [DONE]\n\n"

_MOST_AT_ONCE: Final = 256
"""Events in one piece of a stream that is told again, so that no long one is in memory twice."""

_encode = msgspec.json.Encoder().encode
_decode_items = msgspec.json.Decoder(list[dict[str, Any]]).decode


class ResponseRoutes:
    """The handlers of one server."""

    def __init__(self, runs: Runs, *, done_sentinel: bool = False) -> None:
        self._runs = runs
        self._store = runs.store
        self._elsewhere = Elsewhere(runs, runs.store.peers) if runs.store.peers is not None else None
        self._once = Once(runs)
        self._done_sentinel = done_sentinel

    def register(self, routes: Routes) -> None:
        path = "/v1/responses"
        one = "/v1/responses/{response_id}"
        read, write = "api.responses.read", "api.responses.write"
        routes.add("POST", path, self.create, scope=write, cost="run")
        routes.add("GET", one, self.retrieve, scope=read)
        routes.add("DELETE", one, self.delete, scope=write)
        routes.add("POST", f"{one}/cancel", self.cancel, scope=write)
        routes.add("GET", f"{one}/input_items", self.input_items, scope=read)

    async def create(self, request: Request) -> Reply | Stream:
        body = await request.body()
        asked = decode_create(self._runs.prompts.filled(body))
        check_supported(asked)
        key = request_key(request.header(b"idempotency-key"), "responses", body)
        order = Order(request=asked, key=key)
        if key is not None:
            begin = partial(self._begin, request.project, order)
            mode: Mode = "streamed" if asked.stream else "queued" if asked.background else "plain"
            return await self._known(
                request, order, await self._once.begin(request.project, key, mode, begin)
            )
        if asked.stream or asked.background:
            return await self._told(await self._begin(request.project, order), order)
        run = self._runs.begin(await self._plan(request.project, order))
        with request.on_disconnect(run.cancel):
            return Reply(_encode(await run.complete()), headers=omitted_headers(run))

    async def _plan(self, project: str, order: Order) -> Plan:
        plan = await self._runs.plan(project, order)
        require_input(order.request)
        return plan

    async def _begin(self, project: str, order: Order) -> Run:
        """A run that goes on by itself, or waits for a worker."""
        plan = await self._plan(project, order)
        if plan.background:
            return await self._runs.submit(plan)
        run = self._runs.begin(plan)
        run.start()
        return run

    async def _told(self, run: Run, order: Order) -> Reply | Stream:
        """A run as a stream, or as it was when it was queued."""
        if not order.request.stream:
            return Reply(_encode(run.plan.response), headers=omitted_headers(run))
        if not await run.feed.reaches(0):
            assert run.error is not None
            raise run.error
        return Stream(self._frames_of(run), headers=omitted_headers(run))

    async def _known(self, request: Request, order: Order, known: Known) -> Reply | Stream:
        """The reply to a request with a key: the same, whoever of them began the run."""
        asked = order.request
        if isinstance(known.source, Turn):
            reply = self._stored(order, known.source)
        elif asked.stream or (asked.background and not known.replayed):
            reply = await self._told(known.source, order)
        elif asked.background:
            reply = Reply(_encode(known.source.response))
        else:
            reply = Reply(
                _encode(await attended(known.source, request)), headers=omitted_headers(known.source)
            )
        return replace(reply, headers={**reply.headers, **known.headers})

    def _stored(self, order: Order, turn: Turn) -> Reply | Stream:
        response = response_of(turn)
        if not order.request.stream:
            return Reply(_encode(response))
        return Stream(_told_again(replay(response, turn.cuts), done_sentinel=self._done_sentinel))

    async def cancel(self, request: Request) -> Reply:
        (response_id,) = request.path_ids
        run = self._running(request.project, response_id)
        if run is not None:
            response = await self._runs.cancel(run)
            if response.status in TERMINAL or self._elsewhere is None:
                return Reply(_encode(response))
        turn = await self._turn(request.project, response_id)
        response = response_of(turn)
        if not response.background:
            raise not_in_background()
        if response.status not in TERMINAL and self._elsewhere is not None:
            response = await self._elsewhere.cancel(turn)
        return Reply(_encode(response))

    async def retrieve(self, request: Request) -> Reply | Stream:
        (response_id,) = request.path_ids
        query = request.query()
        check_include(query.many("include"))
        if query.pairs:
            query.flag("include_obfuscation")  # there is nothing to hide
        if query.flag("stream"):
            after = query.integer("starting_after", -1, least=0)
            return await self._followed(request.project, response_id, after + 1)
        return Reply(_encode(await self._response(request.project, response_id)))

    async def _followed(self, project: str, response_id: str, start: int) -> Stream:
        """The events from number `start` on: live while the run goes on, else told again from what is stored."""
        run = self._running(project, response_id)
        if run is not None:
            if not run.plan.request.stream:
                raise _not_streamed()
            return Stream(self._frames_of(run, start))
        turn = await self._turn(project, response_id)
        if turn.status not in TERMINAL and self._elsewhere is not None:
            if not await self._elsewhere.is_streamed(turn):
                raise _not_streamed()
            batches = self._elsewhere.follow(turn, start)
            return Stream(_told_on(batches, done_sentinel=self._done_sentinel))
        if not turn.cuts:
            raise _not_streamed()
        events = replay(response_of(turn), turn.cuts)[start:]
        return Stream(_told_again(events, done_sentinel=self._done_sentinel))

    async def _frames_of(self, run: Run, start: int = 0) -> Tapped[bytes]:
        """The events of a run that goes on here, and then those of wherever it went."""
        with run.followed():
            async with contextlib.aclosing(run.feed.follow(start)) as batches:
                batch = await drawn(batches)
                while batch is not None:
                    tap = yield _frames(batch)
                    batch = await drawn(batches, tap and _framed_into(tap))
        if not has_ended(run.feed):
            async with contextlib.aclosing(self._gone_on(run, max(start, len(run.feed)))) as batches:
                async for batch in batches:
                    yield _frames(batch)
        if self._done_sentinel:
            yield _DONE

    async def _gone_on(self, run: Run, start: int) -> AsyncGenerator[Sequence[Event], None]:
        """The events of a run that goes on elsewhere. Raises Interrupted where they cannot be told here."""
        turn = await self._store.load(run.plan.project, run.plan.response.id) if run.plan.stored else None
        if self._elsewhere is None or turn is None:
            raise Interrupted
        async with contextlib.aclosing(self._elsewhere.follow(turn, start)) as batches:
            async for batch in batches:
                yield batch

    def _running(self, project: str, response_id: str) -> Run | None:
        """The run of a response whose id was told already, while it goes on."""
        run = self._runs.running(project, response_id)
        return run if run is not None and run.plan.order.door == "responses" else None

    async def _response(self, project: str, response_id: str) -> Response:
        run = self._running(project, response_id)
        if run is not None:
            return run.response
        turn = await self._turn(project, response_id)
        return response_of(turn) if self._elsewhere is None else await self._elsewhere.response(turn)

    async def _turn(self, project: str, response_id: str) -> Turn:
        turn = await self._store.load(project, response_id)
        if turn is None or turn.door != "responses":
            raise NotFound(f"Response with id '{response_id}' not found.")
        return turn

    async def delete(self, request: Request) -> Reply:
        (response_id,) = request.path_ids
        turn = await self._turn(request.project, response_id)
        runs_elsewhere = self._elsewhere is not None and turn.status not in TERMINAL
        if response_id in self._runs.active or runs_elsewhere:
            raise BadRequest("Cannot delete an in-flight response.")
        cascade = request.query().flag("cascade")
        if cascade and self._runs.continuing(request.project, response_id):
            raise BadRequest("Cannot delete an in-flight response: one below this one is still being made.")
        deleted = await self._store.delete(request.project, response_id, cascade=cascade)
        self._runs.history.forget(request.project, response_id)
        body: dict[str, Any] = {"id": response_id, "object": "response", "deleted": True}
        if cascade:
            body["deleted_ids"] = deleted
        return json_reply(body)

    async def input_items(self, request: Request) -> Reply:
        (response_id,) = request.path_ids
        query = request.query()
        paging = item_paging(query)
        check_include(query.many("include"))
        await self._turn(request.project, response_id)
        return item_page(await page_of_context(self._store, request.project, response_id, **paging))


async def attended(run: Run, request: Request) -> Response:
    """The response of a run that goes on by itself, when it has ended. Raises the error that it failed with.

    The client counts as one that follows it, until it goes away.
    """
    with contextlib.ExitStack() as following:
        following.enter_context(run.followed())
        with request.on_disconnect(following.close):
            await run.feed.finished()
    if run.error is not None:
        raise run.error
    return run.response


async def _told_on(
    batches: AsyncGenerator[Sequence[Event], None], *, done_sentinel: bool
) -> AsyncGenerator[bytes, None]:
    async with contextlib.aclosing(batches):
        async for batch in batches:
            yield _frames(batch)
    if done_sentinel:
        yield _DONE


async def _told_again(events: Sequence[Event], *, done_sentinel: bool) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(events), _MOST_AT_ONCE):
        yield _frames(events[start : start + _MOST_AT_ONCE])
    if done_sentinel:
        yield _DONE


def _framed_into(tap: Tap[bytes]) -> Tap[Sequence[Event]]:
    """What takes events, for what takes their frames."""
    return lambda events: tap(_frames(events))


def _frames(events: Sequence[Event]) -> bytes:
    return event_frame(events[0]) if len(events) == 1 else b"".join(map(event_frame, events))


def _not_streamed() -> BadRequest:
    return BadRequest(
        "This response cannot be streamed because it was not created with stream=true.", param="stream"
    )


def context_items(chain: Sequence[Turn]) -> list[Item]:
    """What the model saw: the items of every ancestor, and the response's own input (spec §1.1.5)."""
    *earlier, own = chain_turns(chain)
    items = [item for turn in earlier for item in (*turn.input, *turn.output)]
    return [*items, *own.input]


def check_include(include: list[str]) -> None:
    """Raise BadRequest for what cannot be included."""
    for index, value in enumerate(include):
        if value not in _INCLUDABLE:
            raise wording.wrong_value(f"include[{index}]", value, _INCLUDABLE)
