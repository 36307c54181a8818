"""`Idempotency-Key`: the same request under the same key runs once, however often and whenever it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from catena.chunks import Finish, TextDelta, UsageReport
from catena.config import BackgroundSection, Config, StreamSettings
from catena.errors import UpstreamError
from catena.history import History
from catena.idempotency import Once, request_key
from catena.ids import TurnIds, new_tree
from catena.planning import Order
from catena.prefix import PrefixCache
from catena.run import Run
from catena.runs import Runs
from catena.store import RequestKey, Status, Turn
from catena.store.sqlite import SqliteStore
from catena.upstream.routing import Route, Router
from catena.upstream.scripted import ScriptedUpstream
from catena.wire.request import decode_create
from tests.conformance.proves import proves
from tests.running import LIMIT, RunningServer, StartServer, until

MESSAGES = [{"role": "user", "content": "hi"}]
REQUESTS: dict[str, dict[str, Any]] = {
    "/responses": {"model": "m", "input": "hi"},
    "/chat/completions": {"model": "m", "messages": MESSAGES},
}
DOORS = list(REQUESTS)


async def send(
    server: RunningServer, path: str = "/responses", key: str = "k", **fields: Any
) -> httpx2.Response:
    body = msgspec.json.encode({**REQUESTS[path], **fields})
    headers = {"content-type": "application/json", "idempotency-key": key}
    return await server.http.post(path, content=body, headers=headers)


def is_replay(reply: httpx2.Response) -> bool:
    assert reply.headers.get("idempotent-replayed", "true") == "true"
    return "idempotent-replayed" in reply.headers


def code_of(reply: httpx2.Response) -> Any:
    return reply.json()["error"]["code"]


class Gate:
    """An engine that says a word, waits to be let on, and says another."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.engine = ScriptedUpstream(self.script)

    def script(self, _: Any) -> Iterator[Any]:
        yield TextDelta("half ")
        yield self.open
        yield TextDelta("done")
        yield UsageReport(1, 2)
        yield Finish("stop")


def fails_first(*chunks: Any) -> ScriptedUpstream:
    """An engine that says `chunks` and breaks, once."""
    answers = 0

    def script(_: Any) -> Iterator[Any]:
        nonlocal answers
        answers += 1
        if answers == 1:
            yield from chunks
            yield UpstreamError("The engine broke.")
        yield TextDelta("fine")
        yield Finish("stop")

    return ScriptedUpstream(script)


# Once


@proves("10.5")
@pytest.mark.parametrize("path", DOORS)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_hundred_equal_requests_at_once_run_once(
    start_server: StartServer, path: str, stream: bool
) -> None:
    gate = Gate()
    async with start_server(engine=gate.engine) as server:
        sent = [asyncio.create_task(send(server, path, stream=stream)) for _ in range(100)]
        await until(lambda: gate.engine.prompts)
        gate.open.set()
        replies = await asyncio.gather(*sent)
        assert {reply.status_code for reply in replies} == {200}
        assert len({reply.content for reply in replies}) == 1
        assert "done" in replies[0].text
        assert sum(is_replay(reply) for reply in replies) == 99
        assert len(gate.engine.prompts) == 1
        assert (await server.store.usage()).turns == 1


@proves("10.5")
@pytest.mark.parametrize("path", DOORS)
@pytest.mark.parametrize("stream", [False, True])
async def test_after_its_end_it_is_answered_from_the_store_also_by_another_server(
    start_server: StartServer, path: str, stream: bool
) -> None:
    async with start_server() as server:
        first = await send(server, path, stream=stream)
        again = await send(server, path, stream=stream)
        assert (is_replay(first), is_replay(again)) == (False, True)
        assert again.content == first.content
        assert again.headers["content-type"] == first.headers["content-type"]
    async with start_server() as server:
        later = await send(server, path, stream=stream)
        assert is_replay(later)
        assert later.content == first.content
        assert server.engine.prompts == []


async def test_the_official_sdk_can_send_a_key(server: RunningServer) -> None:
    create = server.client.responses.create
    first = await create(model="m", input="hi", extra_headers={"Idempotency-Key": "k"})
    again = await create(model="m", input="hi", extra_headers={"Idempotency-Key": "k"})
    other = await create(model="m", input="hi", extra_headers={"Idempotency-Key": "k2"})
    assert first == again
    assert other.id != first.id
    assert len(server.engine.prompts) == 2


