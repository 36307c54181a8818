"""Several servers on one PostgreSQL: each serves everything, whichever of them began it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import pytest
from openai import APIConnectionError, BadRequestError

from catena.chunks import Finish, TextDelta, UsageReport
from catena.config import BackgroundSection, Config, StreamSettings
from catena.store.postgres import PostgresStore
from catena.upstream.scripted import ScriptedUpstream
from tests.postgres import TestDatabase
from tests.running import LIMIT, RunningServer, running_server

Pair: TypeAlias = tuple[RunningServer, RunningServer]


class Gate:
    """An engine that says a word, waits to be let on, and says another."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.engine = ScriptedUpstream(self.script)

    def script(self, _: Any) -> Any:
        yield TextDelta("half ")
        yield self.open
        yield TextDelta("done")
        yield UsageReport(1, 2)
        yield Finish("stop")


@contextlib.asynccontextmanager
async def pair(
    postgres: TestDatabase,
    *engines: ScriptedUpstream,
    first: Config | None = None,
    second: Config | None = None,
) -> AsyncIterator[Pair]:
    """Two servers on one database."""
    await postgres.empty()
    async with contextlib.AsyncExitStack() as stack:
        servers = []
        for place, config in enumerate((first or Config(), second or first or Config())):
            store = await PostgresStore.open(postgres.settings)
            engine = engines[min(place, len(engines) - 1)] if engines else None
            running = running_server(Path("nowhere"), store=store, engine=engine, config=config)
            servers.append(await stack.enter_async_context(running))
        yield servers[0], servers[1]


@pytest.fixture
async def two(postgres: TestDatabase) -> AsyncIterator[Pair]:
    async with pair(postgres) as servers:
        yield servers


def alike(events: list[Any]) -> list[Any]:
    return [event.model_dump() for event in events]


async def ended(server: RunningServer, response_id: str) -> Any:
    async with asyncio.timeout(LIMIT):
        while True:
            response = await server.client.responses.retrieve(response_id)
            if response.status not in ("queued", "in_progress"):
                return response


async def begun(stream: Any) -> tuple[str, list[Any]]:
    """The id of a stream's response, and its events until its first words."""
    events = []
    async for event in stream:
        events.append(event)
        if event.type == "response.output_text.delta":
            return events[0].response.id, events
    raise AssertionError


async def test_a_chain_goes_from_server_to_server(two: Pair) -> None:
    parent = None
    for number in range(6):
        server = two[number % 2]
        answer = await server.client.responses.create(model="m", input="hi", previous_response_id=parent)
        assert answer.output_text == f"{2 * number + 1}: hi"
        parent = answer.id
        found = await two[(number + 1) % 2].client.responses.retrieve(parent)
        assert found.output_text == answer.output_text


async def test_what_one_server_removes_another_does_not_remember(two: Pair) -> None:
    here, there = two
    secret = await here.client.responses.create(model="m", input="secret")
    child = await here.client.responses.create(model="m", input="and", previous_response_id=secret.id)
    await there.client.responses.delete(secret.id)
    await here.client.responses.create(model="m", input="so", previous_response_id=child.id)
    assert [message["content"] for message in here.seen()] == ["and", "3: and", "so"]


async def test_a_conversation_is_changed_on_one_server_and_heard_on_another(two: Pair) -> None:
    here, there = two
    made = await here.client.conversations.create(items=[{"role": "user", "content": "one"}])
    await here.client.responses.create(model="m", input="two", conversation=made.id)
    await there.client.responses.create(model="m", input="three", conversation=made.id)
    await here.client.responses.create(model="m", input="four", conversation=made.id)
    assert len(here.seen()) == 6


async def test_a_stream_is_followed_through_another_server_while_it_goes_on(postgres: TestDatabase) -> None:
    gate = Gate()
    async with pair(postgres, gate.engine) as (here, there), asyncio.timeout(LIMIT):
        stream = await here.client.responses.create(model="m", input="hi", stream=True)
        response_id, told = await begun(stream)
        so_far = await there.client.responses.retrieve(response_id)
        assert (so_far.status, so_far.output_text) == ("in_progress", "half ")
        followed = await there.client.responses.retrieve(response_id, stream=True)
        _, heard = await begun(followed)
        late = await there.client.responses.retrieve(response_id, stream=True, starting_after=2)
        gate.open.set()
        told += [event async for event in stream]
        heard += [event async for event in followed]
        assert alike(heard) == alike(told)
        assert alike([event async for event in late]) == alike(told[3:])
        assert told[-1].type == "response.completed"


