"""Background responses: queued, polled, followed, cancelled, picked up after a crash (spec §5)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from openai import APIConnectionError, BadRequestError, NotFoundError, RateLimitError

from catena.chunks import Finish, TextDelta, UsageReport
from catena.config import BackgroundSection, Config, StreamSettings
from catena.upstream.scripted import ScriptedUpstream, echo_script
from tests.conformance.proves import proves
from tests.running import LIMIT, RunningServer, StartServer, until


async def ended(server: RunningServer, response_id: str) -> Any:
    async with asyncio.timeout(LIMIT):
        while True:
            response = await server.client.responses.retrieve(response_id)
            if response.status not in ("queued", "in_progress"):
                return response


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

    async def given_up(self) -> None:
        """Wait until an answer is given up midway."""
        await until(lambda: self.engine.closed_early)


@proves("5.1", "5.2", "5.3")
async def test_a_background_response_is_queued_and_then_there(server: RunningServer) -> None:
    queued = await server.client.responses.create(model="m", input="hi", background=True)
    assert (queued.status, queued.output, queued.usage) == ("queued", [], None)
    assert queued.background is True
    done = await ended(server, queued.id)
    assert (done.status, done.output_text) == ("completed", "1: hi")
    assert done.completed_at is not None
    follow_up = await server.client.responses.create(model="m", input="on", previous_response_id=queued.id)
    assert follow_up.output_text == "3: on"


@proves("5.8", "4.2.10.queued")
async def test_a_background_stream_tells_its_whole_life_and_survives_its_client(
    start_server: StartServer,
) -> None:
    gate = Gate()
    async with start_server(engine=gate.engine) as server:
        stream = await server.client.responses.create(model="m", input="hi", background=True, stream=True)
        told = []
        async for event in stream:
            told.append(event.type)
            if event.type == "response.created":
                response_id = event.response.id
                assert event.response.status == "queued"
            if event.type == "response.output_text.delta":
                break
        assert told[:3] == ["response.created", "response.queued", "response.in_progress"]
        await stream.close()
        gate.open.set()
        assert (await ended(server, response_id)).output_text == "half done"
        again = await server.client.responses.retrieve(response_id, stream=True, starting_after=len(told) - 1)
        rest = [event async for event in again]
        assert [event.sequence_number for event in rest] == list(range(len(told), len(told) + len(rest)))
        assert rest[-1].type == "response.completed"


@proves("3.2.queued")
async def test_a_queued_or_running_parent_is_not_ready(start_server: StartServer) -> None:
    gate = Gate()
    async with start_server(engine=gate.engine) as server:
        parent = await server.client.responses.create(model="m", input="hi", background=True)
        with pytest.raises(BadRequestError) as refusal:
            await server.client.responses.create(model="m", input="on", previous_response_id=parent.id)
        assert refusal.value.code == "previous_response_not_ready"
        assert refusal.value.param == "previous_response_id"
        gate.open.set()
        await ended(server, parent.id)


@proves("5.5", "1.1.cancel", "3.2.cancelled")
async def test_cancelling_stops_the_engine_and_keeps_what_came(start_server: StartServer) -> None:
    gate = Gate()
    async with start_server(engine=gate.engine) as server:
        running = await server.client.responses.create(model="m", input="hi", background=True)
        await until(lambda: gate.engine.prompts)
        async with asyncio.timeout(LIMIT):
            while (await server.client.responses.retrieve(running.id)).output_text != "half ":
                pass
        cancelled = await server.client.responses.cancel(running.id)
        assert (cancelled.status, cancelled.output_text) == ("cancelled", "half ")
        assert (cancelled.usage, cancelled.completed_at) == (None, None)
        assert gate.engine.closed_early == 1
        assert await server.client.responses.cancel(running.id) == cancelled
        assert await server.client.responses.retrieve(running.id) == cancelled
        gate.engine.script = echo_script
        await server.client.responses.create(model="m", input="on", previous_response_id=running.id)
        assert [message["content"] for message in server.seen()] == ["hi", "half ", "on"]


@proves("5.5")
async def test_what_waits_can_be_cancelled_at_once(start_server: StartServer) -> None:
    gate = Gate()
    config = Config(background=BackgroundSection(concurrency=1))
    async with start_server(engine=gate.engine, config=config) as server:
        first = await server.client.responses.create(model="m", input="one", background=True)
        second = await server.client.responses.create(model="m", input="two", background=True)
        await until(lambda: gate.engine.prompts)
        cancelled = await server.client.responses.cancel(second.id)
        assert (cancelled.status, cancelled.output) == ("cancelled", [])
        gate.open.set()
        assert (await ended(server, first.id)).status == "completed"
        assert (await ended(server, second.id)).status == "cancelled"
        assert len(gate.engine.prompts) == 1


@proves("5.6")
async def test_only_background_responses_can_be_cancelled(server: RunningServer) -> None:
    plain = await server.client.responses.create(model="m", input="hi")
    with pytest.raises(BadRequestError, match="Cannot cancel a synchronous response"):
        await server.client.responses.cancel(plain.id)
    with pytest.raises(NotFoundError):
        await server.client.responses.cancel("resp_" + "0" * 50)
    done = await server.client.responses.create(model="m", input="hi", background=True)
    final = await ended(server, done.id)
    assert await server.client.responses.cancel(done.id) == final


async def test_the_queue_is_bounded(start_server: StartServer) -> None:
    gate = Gate()
    config = Config(background=BackgroundSection(concurrency=1, queue=1))
    async with start_server(engine=gate.engine, config=config) as server:
        await server.client.responses.create(model="m", input="one", background=True)
        await until(lambda: gate.engine.prompts)
        await server.client.responses.create(model="m", input="two", background=True)
        with pytest.raises(RateLimitError) as refusal:
            await server.client.responses.create(model="m", input="three", background=True)
        assert refusal.value.response.headers["retry-after"] == "5"
        assert refusal.value.code == "background_queue_full"
        gate.open.set()


@proves("5.4")
async def test_what_is_not_stored_can_be_fetched_for_a_while_and_not_continued(
    start_server: StartServer,
) -> None:
    async with start_server() as server:
        queued = await server.client.responses.create(model="m", input="hi", background=True, store=False)
        done = await ended(server, queued.id)
        assert done.output_text == "1: hi"
        assert (await server.store.usage()).turns == 0
        with pytest.raises(BadRequestError) as refusal:
            await server.client.responses.create(model="m", input="on", previous_response_id=queued.id)
        assert refusal.value.code == "previous_response_not_found"
    config = Config(background=BackgroundSection(keep_unstored_seconds=0))
    async with start_server(config=config) as server:
        queued = await server.client.responses.create(model="m", input="hi", background=True, store=False)
        async with asyncio.timeout(LIMIT):
            while (await server.http.get(f"/responses/{queued.id}")).status_code != 404:
                pass


async def test_a_server_that_stops_hands_its_background_runs_back(start_server: StartServer) -> None:
    gate = Gate()
    async with start_server(engine=gate.engine) as server:
        queued = await server.client.responses.create(model="m", input="hi", background=True)
        await until(lambda: gate.engine.prompts)
    assert gate.engine.closed_early == 1
    async with start_server() as server:
        done = await ended(server, queued.id)
        assert (done.status, done.output_text) == ("completed", "1: hi")


async def test_who_follows_a_run_that_is_handed_back_sees_the_stream_break_off_and_goes_on_with_it(
    start_server: StartServer,
) -> None:
    """A reply that just ended would look like a stream without an end."""
    gate = Gate()
    heard: list[Any] = []
    config = Config(background=BackgroundSection(concurrency=1))
    async with start_server(engine=gate.engine, config=config) as server, asyncio.timeout(LIMIT):
        await server.client.responses.create(model="m", input="long", background=True)
        await until(lambda: gate.engine.prompts)
        waiting = await server.client.responses.create(model="m", input="hi", background=True, stream=True)
        heard.append(await anext(waiting))
        await server.app.close()
        with pytest.raises(APIConnectionError):
            heard += [event async for event in waiting]
    async with start_server() as server, asyncio.timeout(LIMIT):
        rest = await server.client.responses.retrieve(
            heard[0].response.id, stream=True, starting_after=heard[-1].sequence_number
        )
        heard += [event async for event in rest]
    assert [event.sequence_number for event in heard] == list(range(len(heard)))
    assert heard[-1].response.output_text == "1: hi"


@proves("P.dropped_stream", "P.dropped_engine")
async def test_a_stream_without_followers_goes_on_for_the_grace_time(
    start_server: StartServer,
) -> None:
    for grace, expected in ((-1.0, "completed"), (0.0, "cancelled")):
        gate = Gate()
        config = Config(streams=StreamSettings(grace_seconds=grace))
        async with start_server(f"grace{grace}", engine=gate.engine, config=config) as server:
            stream = await server.client.responses.create(model="m", input="hi", stream=True)
            async for event in stream:
                if event.type == "response.created":
                    response_id = event.response.id
                if event.type == "response.output_text.delta":
                    break
            await stream.close()
            if grace == 0:
                await gate.given_up()
            gate.open.set()
            done = await ended(server, response_id)
            assert done.status == expected
            assert done.output_text == ("half done" if grace else "half ")