async def test_who_comes_while_it_streams_hears_it_from_the_beginning(start_server: StartServer) -> None:
    gate = Gate()
    async with start_server(engine=gate.engine) as server:
        first = asyncio.create_task(send(server, stream=True))
        await until(lambda: gate.engine.prompts)
        body = msgspec.json.encode({**REQUESTS["/responses"], "stream": True})
        headers = {"idempotency-key": "k"}
        async with server.http.stream("POST", "/responses", content=body, headers=headers) as second:
            pieces = second.aiter_raw()
            heard = await anext(pieces)
            assert b"response.created" in heard
            gate.open.set()
            async for piece in pieces:
                heard += piece
        assert heard == (await first).content


async def test_a_background_response_is_queued_once_and_then_told_as_it_stands(
    start_server: StartServer,
) -> None:
    gate = Gate()
    config = Config(background=BackgroundSection(concurrency=1))
    async with start_server(engine=gate.engine, config=config) as server:
        first = (await send(server, background=True)).json()
        assert first["status"] == "queued"
        await until(lambda: gate.engine.prompts)
        under_way = await send(server, background=True)
        assert is_replay(under_way)
        assert (under_way.json()["id"], under_way.json()["status"]) == (first["id"], "in_progress")
    async with start_server() as server:
        async with asyncio.timeout(LIMIT):
            while (reply := await send(server, background=True)).json()["status"] != "completed":
                pass
        assert reply.json() == (await server.http.get(f"/responses/{first['id']}")).json()
        assert is_replay(reply)
        assert len(server.engine.prompts) == 1


# Keys


@proves("10.5")
@pytest.mark.parametrize("path", DOORS)
async def test_a_key_is_refused_with_another_body_during_and_after_the_run(
    start_server: StartServer, path: str
) -> None:
    gate = Gate()
    async with start_server(engine=gate.engine) as server:
        first = asyncio.create_task(send(server, path))
        await until(lambda: gate.engine.prompts)
        during = await send(server, path, temperature=0.5)
        gate.open.set()
        assert (await first).status_code == 200
        after = await send(server, path, temperature=0.5)
        for refusal in (during, after):
            assert refusal.status_code == 400
            error = refusal.json()["error"]
            assert (error["code"], error["param"]) == ("idempotency_key_reused", None)
            assert "another request body" in error["message"]
        assert len(gate.engine.prompts) == 1


async def test_bodies_that_compete_for_a_key_are_told_apart(server: RunningServer) -> None:
    sent = [send(server, temperature=number % 2) for number in range(20)]
    replies = await asyncio.gather(*sent)
    assert [reply.status_code for reply in replies].count(200) == 10
    assert {code_of(reply) for reply in replies if reply.status_code == 400} == {"idempotency_key_reused"}
    assert len(server.engine.prompts) == 1


async def test_each_endpoint_has_keys_of_its_own(server: RunningServer) -> None:
    replies = [await send(server, path) for path in DOORS]
    assert not any(is_replay(reply) for reply in replies)
    assert len(server.engine.prompts) == 2


@pytest.mark.parametrize("path", DOORS)
async def test_a_key_has_bounds(server: RunningServer, path: str) -> None:
    assert (await send(server, path, key="k" * 255)).status_code == 200
    for key in ("", "k" * 256):
        refusal = await send(server, path, key=key)
        assert (refusal.status_code, code_of(refusal)) == (400, "invalid_value")
        assert "Idempotency-Key" in refusal.json()["error"]["message"]
    assert len(server.engine.prompts) == 1


async def test_the_key_of_a_deleted_response_begins_no_other(server: RunningServer) -> None:
    first = (await send(server)).json()
    await server.client.responses.delete(first["id"])
    reply = await send(server)
    assert reply.status_code == 404
    assert first["id"] in reply.json()["error"]["message"]
    assert len(server.engine.prompts) == 1


# What frees a key


@pytest.mark.parametrize("path", DOORS)
async def test_a_request_that_was_refused_has_used_no_key(server: RunningServer, path: str) -> None:
    parent = "resp_" + "0" * 50
    for _ in range(2):
        refused = await send(server, path, previous_response_id=parent)
        assert code_of(refused) == "previous_response_not_found"
        assert not is_replay(refused)
    assert (await send(server, path)).status_code == 200


