"""Streams over the wire: exact frames, the official SDK's raw stream and its helper (spec §4)."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from openai import APIError
from openai.types.responses import ResponseCompletedEvent
from pydantic import BaseModel

from catena.chunks import Finish, ReasoningDelta, TextDelta, ToolCallDelta
from catena.errors import UpstreamError
from catena.upstream.scripted import ScriptedUpstream, echo_script
from tests.conformance.proves import proves
from tests.running import LIMIT, RunningServer, StartServer, until


async def frames(server: RunningServer, body: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    async with server.http.stream("POST", "/responses", json={"stream": True, **body}) as reply:
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
        text = (await reply.aread()).decode()
    assert text.endswith("\n\n")
    told = []
    for frame in text.removesuffix("\n\n").split("\n\n"):
        event, data = frame.split("\n")
        assert event.startswith("event: ")
        assert data.startswith("data: ")
        told.append((event[7:], msgspec.json.decode(data[6:])))
    return told


@proves("4.2.10", "4.2.12", "4.1.5")
async def test_the_order_of_events_is_the_official_one(server: RunningServer) -> None:
    told = await frames(server, {"model": "m", "input": "hello there"})
    assert [name for name, _ in told] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [data["type"] for _, data in told] == [name for name, _ in told]
    assert [data["sequence_number"] for _, data in told] == list(range(len(told)))


@proves("4.1.3", "OR.done")
async def test_a_stream_ends_with_done_only_where_that_is_set(start_server: StartServer) -> None:
    from catena.config import Config, ServerSettings

    async with start_server(config=Config(server=ServerSettings(done_sentinel=True))) as server:
        reply = await server.post("/responses", {"model": "m", "input": "hi", "stream": True})
        assert reply.text.endswith("data: [DONE]\n\n")
        stream = await server.client.responses.create(model="m", input="hi", stream=True)
        assert [event.type async for event in stream][-1] == "response.completed"


@proves("P.same")
async def test_the_stream_the_reply_and_the_stored_response_are_the_same(server: RunningServer) -> None:
    told = await frames(server, {"model": "m", "input": "hi", "metadata": {"a": "b"}, "temperature": 0.5})
    final = told[-1][1]["response"]
    stored = (await server.http.get(f"/responses/{final['id']}")).json()
    assert stored == final
    plain = (await server.post("/responses", {"model": "m", "input": "hi"})).json()
    assert plain.keys() == final.keys()
    assert plain == (await server.http.get(f"/responses/{plain['id']}")).json()


@proves("4.4.output")
async def test_the_sdks_raw_stream_and_helper_both_work(server: RunningServer) -> None:
    stream = await server.client.responses.create(model="m", input="one two", stream=True)
    text = ""
    async for event in stream:
        if event.type == "response.output_text.delta":
            text += event.delta
    assert text == "1: one two"
    assert isinstance(event, ResponseCompletedEvent)
    async with server.client.responses.stream(model="m", input="one two") as helped:
        async for _ in helped:
            pass
        final = await helped.get_final_response()
    assert final.output_text == "1: one two"
    assert final.usage is not None


async def test_the_sdks_helper_parses_structured_output(start_server: StartServer) -> None:
    class City(BaseModel):
        name: str

    engine = ScriptedUpstream(lambda _: [TextDelta('{"name":'), TextDelta(' "Oslo"}'), Finish("stop")])
    async with start_server(engine=engine) as server:
        parsed = await server.client.responses.parse(model="m", input="?", text_format=City)
        assert parsed.output_parsed == City(name="Oslo")
        response_format = engine.prompts[0].options["response_format"]
        assert response_format["json_schema"]["strict"] is True


@proves("4.2.15", "4.2.16", "OR.reasoning_names")
async def test_reasoning_and_tool_calls_come_in_order(start_server: StartServer) -> None:
    engine = ScriptedUpstream(
        lambda _: [
            ReasoningDelta("hm"),
            TextDelta("let me see"),
            ToolCallDelta(0, "call_1", "f", '{"a"'),
            ToolCallDelta(0, arguments=":1}"),
            Finish("tool_calls"),
        ]
    )
    async with start_server(engine=engine) as server:
        async with server.client.responses.stream(model="m", input="?") as helped:
            events = [event.type async for event in helped]
            final = await helped.get_final_response()
    assert [item.type for item in final.output] == ["reasoning", "message", "function_call"]
    assert events.index("response.reasoning_text.done") < events.index("response.output_text.delta")
    assert final.output[2].arguments == '{"a":1}'  # type: ignore[union-attr]


@proves("3.2.incomplete", "2.1.22")
async def test_the_limit_of_tokens_makes_a_response_incomplete(start_server: StartServer) -> None:
    engine = ScriptedUpstream(lambda _: [TextDelta("and so"), Finish("length")])
    async with start_server(engine=engine) as server:
        told = await frames(server, {"model": "m", "input": "?"})
        assert told[-1][0] == "response.incomplete"
        response = told[-1][1]["response"]
        assert response["status"] == "incomplete"
        assert response["incomplete_details"] == {"reason": "max_output_tokens"}
        assert response["completed_at"] is None
        assert response["output"][0]["status"] == "incomplete"
        engine.script = echo_script
        await server.client.responses.create(model="m", input="go on", previous_response_id=response["id"])
        assert server.seen()[1] == {"role": "assistant", "content": "and so"}


@proves("4.2.24", "4.3.28", "3.2.failed")
async def test_an_engine_that_fails_midway_fails_the_response_and_keeps_what_came(
    start_server: StartServer,
) -> None:
    trouble = UpstreamError("The upstream 'scripted' went away.", code="upstream_disconnected")
    engine = ScriptedUpstream(lambda _: [TextDelta("half"), trouble])
    async with start_server(engine=engine) as server:
        told = await frames(server, {"model": "m", "input": "?"})
        assert [name for name, _ in told][-2:] == ["error", "response.failed"]
        error, failed = told[-2][1], told[-1][1]["response"]
        assert error["message"] == error["error"]["message"] == "The upstream 'scripted' went away."
        assert error["code"] == "upstream_disconnected"
        assert failed["status"] == "failed"
        assert failed["error"] == {"code": "server_error", "message": "The upstream 'scripted' went away."}
        assert failed["output"][0]["content"][0]["text"] == "half"
        assert (await server.http.get(f"/responses/{failed['id']}")).json() == failed
        stream = await server.client.responses.create(model="m", input="?", stream=True)
        with pytest.raises(APIError, match="went away"):
            [event async for event in stream]
        engine.script = echo_script
        await server.client.responses.create(model="m", input="go on", previous_response_id=failed["id"])
        assert [message["content"] for message in server.seen()] == ["?", "half", "go on"]


@proves("P.dropped_engine")
async def test_a_client_that_drops_a_plain_request_stops_the_engine(start_server: StartServer) -> None:
    asked = asyncio.Event()

    def script(_: Any) -> Any:
        asked.set()
        yield TextDelta("a")
        yield asyncio.Event()

    engine = ScriptedUpstream(script)
    async with start_server(engine=engine) as server:
        request = asyncio.create_task(server.post("/responses", {"model": "m", "input": "?"}))
        async with asyncio.timeout(LIMIT):
            await asked.wait()
            request.cancel()
            await asyncio.wait([request])
            while not engine.closed_early:
                await asyncio.sleep(0)


@proves("P.dropped_engine")
async def test_a_stream_that_is_not_stored_stops_with_its_client(start_server: StartServer) -> None:
    def script(_: Any) -> Any:
        yield TextDelta("a")
        yield asyncio.Event()

    engine = ScriptedUpstream(script)
    async with start_server(engine=engine) as server:
        stream = await server.client.responses.create(model="m", input="?", stream=True, store=False)
        async for event in stream:
            if event.type == "response.output_text.delta":
                break
        await stream.close()
        await until(lambda: engine.closed_early)


@proves("4.5.29", "4.5.30")
async def test_any_stored_stream_can_be_told_again_from_any_place(server: RunningServer) -> None:
    told = await frames(server, {"model": "m", "input": "a b c"})
    response_id = told[0][1]["response"]["id"]
    for after in range(-1, len(told) + 1):
        query = "stream=true" + (f"&starting_after={after}" if after >= 0 else "")
        reply = await server.http.get(f"/responses/{response_id}?{query}")
        again = [
            msgspec.json.decode(line[6:]) for line in reply.text.split("\n") if line.startswith("data: ")
        ]
        assert again == [data for _, data in told[after + 1 :]]
    stream = await server.client.responses.retrieve(response_id, stream=True, starting_after=2)
    assert [event.sequence_number async for event in stream] == list(range(3, len(told)))


@proves("4.5.30.plain")
async def test_a_response_that_was_not_streamed_has_no_events_to_tell(server: RunningServer) -> None:
    response = await server.client.responses.create(model="m", input="hi")
    reply = await server.http.get(f"/responses/{response.id}?stream=true")
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "stream"


@proves("4.5.29", "P.announced")
async def test_a_live_stream_has_any_number_of_followers(start_server: StartServer) -> None:
    release = asyncio.Event()

    def script(_: Any) -> Any:
        yield TextDelta("first ")
        yield release
        yield TextDelta("second")
        yield Finish("stop")

    async with start_server(engine=ScriptedUpstream(script)) as server:
        stream = await server.client.responses.create(model="m", input="?", stream=True)
        seen = []
        async for event in stream:
            seen.append(event.sequence_number)
            if event.type == "response.created":
                response_id = event.response.id
            if event.type == "response.output_text.delta":
                break
        half = await server.client.responses.retrieve(response_id)
        assert (half.status, half.output_text) == ("in_progress", "first ")

        async def follow(after: int) -> list[int]:
            again = await server.client.responses.retrieve(response_id, stream=True, starting_after=after)
            return [each.sequence_number async for each in again]

        followers = [asyncio.create_task(follow(after)) for after in range(5)]
        await asyncio.sleep(0)
        release.set()
        async with asyncio.timeout(LIMIT):
            numbers = await asyncio.gather(*followers)
        assert numbers == [list(range(after + 1, 10)) for after in range(5)]
        seen += [event.sequence_number async for event in stream]
        assert seen == list(range(10))