async def test_who_follows_through_a_server_that_stops_sees_it_break_off_and_goes_on_at_another(
    postgres: TestDatabase,
) -> None:
    """A reply that just ended would look like a stream without an end."""
    gate = Gate()
    async with pair(postgres, gate.engine) as (here, there), asyncio.timeout(LIMIT):
        stream = await here.client.responses.create(model="m", input="hi", stream=True)
        response_id, told = await begun(stream)
        followed = await there.client.responses.retrieve(response_id, stream=True)
        _, heard = await begun(followed)
        await there.app.close()
        with pytest.raises(APIConnectionError):
            heard += [event async for event in followed]
        gate.open.set()
        told += [event async for event in stream]
        last = heard[-1].sequence_number
        rest = await here.client.responses.retrieve(response_id, stream=True, starting_after=last)
        heard += [event async for event in rest]
        assert alike(heard) == alike(told)


async def test_a_stream_outlives_its_client_while_it_is_followed_through_another_server(
    postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    config = Config(streams=StreamSettings(grace_seconds=0.01))
    async with pair(postgres, gate.engine, first=config) as (here, there), asyncio.timeout(LIMIT):
        peers = here.store.peers
        assert peers is not None
        asked, is_attended = asyncio.Event(), peers.is_attended

        async def attended(project: str, turn_id: str) -> bool:
            found = await is_attended(project, turn_id)
            asked.set()
            return found

        monkeypatch.setattr(peers, "is_attended", attended)
        stream = await here.client.responses.create(model="m", input="hi", stream=True)
        response_id, _ = await begun(stream)
        followed = await there.client.responses.retrieve(response_id, stream=True)
        await begun(followed)
        await stream.close()
        await asked.wait()
        gate.open.set()
        events = [event async for event in followed]
        assert events[-1].type == "response.completed"
        assert gate.engine.closed_early == 0


async def test_a_stream_that_nobody_follows_anywhere_ends_after_its_grace(postgres: TestDatabase) -> None:
    gate = Gate()
    config = Config(streams=StreamSettings(grace_seconds=0.01))
    async with pair(postgres, gate.engine, first=config) as (here, there):
        stream = await here.client.responses.create(model="m", input="hi", stream=True)
        response_id, _ = await begun(stream)
        await stream.close()
        assert (await ended(there, response_id)).status == "cancelled"
        assert gate.engine.closed_early == 1


async def test_a_background_response_is_cancelled_through_another_server(postgres: TestDatabase) -> None:
    gate = Gate()
    idle = Config(background=BackgroundSection(concurrency=0))
    async with pair(postgres, gate.engine, first=Config(), second=idle) as (here, there):
        async with asyncio.timeout(LIMIT):
            made = await here.client.responses.create(model="m", input="hi", background=True)
            while (await there.client.responses.retrieve(made.id)).status == "queued":
                pass
            cancelled = await there.client.responses.cancel(made.id)
            assert (cancelled.status, cancelled.id) == ("cancelled", made.id)
            assert (await there.client.responses.cancel(made.id)).status == "cancelled"
            assert gate.engine.closed_early == 1


async def test_a_response_that_waits_is_cancelled_by_whoever_is_asked(postgres: TestDatabase) -> None:
    idle = Config(background=BackgroundSection(concurrency=0))
    async with pair(postgres, first=idle) as (here, there), asyncio.timeout(LIMIT):
        for server in (here, there):
            made = await here.client.responses.create(model="m", input="hi", background=True)
            assert (await server.client.responses.retrieve(made.id)).status == "queued"
            assert (await server.client.responses.cancel(made.id)).status == "cancelled"
        assert here.engine.prompts == there.engine.prompts == []


async def test_only_background_responses_are_cancelled_anywhere(postgres: TestDatabase) -> None:
    gate = Gate()
    async with pair(postgres, gate.engine) as (here, there), asyncio.timeout(LIMIT):
        stream = await here.client.responses.create(model="m", input="hi", stream=True)
        response_id, _ = await begun(stream)
        with pytest.raises(BadRequestError, match="synchronous"):
            await there.client.responses.cancel(response_id)
        with pytest.raises(BadRequestError, match="in-flight"):
            await there.client.responses.delete(response_id)
        gate.open.set()
        assert [event async for event in stream][-1].type == "response.completed"
        await there.client.responses.delete(response_id)


@pytest.mark.parametrize("streamed", [True, False])
async def test_what_waits_at_a_busy_server_is_taken_up_by_another(
    postgres: TestDatabase, streamed: bool
) -> None:
    busy = Config(background=BackgroundSection(concurrency=0))
    async with pair(postgres, first=busy, second=Config()) as (here, there), asyncio.timeout(LIMIT):
        if streamed:
            stream = await here.client.responses.create(model="m", input="hi", background=True, stream=True)
            events = [event async for event in stream]
            assert [event.sequence_number for event in events] == list(range(len(events)))
            assert events[-1].type == "response.completed"
            assert events[-1].response.output_text == "1: hi"
        else:
            made = await here.client.responses.create(model="m", input="hi", background=True)
            assert (await ended(here, made.id)).output_text == "1: hi"
        assert (len(here.engine.prompts), len(there.engine.prompts)) == (0, 1)


async def test_a_stream_whose_run_was_taken_is_told_to_its_end(postgres: TestDatabase) -> None:
    """The server was thought dead and is not: another has ended its run, and that is what its clients hear."""
    gate = Gate()
    idle = Config(background=BackgroundSection(concurrency=0))
    async with (
        pair(postgres, gate.engine, first=idle, second=Config()) as (here, there),
        asyncio.timeout(LIMIT),
    ):
        body = {"model": "m", "input": "hi", "stream": True}
        async with here.http.stream("POST", "/responses", json=body) as reply:
            lines = reply.aiter_lines()
            events = [await heard(lines) for _ in range(5)]
            assert events[-1]["type"] == "response.output_text.delta"
            await postgres.run("UPDATE turns SET owner = 'gone', lease_until = now() - interval '1 second'")
            found = await ended(there, events[0]["response"]["id"])
            assert (found.status, found.output_text) == ("failed", "half ")
            gate.open.set()
            while events[-1]["type"] != "response.failed":
                events.append(await heard(lines))
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        assert "stopped before" in events[-1]["response"]["error"]["message"]


async def test_a_server_that_finds_its_own_run_left_goes_on_with_it(postgres: TestDatabase) -> None:
    gate = Gate()
    idle = Config(background=BackgroundSection(concurrency=0))
    async with pair(postgres, gate.engine, first=Config(), second=idle) as (here, _), asyncio.timeout(LIMIT):
        stream = await here.client.responses.create(model="m", input="hi", stream=True)
        _, told = await begun(stream)
        await postgres.run("UPDATE turns SET lease_until = now() - interval '1 second'")
        while not await postgres.run("SELECT 1 FROM turns WHERE fence > 0"):
            pass
        gate.open.set()
        told += [event async for event in stream]
        assert (told[-1].type, told[-1].response.output_text) == ("response.completed", "half done")
        assert len(gate.engine.prompts) == 1


async def heard(lines: AsyncIterator[str]) -> Any:
    """The next event of a raw stream."""
    async for line in lines:
        if line.startswith("data: "):
            return msgspec.json.decode(line.removeprefix("data: "))
    raise AssertionError("the stream ended")


async def test_a_request_is_known_by_its_key_on_every_server(two: Pair) -> None:
    body = {"model": "m", "input": "hi"}
    headers = {"idempotency-key": "once"}
    replies = [await server.http.post("/responses", json=body, headers=headers) for server in (*two, *two)]
    assert len({reply.json()["id"] for reply in replies}) == 1
    assert sum(len(server.engine.prompts) for server in two) == 1


@pytest.mark.parametrize("streamed", [True, False])
async def test_requests_with_one_key_at_two_servers_at_once_begin_one_run(
    postgres: TestDatabase, streamed: bool
) -> None:
    gate = Gate()
    async with pair(postgres, gate.engine) as (here, there), asyncio.timeout(LIMIT):
        body = {"model": "m", "input": "hi", "stream": streamed}
        headers = {"idempotency-key": "once"}
        asked = [
            asyncio.create_task(server.http.post("/responses", json=body, headers=headers))
            for server in (here, there)
        ]
        while not await postgres.run("SELECT 1 FROM key_holds") or not gate.engine.prompts:
            pass
        gate.open.set()
        first, second = [await each for each in asked]
        if streamed:
            assert first.text == second.text
        else:
            assert first.json() == second.json()
        assert len(gate.engine.prompts) == 1


async def test_a_key_whose_request_was_refused_is_free_on_every_server(two: Pair) -> None:
    here, there = two
    headers = {"idempotency-key": "once"}
    refused = await here.http.post("/responses", json={"model": "m", "input": [{}]}, headers=headers)
    assert refused.status_code == 400
    body = {"model": "m", "input": "hi"}
    assert (await there.http.post("/responses", json=body, headers=headers)).status_code == 200