@pytest.mark.parametrize("path", DOORS)
async def test_a_plain_request_that_failed_frees_its_key(start_server: StartServer, path: str) -> None:
    async with start_server(engine=fails_first(TextDelta("half"))) as server:
        assert (await send(server, path)).status_code == 502
        fine = await send(server, path)
        assert fine.status_code == 200
        assert not is_replay(fine)
        assert (await send(server, path)).content == fine.content
        assert len(server.engine.prompts) == 2


async def test_a_plain_request_in_a_conversation_frees_its_key_though_its_turn_is_stored(
    start_server: StartServer,
) -> None:
    async with start_server(engine=fails_first(TextDelta("half"))) as server:
        conversation = await server.client.conversations.create()
        assert (await send(server, conversation=conversation.id)).status_code == 502
        fine = await send(server, conversation=conversation.id)
        assert (fine.status_code, is_replay(fine)) == (200, False)
        again = await send(server, conversation=conversation.id)
        assert (again.content, is_replay(again)) == (fine.content, True)
        assert len(server.engine.prompts) == 2


async def test_all_who_wait_hear_of_the_failure(start_server: StartServer) -> None:
    go_on = asyncio.Event()
    async with start_server(engine=fails_first(go_on)) as server:
        sent = [asyncio.create_task(send(server)) for _ in range(5)]
        await until(lambda: server.engine.prompts)
        go_on.set()
        replies = await asyncio.gather(*sent)
        assert {reply.status_code for reply in replies} == {502}
        assert len(server.engine.prompts) == 1


async def test_a_completion_that_failed_before_its_first_word_frees_its_key(
    start_server: StartServer,
) -> None:
    """It was stored when it began to stream, but all that its client got was an error."""
    async with start_server(engine=fails_first()) as server:
        assert (await send(server, "/chat/completions", stream=True)).status_code == 502
        fine = await send(server, "/chat/completions", stream=True)
        assert fine.status_code == 200
        assert not is_replay(fine)
        again = await send(server, "/chat/completions", stream=True)
        assert (again.content, is_replay(again)) == (fine.content, True)


@pytest.mark.parametrize("path", DOORS)
async def test_a_stream_that_failed_is_told_again_as_it_failed(start_server: StartServer, path: str) -> None:
    async with start_server(engine=fails_first(TextDelta("half"))) as server:
        first = await send(server, path, stream=True)
        assert (first.status_code, "The engine broke." in first.text) == (200, True)
        again = await send(server, path, stream=True)
        assert (again.content, is_replay(again)) == (first.content, True)
        assert len(server.engine.prompts) == 1


@pytest.mark.parametrize("path", DOORS)
async def test_what_is_not_stored_is_shared_while_it_runs_and_run_again_after(
    start_server: StartServer, path: str
) -> None:
    gate = Gate()
    async with start_server(engine=gate.engine) as server:
        sent = [asyncio.create_task(send(server, path, store=False)) for _ in range(5)]
        await until(lambda: gate.engine.prompts)
        gate.open.set()
        replies = await asyncio.gather(*sent)
        assert len({reply.content for reply in replies}) == 1
        assert len(gate.engine.prompts) == 1
        again = await send(server, path, store=False)
        assert not is_replay(again)
        assert len(gate.engine.prompts) == 2
        assert (await server.store.usage()).turns == 0


# Clients that go


def runs_of(server: RunningServer) -> Runs:
    route = next(
        each for each in server.app.routes.all if (each.method, each.path) == ("POST", "/v1/responses")
    )
    runs: Runs = route.handler.__self__._runs
    return runs


async def gone(server: RunningServer, path: str, **fields: Any) -> Run:
    """Send a request, hang up while it runs, and return its run when the server has seen that."""
    task = asyncio.create_task(send(server, path, **fields))
    runs = runs_of(server)
    await until(lambda: runs.active)
    (run,) = runs.active.values()
    await until(lambda: run.followers == 1)
    task.cancel()
    await asyncio.wait([task])
    await until(lambda: run.followers == 0)
    return run


@pytest.mark.parametrize("path", DOORS)
@pytest.mark.parametrize("stream", [False, True])
async def test_who_comes_back_within_the_grace_time_finds_the_same_run(
    start_server: StartServer, path: str, stream: bool
) -> None:
    gate = Gate()
    async with start_server(engine=gate.engine) as server:
        run = await gone(server, path, stream=stream)
        sent = asyncio.create_task(send(server, path, stream=stream))
        await until(lambda: run.followers == 1)
        gate.open.set()
        back = await sent
        assert is_replay(back)
        assert "done" in back.text
        assert (len(gate.engine.prompts), gate.engine.closed_early) == (1, 0)


