"""`/v1/chat/completions`: turns of the same chains in another dialect (spec §1.3, §11).

A completion's `id` can be continued at once, so it is stored unless `store` is false. Listed, and retrieved here, is
only what was created with an explicit `store: true`, as the official API does.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from functools import partial

from msgspec.structs import replace

from catena.admission import check_supported
from catena.errors import BadRequest, NotFound
from catena.idempotency import Known, Mode, Once, request_key
from catena.journal import replay
from catena.planning import Order, Plan
from catena.revival import response_of
from catena.run import Run
from catena.runs import Runs
from catena.store import Page, RequestKey, Turn
from catena.taps import Tap, Tapped, drawn
from catena.web.http import Reply, Request, Stream, json_reply
from catena.web.lists import listing, page_of
from catena.web.omitted import omitted_headers
from catena.web.responses import attended, context_items
from catena.web.routes import Routes
from catena.wire.chat import ChatRequest, decode_chat, decode_update
from catena.wire.chat_turn import create_request, extra_options
from catena.wire.completion import completion, stored_completion
from catena.wire.completion_stream import ChunkWriter
from catena.wire.events import Event
from catena.wire.response import Response, stored_fields
from catena.wire.schemas import check_format
from catena.wire.transcript import messages_of

__all__ = ["ChatRoutes"]

_OPENING_EVENTS = 2
"""The events that every run begins with, before its engine has said anything."""


class ChatRoutes:
    """The handlers of one server."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._store = runs.store
        self._once = Once(runs)

    def register(self, routes: Routes) -> None:
        path = "/v1/chat/completions"
        one = "/v1/chat/completions/{completion_id}"
        read, write = "api.responses.read", "api.responses.write"
        routes.add("POST", path, self.create, scope=write, cost="run")
        routes.add("GET", path, self.list, scope=read)
        routes.add("GET", one, self.retrieve, scope=read)
        routes.add("POST", one, self.update, scope=write)
        routes.add("DELETE", one, self.delete, scope=write)
        routes.add("GET", f"{one}/messages", self.messages, scope=read)

    async def create(self, request: Request) -> Reply | Stream:
        body = await request.body()
        asked = decode_chat(body)
        key = request_key(request.header(b"idempotency-key"), "chat", body)
        if key is not None:
            begin = partial(self._begin, request.project, asked, key)
            mode: Mode = "streamed" if asked.stream else "plain"
            return await self._known(
                request, asked, await self._once.begin(request.project, key, mode, begin)
            )
        run = self._runs.begin(await self._plan(request.project, asked))
        if not asked.stream:
            with request.on_disconnect(run.cancel):
                return replace(_whole(asked, await run.complete()), headers=omitted_headers(run))
        run.start()
        with request.on_disconnect(run.cancel):
            # Nobody knows its id yet, so it ends at once when its client goes.
            return await _streamed(run, asked)

    async def _begin(self, project: str, asked: ChatRequest, key: RequestKey) -> Run:
        """A run that goes on by itself."""
        run = self._runs.begin(await self._plan(project, asked, key))
        run.start()
        return run

    async def _known(self, request: Request, asked: ChatRequest, known: Known) -> Reply | Stream:
        """The reply to a request with a key: the same, whoever of them began the run."""
        reply: Reply | Stream
        if isinstance(known.source, Turn):
            turn = known.source
            reply = _told_again(turn, asked) if asked.stream else _whole(asked, response_of(turn))
        elif asked.stream:
            reply = await _streamed(known.source, asked)
        else:
            reply = _whole(asked, await attended(known.source, request))
            reply = replace(reply, headers=omitted_headers(known.source))
        return replace(reply, headers={**reply.headers, **known.headers})

    async def _plan(self, project: str, asked: ChatRequest, key: RequestKey | None = None) -> Plan:
        turn = create_request(asked)
        check_supported(turn)
        if turn.text is not None and turn.text.format is not None:
            check_format(turn.text.format, "response_format")
        try:
            order = Order(
                request=turn,
                door="chat",
                listed=asked.store is True,
                extra_options=extra_options(asked),
                key=key,
            )
            return await self._runs.plan(project, order)
        except BadRequest as error:
            # What is called input elsewhere are messages here.
            if error.param == "input":
                error.param = "messages"
            raise

    async def list(self, request: Request) -> Reply:
        query = request.query()
        page = Page(
            limit=query.integer("limit", 20, least=1, most=100),
            after=query.one("after"),
            ascending=query.choice("order", "asc", ("asc", "desc")) == "asc",
        )
        turns, has_more = await self._store.list_listed(
            request.project, page, model=query.one("model"), metadata=query.keyed("metadata")
        )
        completions = [stored_completion(response_of(turn)) for turn in turns]
        return json_reply(listing(completions, has_more=has_more))

    async def retrieve(self, request: Request) -> Reply:
        return json_reply(stored_completion(response_of(await self._turn(request))))

    async def update(self, request: Request) -> Reply:
        changed = decode_update(await request.body())
        turn = await self._turn(request)
        response = replace(response_of(turn), metadata=changed.metadata or {})
        if not await self._store.set_fields(request.project, turn.id, stored_fields(response)):
            raise _not_found(turn.id)
        return json_reply(stored_completion(response))

    async def delete(self, request: Request) -> Reply:
        turn = await self._turn(request)
        if turn.id in self._runs.active:
            # Committed, but not yet over: its run would remember it again.
            raise BadRequest("Cannot delete an in-flight completion.")
        await self._store.delete(request.project, turn.id)
        self._runs.history.forget(request.project, turn.id)
        return json_reply({"id": turn.id, "object": "chat.completion.deleted", "deleted": True})

    async def messages(self, request: Request) -> Reply:
        query = request.query()
        limit = query.integer("limit", 20, least=1, most=100)
        order = query.choice("order", "asc", ("asc", "desc"))
        turn = await self._turn(request)
        chain = await self._store.load_chain(request.project, turn.id)
        messages = [
            {"id": f"{turn.id}-{place}", **message}
            for place, message in enumerate(messages_of(context_items(chain)))
        ]
        if order == "desc":
            messages.reverse()
        return json_reply(page_of(messages, limit=limit, after=query.one("after")))

    async def _turn(self, request: Request) -> Turn:
        (completion_id,) = request.path_ids
        turn = await self._store.load(request.project, completion_id)
        if turn is None or not turn.listed:
            raise _not_found(completion_id)
        return turn