@pytest.mark.parametrize("path", DOORS)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_run_that_everybody_left_is_cancelled_and_its_key_is_free(
    start_server: StartServer, path: str, stream: bool
) -> None:
    gate = Gate()
    config = Config(streams=StreamSettings(grace_seconds=0))
    async with start_server(engine=gate.engine, config=config) as server:
        run = await gone(server, path, stream=stream)
        async with asyncio.timeout(LIMIT):
            await run.feed.finished()
        assert run.response.status == "cancelled"
        gate.open.set()
        fine = await send(server, path, stream=stream)
        assert (fine.status_code, is_replay(fine)) == (200, False)
        again = await send(server, path, stream=stream)
        assert (again.content, is_replay(again)) == (fine.content, True)
        assert (await server.store.usage()).turns == 1 + stream


async def test_what_was_cancelled_in_the_background_is_told_as_that(start_server: StartServer) -> None:
    gate = Gate()
    async with start_server(engine=gate.engine) as server:
        queued = (await send(server, background=True)).json()
        await until(lambda: gate.engine.prompts)
        await server.client.responses.cancel(queued["id"])
        again = await send(server, background=True)
        assert (again.json()["id"], again.json()["status"]) == (queued["id"], "cancelled")
        assert is_replay(again)


async def test_one_who_goes_takes_nothing_from_one_who_stays(start_server: StartServer) -> None:
    gate = Gate()
    config = Config(streams=StreamSettings(grace_seconds=0))
    async with start_server(engine=gate.engine, config=config) as server:
        stays = asyncio.create_task(send(server))
        await until(lambda: gate.engine.prompts)
        (run,) = runs_of(server).active.values()
        goes = asyncio.create_task(send(server))
        await until(lambda: run.followers == 2)
        goes.cancel()
        await asyncio.wait([goes])
        await until(lambda: run.followers == 1)
        gate.open.set()
        assert (await stays).status_code == 200
        assert gate.engine.closed_early == 0


# Other servers, and time


def stored(key: RequestKey | None, *, at: int) -> Turn:
    tree = new_tree(at)
    return Turn(
        project="default",
        id=TurnIds.new(tree, at).turn("resp_"),
        tree=tree,
        status="in_progress",
        model="m",
        created_at=at,
        key=key,
    )


@pytest.mark.parametrize("status", ["completed", "failed"])
async def test_a_run_of_another_server_is_waited_for(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch, status: Status
) -> None:
    """If it fails there, it is run here."""
    looks = 0
    load = server.store.load

    async def counted(project: str, turn_id: str) -> Turn | None:
        nonlocal looks
        looks += 1
        return await load(project, turn_id)

    monkeypatch.setattr(server.store, "load", counted)
    key = request_key("k", "responses", msgspec.json.encode(REQUESTS["/responses"]))
    theirs = stored(key, at=int(runs_of(server).workshop.clock()))
    await server.store.begin(theirs, owner="another", lease=1000.0)
    sent = asyncio.create_task(send(server))
    await until(lambda: looks > 1)
    assert not sent.done()
    await server.store.finish(msgspec.structs.replace(theirs, status=status))
    reply = await sent
    assert (reply.status_code, is_replay(reply)) == (200, status == "completed")
    assert (reply.json()["id"] == theirs.id) == (status == "completed")
    assert len(server.engine.prompts) == (status == "failed")


async def test_a_key_is_over_after_a_day(tmp_path: Path) -> None:
    now = 1_000_000.0
    store = await SqliteStore.open(tmp_path / "catena.sqlite3")
    engine = ScriptedUpstream()
    router = Router({}, Route(engine))
    runs = Runs(store, router, History(store, PrefixCache(1000)), clock=lambda: now)
    once = Once(runs)
    key = RequestKey(b"name", b"body")

    async def begin() -> Run:
        order = Order(request=decode_create(msgspec.json.encode(REQUESTS["/responses"])), key=key)
        run = runs.begin(await runs.plan("p", order))
        run.start()
        return run

    async def used(project: str = "p") -> bool:
        known = await once.begin(project, key, "plain", begin)
        if isinstance(known.source, Run):
            await known.source.feed.finished()
        return known.replayed

    assert not await used()
    now += 86_399
    assert await used()
    now += 1
    assert not await used()
    assert await used()
    assert not await used("another project")
    assert len(engine.prompts) == 3
    await store.close()