def _not_found(completion_id: str) -> NotFound:
    return NotFound(f"Completion with id '{completion_id}' not found.")


def _whole(asked: ChatRequest, response: Response) -> Reply:
    return json_reply(completion(response, legacy_calls=asked.functions is not None))


class _Framing:
    """The frames of each event, made once, as the writer remembers what it has told."""

    def __init__(self, writer: ChunkWriter) -> None:
        self._writer = writer
        self._refused = b""
        self._refused_events = 0

    def frames(self, events: Sequence[Event]) -> bytes:
        """The frames of events that come next, or were refused; empty if they make none."""
        frames = self._refused + self._writer.frames(events[self._refused_events :])
        self._refused, self._refused_events = b"", 0
        return frames

    def into(self, tap: Tap[bytes]) -> Tap[Sequence[Event]]:
        """What takes events, for what takes their frames."""

        def offer(events: Sequence[Event]) -> bool:
            self._refused, self._refused_events = self.frames(events), len(events)
            if self._refused and not tap(self._refused):
                return False
            self._refused, self._refused_events = b"", 0
            return True

        return offer


async def _streamed(run: Run, asked: ChatRequest) -> Stream:
    """A run as a stream, once its engine has said something.

    Raises the error of a run that failed before: no byte was sent yet, so it still gets its own status.
    """
    writer = _writer(run.response, asked)
    await run.feed.reaches(_OPENING_EVENTS)
    if run.error is not None and not run.response.output:
        raise run.error
    return Stream(_frames(run, writer), headers=omitted_headers(run))


def _told_again(turn: Turn, asked: ChatRequest) -> Stream:
    response = response_of(turn)

    async def pieces() -> AsyncGenerator[bytes, None]:
        yield _writer(response, asked).frames(replay(response, turn.cuts))

    return Stream(pieces())


def _writer(response: Response, asked: ChatRequest) -> ChunkWriter:
    return ChunkWriter(response, usage=asked.includes_usage, legacy_calls=asked.functions is not None)


async def _frames(run: Run, writer: ChunkWriter) -> Tapped[bytes]:
    """A run's events as frames of a chat stream; those that are there at the same moment go in one piece."""
    framing = _Framing(writer)
    tap: Tap[bytes] | None = None
    with run.followed():
        async with contextlib.aclosing(run.feed.follow()) as batches:
            batch = await drawn(batches)
            while batch is not None:
                frames = framing.frames(batch)
                if frames:
                    tap = yield frames
                batch = await drawn(batches, tap and framing.into(tap))
    if run.lost and run.error is not None:
        yield writer.failure(run.error.body())
