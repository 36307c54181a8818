"""WebSocket mode: many responses over one connection (spec §7)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any

import pytest
from openai import OpenAI
from openai.lib.responses_websocket import (
    AsyncResponsesWebSocketSession,
    ResponsesWebSocketAccumulator,
    ResponsesWebSocketError,
    ResponsesWebSocketLimits,
)
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.extensions.permessage_deflate import PerMessageDeflate

from catena.chunks import Finish, TextDelta, UsageReport
from catena.config import Config, ServerSettings, StreamSettings, WebSocketSettings
from catena.errors import StoreUnavailable, UpstreamError
from catena.upstream import Prompt
from catena.upstream.scripted import ScriptedUpstream, echo_script, prompt_items
from tests.api.sockets import Socket, socket, text_of
from tests.conformance.proves import proves
from tests.running import LIMIT, RunningServer, StartServer, until

TOOL = {"type": "function", "name": "look"}


class Gates:
    """An engine that says a word, waits until the prompt that it was asked is let on, and says another."""

    def __init__(self) -> None:
        self.engine = ScriptedUpstream(self.script)
        self.opened: dict[str, asyncio.Event] = {}

    def gate(self, said: str) -> asyncio.Event:
        return self.opened.setdefault(said, asyncio.Event())

    def open(self, *said: str) -> None:
        for each in said:
            self.gate(each).set()

    @property
    def asked(self) -> list[str]:
        return [last_of(prompt) for prompt in self.engine.prompts]

    def script(self, prompt: Prompt) -> Iterable[Any]:
        said = last_of(prompt)
        yield TextDelta(f"{said}: ")
        yield self.gate(said)
        yield TextDelta("done")
        yield UsageReport(1, 2)
        yield Finish("stop")


def last_of(prompt: Prompt) -> str:
    return str(prompt_items(prompt)[-1]["content"])


def port_of(server: RunningServer) -> int:
    return int(server.url.rpartition(":")[2])


async def unreachable(server: RunningServer) -> None:
    """Wait until nobody can connect to a server any more."""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(LIMIT):
            while True:
                _, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
                writer.close()
                await writer.wait_closed()


def said_to(server: RunningServer, number: int = -1) -> list[Any]:
    return [message["content"] for message in server.seen(number)]


# One response after another


@proves("7.websocket", "1.1.websocket", "7.3.12")
async def test_a_response_over_a_socket_has_the_events_of_a_stream(server: RunningServer) -> None:
    stream = await server.client.responses.create(model="m", input="hi there", stream=True)
    streamed = [event.to_dict() async for event in stream]
    async with socket(server) as ws:
        await ws.ask("hi there")
        told = await ws.until("response.completed")
    assert [event["type"] for event in told] == [event["type"] for event in streamed]
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    assert [event.keys() for event in told] == [event.keys() for event in streamed]
    assert not any("stream_id" in event for event in told)
    response_id = told[-1]["response"]["id"]
    assert (await server.client.responses.retrieve(response_id)).output_text == "1: hi there"


@proves("7.1.sdk")
async def test_the_sdk_connects_and_continues_a_chain(server: RunningServer) -> None:
    async with server.client.responses.connect() as connection:
        await connection.response.create(model="m", input="one")
        async for event in connection:
            if event.type == "response.completed":
                first = event.response
                break
        assert first.output_text == "1: one"
        await connection.response.create(model="m", input="two", previous_response_id=first.id)
        async for event in connection:
            if event.type == "response.completed":
                assert event.response.output_text == "3: two"
                assert event.response.previous_response_id == first.id
                break


# The SDK opens its socket in a way that the library which it uses calls old.
@pytest.mark.filterwarnings("ignore:connect.. must be used as a context manager:DeprecationWarning")
async def test_the_synchronous_sdk_connects_as_well(server: RunningServer) -> None:
    answers = []

    def talk() -> None:
        with (
            OpenAI(base_url=f"{server.url}/v1", api_key="unused") as client,
            client.responses.connect() as connection,
        ):
            connection.response.create(model="m", input="hello")
            for event in connection:
                if event.type == "response.completed":
                    answers.append(event.response.output_text)
                    break

    async with asyncio.timeout(LIMIT):
        await asyncio.to_thread(talk)
    assert answers == ["1: hello"]


@proves("7.3.13", "OR.websocket")
async def test_without_a_name_requests_run_strictly_one_after_another(start_server: StartServer) -> None:
    gates = Gates()
    async with start_server(engine=gates.engine) as server, socket(server) as ws:
        for said in ("one", "two", "three"):
            await ws.ask(said)
        await ws.until("response.output_text.delta")
        await server.client.models.list()
        assert gates.asked == ["one"]
        gates.open("three", "two", "one")
        order = [text_of((await ws.end())["response"]) for _ in range(3)]
        assert order == ["one: done", "two: done", "three: done"]


async def test_an_error_waits_for_its_turn_too(start_server: StartServer) -> None:
    gates = Gates()
    async with start_server(engine=gates.engine) as server, socket(server) as ws:
        await ws.ask("one")
        await ws.ask("two", temperature=9)
        await ws.until("response.output_text.delta")
        gates.open("one")
        assert (await ws.end())["type"] == "response.completed"
        assert (await ws.frame())["error"]["param"] == "temperature"


@proves("7.2.7")
async def test_stream_is_ignored_and_background_is_refused(server: RunningServer) -> None:
    async with socket(server) as ws:
        answer = await ws.answer("hi", stream=False, stream_options={"include_obfuscation": False})
        assert text_of(answer) == "1: hi"
        error = await ws.error({"type": "response.create", "model": "m", "input": "hi", "background": True})
        assert (error["status"], error["error"]["param"]) == (400, "background")
        assert error["error"]["code"] == "unsupported_parameter"
        assert text_of(await ws.answer("still here", background=False)) == "1: still here"


async def test_every_parameter_reaches_the_engine_as_over_http(server: RunningServer) -> None:
    async with socket(server) as ws:
        answer = await ws.answer("hi", temperature=0.5, instructions="Be brief.", tools=[TOOL])
    assert answer["temperature"] == 0.5
    assert said_to(server) == ["Be brief.", "hi"]
    assert server.engine.prompts[-1].options["temperature"] == 0.5
    assert server.engine.prompts[-1].options["tools"][0]["function"]["name"] == "look"


async def test_tools_that_are_left_out_are_named(server: RunningServer) -> None:
    async with socket(server) as ws:
        await ws.ask("hi", tools=[{"type": "web_search"}], stream_id="a")
        created, *others = await ws.until("response.completed")
        assert created["catena_omitted_tools"] == ["web_search"]
        assert created["stream_id"] == "a"
        assert not any("catena_omitted_tools" in event for event in others)


# The connection


@proves("7.1.4")
async def test_a_wrong_key_is_refused_before_the_upgrade(start_server: StartServer) -> None:
    config = Config(server=ServerSettings(api_key="right", read_only_api_key="reader"))
    async with start_server(config=config) as server:
        for key, status in (("wrong", 401), (None, 401), ("reader", 403)):
            headers = {"authorization": f"Bearer {key}"} if key else {}
            with pytest.raises(InvalidStatus) as refusal:
                await connect(server.url.replace("http", "ws") + "/v1/responses", additional_headers=headers)
            assert refusal.value.response.status_code == status
            assert b'"error"' in (refusal.value.response.body or b"")
            assert refusal.value.response.headers["x-request-id"].startswith("req_")
        async with socket(server, additional_headers={"authorization": "Bearer right"}) as ws:
            assert text_of(await ws.answer("hi")) == "1: hi"


async def test_there_are_no_sockets_elsewhere_and_a_plain_get_here_is_a_list(server: RunningServer) -> None:
    for path in ("/v1/nothing", "/v1/chat/completions", "/v1/responses/resp_1"):
        with pytest.raises(InvalidStatus) as refusal:
            await connect(server.url.replace("http", "ws") + path)
        assert refusal.value.response.status_code == 404
    reply = await server.http.get("/responses")
    assert (reply.status_code, reply.json()["object"]) == (200, "list")


async def test_a_page_of_another_origin_cannot_use_a_server_without_keys(server: RunningServer) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        await connect(server.url.replace("http", "ws") + "/v1/responses", origin="http://evil.example")  # type: ignore[arg-type]  # a NewType of str
    assert refusal.value.response.status_code == 403
    async with socket(server, origin=server.url) as ws:
        assert text_of(await ws.answer("hi")) == "1: hi"


@proves("7.1.3", "7.1.2")
async def test_frames_are_compressed_for_those_who_offer_it_only(server: RunningServer) -> None:
    beta = {"OpenAI-Beta": "responses_websockets=2026-02-06"}
    async with socket(server, additional_headers=beta) as ws:
        assert [type(each) for each in ws.connection.protocol.extensions] == [PerMessageDeflate]
        assert text_of(await ws.answer("x" * 100_000)) == f"1: {'x' * 100_000}"
    async with socket(server, compression=None) as ws:
        assert ws.connection.protocol.extensions == []
        assert text_of(await ws.answer("hi")) == "1: hi"


async def test_a_message_over_the_limit_closes_the_connection(start_server: StartServer) -> None:
    async with start_server(config=Config(server=ServerSettings(max_body_bytes=1000))) as server:
        async with socket(server) as ws:
            await ws.ask("x" * 1000)
            assert await ws.closed() == 1009


@proves("7.1.6")
async def test_a_connection_lasts_for_so_long(start_server: StartServer) -> None:
    config = Config(websocket=WebSocketSettings(lifetime_seconds=0.3))
    async with start_server(config=config) as server, socket(server) as ws:
        last = await ws.frame()
        assert (last["type"], last["status"]) == ("error", 400)
        assert last["error"]["code"] == "websocket_connection_limit_reached"
        assert last["error"]["message"] == (
            "Responses websocket connection limit reached (0.005 minutes). Create a new websocket connection to "
            "continue."
        )
        assert await ws.closed() == 1001


@proves("7.1.stop")
async def test_a_server_that_stops_lets_the_response_end_and_says_come_back(
    start_server: StartServer,
) -> None:
    gates = Gates()
    starting = start_server(engine=gates.engine)
    server = await starting.__aenter__()
    async with socket(server) as ws:
        await ws.ask("one")
        await ws.ask("two")
        await ws.until("response.output_text.delta")
        stopping = asyncio.create_task(starting.__aexit__(None, None, None))
        await unreachable(server)
        assert not stopping.done()
        gates.open("one", "two")
        assert text_of((await ws.end())["response"]) == "one: done"
        assert await ws.closed() == 1012
    await stopping
    assert gates.asked == ["one"]


@proves("7.1.gone")
async def test_a_stored_response_outlives_its_socket_and_is_resumed_over_http(
    start_server: StartServer,
) -> None:
    gates = Gates()
    async with start_server(engine=gates.engine) as server:
        async with socket(server) as ws:
            await ws.ask("one")
            told = await ws.until("response.output_text.delta")
            response_id = told[0]["response"]["id"]
        again = await server.client.responses.retrieve(
            response_id, stream=True, starting_after=told[-1]["sequence_number"]
        )
        gates.open("one")
        rest = [event async for event in again]
        assert rest[0].sequence_number == told[-1]["sequence_number"] + 1
        assert rest[-1].type == "response.completed"
        assert rest[-1].response.output_text == "one: done"


async def test_a_socket_that_goes_ends_what_is_not_stored_and_drops_what_waits(
    start_server: StartServer,
) -> None:
    gates = Gates()
    config = Config(streams=StreamSettings(grace_seconds=-1))
    async with start_server(engine=gates.engine, config=config) as server:
        async with socket(server) as ws:
            await ws.ask("one", store=False)
            await ws.ask("two")
            await ws.until("response.output_text.delta")
        await until(lambda: gates.engine.closed_early)
        assert gates.asked == ["one"]


# What is wrong


@proves("7.5.19")
async def test_what_is_wrong_is_an_error_object_and_the_connection_stays(server: RunningServer) -> None:
    async with socket(server) as ws:
        wrong: list[tuple[Any, str, str | None]] = [
            ("{nonsense", "invalid_json", None),
            ("[" * 100_000, "invalid_json", None),
            ("[]", "invalid_type", None),
            ({"model": "m", "input": "hi"}, "missing_required_parameter", "type"),
            ({"type": "response.cancel"}, "invalid_value", "type"),
            ({"type": 3}, "invalid_value", "type"),
            ({"type": "response.create", "input": "hi"}, "missing_required_parameter", "model"),
            ({"type": "response.create", "model": "m", "input": "", "nope": 1}, "unknown_parameter", "nope"),
            (
                {"type": "response.create", "model": "m", "input": "", "generate": 1},
                "invalid_type",
                "generate",
            ),
        ]
        for message, code, param in wrong:
            error = await ws.error(message)
            assert error.keys() == {"type", "status", "error"}
            assert error["status"] == 400
            assert error["error"]["type"] == "invalid_request_error"
            assert (error["error"]["code"], error["error"]["param"]) == (code, param), message
        await ws.connection.send(b'{"type":"response.create","model":"m","input":"as bytes"}')
        assert text_of((await ws.end())["response"]) == "1: as bytes"


@proves("7.5.failed")
async def test_an_engine_that_fails_is_told_once_by_the_end_of_its_response(
    start_server: StartServer,
) -> None:
    def broken(prompt: Prompt) -> Iterable[Any]:
        yield TextDelta("half")
        yield UpstreamError("The engine broke off.", code="upstream_disconnected")

    async with start_server(engine=ScriptedUpstream(broken)) as server, socket(server) as ws:
        await ws.ask("hi")
        told = await ws.until("response.failed", "error")
        assert told[-1]["type"] == "response.failed"
        assert told[-1]["response"]["error"]["message"] == "The engine broke off."
        server.engine.script = echo_script
        assert text_of(await ws.answer("again")) == "1: again"


async def test_a_fault_of_the_store_is_an_error_with_its_status(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("The disk is full.")

    async with socket(server) as ws:
        with monkeypatch.context() as patch:
            patch.setattr(server.store, "begin", full)
            error = await ws.error({"type": "response.create", "model": "m", "input": "hi"})
        assert (error["status"], error["error"]["code"]) == (503, "store_unavailable")
        assert error["error"]["headers"] == {"retry-after": "1"}
        assert text_of(await ws.answer("again")) == "1: again"


async def test_a_fault_of_ours_reveals_nothing(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def bug(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("secret")

    async with socket(server) as ws:
        with monkeypatch.context() as patch:
            patch.setattr(server.store, "load_chain", bug)
            message = {"type": "response.create", "model": "m", "input": "hi"}
            error = await ws.error({**message, "previous_response_id": f"resp_{'0' * 50}"})
        assert error["status"] == 500
        assert "secret" not in str(error)
        assert text_of(await ws.answer("again")) == "1: again"


# What the connection remembers


@proves("7.4.16", "OR.websocket")
async def test_a_chain_that_is_not_stored_goes_on_over_its_connection(server: RunningServer) -> None:
    async with socket(server) as ws:
        first = await ws.answer("one", store=False)
        second = await ws.answer("two", store=False, previous_response_id=first["id"])
        third = await ws.answer("three", store=False, previous_response_id=second["id"])
        assert said_to(server) == ["one", "1: one", "two", "3: two", "three"]
        assert third["previous_response_id"] == second["id"]
        assert (await server.store.usage()).turns == 0
        # Only the latest can be continued.
        error = await refused(ws, first["id"])
        assert (error["code"], error["param"]) == ("previous_response_not_found", "previous_response_id")
        assert text_of(await ws.answer("four", store=False, previous_response_id=third["id"])) == "7: four"


async def refused(ws: Socket, parent: str, **fields: Any) -> dict[str, Any]:
    """The error with which a continuation of `parent` is refused."""
    await ws.ask("on", **{"store": False, "previous_response_id": parent, **fields})
    last = await ws.frame()
    assert (last["type"], last["status"]) == ("error", 400), last
    error: dict[str, Any] = last["error"]
    return error


@proves("7.4.18")
async def test_another_connection_knows_nothing_of_it(server: RunningServer) -> None:
    async with socket(server) as ws, socket(server) as other:
        first = await ws.answer("one", store=False)
        assert (await refused(other, first["id"]))["code"] == "previous_response_not_found"
        reply = await server.post(
            "/responses", {"model": "m", "input": "on", "previous_response_id": first["id"]}
        )
        assert reply.json()["error"]["code"] == "previous_response_not_found"
    async with socket(server) as again:
        assert (await refused(again, first["id"]))["code"] == "previous_response_not_found"
        whole = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "1: one"}]
        answer = await again.answer([*whole, {"role": "user", "content": "two"}], store=False)
        assert text_of(answer) == "3: two"


@proves("7.4.16")
async def test_what_is_stored_can_be_continued_over_any_connection(server: RunningServer) -> None:
    async with socket(server) as ws:
        first = await ws.answer("one")
        await ws.answer("elsewhere")
    async with socket(server) as ws:
        assert text_of(await ws.answer("two", previous_response_id=first["id"])) == "3: two"
        # What is not stored may begin below what is.
        third = await ws.answer("three", store=False, previous_response_id=first["id"])
        assert text_of(await ws.answer("4", store=False, previous_response_id=third["id"])) == "5: 4"


async def test_what_is_deleted_is_not_seen_from_memory_either(server: RunningServer) -> None:
    async with socket(server) as ws:
        first = await ws.answer("one")
        second = await ws.answer("two", previous_response_id=first["id"])
        third = await ws.answer("three", store=False, previous_response_id=second["id"])
        await server.client.responses.delete(first["id"])
        await ws.answer("four", store=False, previous_response_id=third["id"])
        assert said_to(server) == ["two", "3: two", "three", "5: three", "four"]


async def test_memory_may_begin_below_a_conversation(server: RunningServer) -> None:
    conversation = await server.client.conversations.create(items=[{"role": "user", "content": "zero"}])
    async with socket(server) as ws:
        first = await ws.answer("one", store=False, conversation=conversation.id)
        await ws.answer("two", store=False, previous_response_id=first["id"])
        assert said_to(server) == ["zero", "one", "2: one", "two"]
    items = await server.client.conversations.items.list(conversation.id)
    assert len(items.data) == 1


async def test_what_is_not_stored_has_no_stored_descendants(server: RunningServer) -> None:
    async with socket(server) as ws:
        first = await ws.answer("one", store=False)
        error = await refused(ws, first["id"], store=None)
        assert (error["code"], error["param"]) == ("previous_response_not_stored", "store")
        assert (await server.store.usage()).turns == 0


async def test_memory_moves_between_the_dialects(start_server: StartServer) -> None:
    native = ScriptedUpstream(dialect="responses")
    async with start_server(routes={"native": native}) as server, socket(server) as ws:
        first = await ws.answer("one", store=False)
        second = await ws.answer("two", model="native", store=False, previous_response_id=first["id"])
        await ws.answer("three", store=False, previous_response_id=second["id"])
        assert [item["role"] for item in prompt_items(native.prompts[0])] == ["user", "assistant", "user"]
        assert said_to(server)[::2] == ["one", "two", "three"]


@proves("7.4.17", "OR.websocket")
async def test_a_continuation_that_fails_forgets_what_it_continued(server: RunningServer) -> None:
    async with socket(server) as ws:
        first = await ws.answer("one", store=False)
        orphan = [{"type": "function_call_output", "call_id": "call_x", "output": "?"}]
        await ws.ask(orphan, store=False, previous_response_id=first["id"])
        assert (await ws.frame())["error"]["code"] != "previous_response_not_found"
        assert (await refused(ws, first["id"]))["code"] == "previous_response_not_found"


async def test_so_does_one_whose_engine_fails_and_the_failed_response_is_not_kept(
    server: RunningServer,
) -> None:
    def broken(prompt: Prompt) -> Iterable[Any]:
        yield UpstreamError("The engine broke off.")

    async with socket(server) as ws:
        first = await ws.answer("one", store=False)
        server.engine.script = broken
        await ws.ask("two", store=False, previous_response_id=first["id"])
        failed = await ws.end()
        assert failed["type"] == "response.failed"
        server.engine.script = echo_script
        for parent in (first["id"], failed["response"]["id"]):
            assert (await refused(ws, parent))["code"] == "previous_response_not_found"


async def test_a_request_that_fails_without_continuing_forgets_nothing(server: RunningServer) -> None:
    async with socket(server) as ws:
        first = await ws.answer("one", store=False)
        await ws.error({"type": "response.create", "model": "m", "input": "x", "temperature": 9})
        await ws.error({"type": "response.create", "stream_id": "!"})
        assert text_of(await ws.answer("two", store=False, previous_response_id=first["id"])) == "3: two"


# Lanes


@proves("7.3.14")
async def test_lanes_are_told_apart_and_run_side_by_side(start_server: StartServer) -> None:
    gates = Gates()
    async with start_server(engine=gates.engine) as server, socket(server) as ws:
        await ws.ask("a1", stream_id="a")
        await ws.until("response.output_text.delta")
        await ws.ask("a2", stream_id="a")
        await ws.ask("b1", stream_id="b")
        await ws.ask("c1")
        told: list[dict[str, Any]] = []
        while {each.get("stream_id") for each in told if "delta" in each} != {"b", None}:
            told.append(await ws.frame())
        assert sorted(gates.asked) == ["a1", "b1", "c1"]
        gates.open("b1")
        last = await ws.end()
        assert (last["stream_id"], text_of(last["response"])) == ("b", "b1: done")
        gates.open("a1")
        rest = await ws.until("response.completed")
        assert {event["stream_id"] for event in rest} == {"a"}
        assert text_of(rest[-1]["response"]) == "a1: done"
        gates.open("a2", "c1")
        last_two = [await ws.end(), await ws.end()]
        assert {(each.get("stream_id"), text_of(each["response"])) for each in last_two} == {
            ("a", "a2: done"),
            (None, "c1: done"),
        }


@proves("7.3.14.in_flight")
async def test_so_many_responses_are_in_flight_and_more_wait(start_server: StartServer) -> None:
    gates = Gates()
    async with start_server(engine=gates.engine) as server, socket(server) as ws:
        for number in range(18):
            await ws.ask(f"q{number}", stream_id=f"lane-{number}")
        deltas = 0
        while deltas < 16:
            deltas += (await ws.frame())["type"] == "response.output_text.delta"
        assert len(gates.asked) == 16
        gates.open("q3")
        await ws.end()
        await ws.until("response.output_text.delta")
        assert len(gates.asked) == 17
        gates.open(*(f"q{number}" for number in range(18)))
        ends = {(await ws.end())["stream_id"] for _ in range(17)}
        assert ends == {f"lane-{number}" for number in range(18)} - {"lane-3"}


@proves("7.5.20", "7.3.14.names")
async def test_there_are_so_many_names_and_of_such_letters(server: RunningServer) -> None:
    async with socket(server) as ws:
        create = {"type": "response.create", "model": "m", "input": "hi"}
        for name in ("", "a b", "é", "x" * 257, 3, "a\n"):
            error = await ws.error({**create, "stream_id": name})
            assert "stream_id" not in error
            assert (error["error"]["code"], error["error"]["param"]) == ("invalid_stream_id", "stream_id")
            assert error["error"]["message"] == (
                "The 'stream_id' field must be a non-empty string with at most 256 characters and may only contain "
                "letters, numbers, underscores, hyphens, and periods."
            )
        names = ["x" * 256, "A-b_c.9", *(f"lane{number}" for number in range(30))]
        for name in names:
            assert (await ws.answer("hi", stream_id=name))["status"] == "completed"
        error = await ws.error({**create, "stream_id": "one-too-many"})
        assert (error["status"], error["stream_id"]) == (400, "one-too-many")
        assert error["error"]["code"] == "websocket_stream_limit_reached"
        assert error["error"]["message"] == (
            "This WebSocket connection has reached its maximum number of distinct stream IDs (32). Reuse an existing "
            "stream_id or open a new WebSocket connection."
        )
        for lane in ({"stream_id": "lane7"}, {}):
            assert (await ws.answer("hi", **lane))["status"] == "completed"


async def test_what_may_wait_is_bounded(start_server: StartServer) -> None:
    gates = Gates()
    config = Config(websocket=WebSocketSettings(waiting=2))
    async with start_server(engine=gates.engine, config=config) as server, socket(server) as ws:
        await ws.ask("one")
        await ws.until("response.output_text.delta")
        for said in ("two", "three", "four"):
            await ws.ask(said)
        error = await ws.frame()
        assert (error["status"], error["error"]["code"]) == (429, "websocket_queue_full")
        gates.open("one", "two", "three")
        assert [text_of((await ws.end())["response"])[:3] for _ in range(3)] == ["one", "two", "thr"]


async def test_so_are_its_bytes(start_server: StartServer) -> None:
    gates = Gates()
    config = Config(server=ServerSettings(max_body_bytes=1000))
    async with start_server(engine=gates.engine, config=config) as server, socket(server) as ws:
        await ws.ask("one")
        await ws.until("response.output_text.delta")
        for said in ("two", "x" * 600, "y" * 600):
            await ws.ask(said)
        assert (await ws.frame())["error"]["code"] == "websocket_queue_full"
        gates.open("one", "two", "x" * 600)
        assert [text_of((await ws.end())["response"])[:1] for _ in range(3)] == ["o", "t", "x"]


@proves("7.3.15", "7.4.17")
async def test_a_lane_forks_from_another_and_its_failure_costs_the_other_nothing(
    server: RunningServer,
) -> None:
    async with socket(server) as ws:
        root = await ws.answer("root", store=False, stream_id="a")
        fork = await ws.answer("fork", store=False, stream_id="b", previous_response_id=root["id"])
        assert text_of(fork) == "3: fork"
        orphan = [{"type": "function_call_output", "call_id": "call_x", "output": "?"}]
        await ws.ask(orphan, store=False, stream_id="c", previous_response_id=root["id"])
        assert (await ws.frame())["stream_id"] == "c"
        on = await ws.answer("on", store=False, stream_id="a", previous_response_id=root["id"])
        assert text_of(on) == "3: on"
        assert (await refused(ws, root["id"], stream_id="a"))["code"] == "previous_response_not_found"
        further = await ws.answer("further", store=False, stream_id="b", previous_response_id=fork["id"])
        assert text_of(further) == "5: further"


async def test_what_ends_can_be_continued_on_any_lane_in_that_moment(server: RunningServer) -> None:
    async with socket(server) as ws:
        parent = await ws.answer("0", store=False, stream_id="lane0")
        for number in range(1, 12):
            lane = f"lane{number}"
            parent = await ws.answer(
                str(number), store=False, stream_id=lane, previous_response_id=parent["id"]
            )
            assert text_of(parent) == f"{2 * number + 1}: {number}"


LIMITS = ResponsesWebSocketLimits(
    max_lanes=8,
    max_events_per_lane=128,
    max_events=512,
    max_bytes_per_lane=1024 * 1024,
    max_bytes=1024 * 1024,
)


@proves("7.3.12")
async def test_the_session_of_the_sdk_works_with_lanes(server: RunningServer) -> None:
    def at_times(prompt: Prompt) -> Iterable[Any]:
        return (
            [TextDelta("half"), UpstreamError("Broken.")]
            if "fail" in last_of(prompt)
            else echo_script(prompt)
        )

    server.engine.script = at_times
    async with (
        server.client.responses.connect() as connection,
        AsyncResponsesWebSocketSession(connection, limits=LIMITS) as session,
    ):
        lanes = [session.lane("a"), session.lane("b"), session.default]
        for number, lane in enumerate(lanes):
            await lane.send({"type": "response.create", "model": "m", "input": f"hi {number}"})
        said = [await lane.get_final_response() for lane in lanes]
        assert [each.output_text for each in said] == ["1: hi 0", "1: hi 1", "1: hi 2"]
        # After a failure of either kind the lane goes on with the next.
        accumulator = ResponsesWebSocketAccumulator()
        await lanes[0].send({"type": "response.create", "model": "m", "input": "fail"})
        while accumulator.snapshot().terminal_type is None:
            accumulator.add_event(await lanes[0].recv())
        assert accumulator.get_final_response().status == "failed"
        await lanes[0].send({"type": "response.create", "model": "m", "input": "x", "temperature": 9})
        with pytest.raises(ResponsesWebSocketError):
            await lanes[0].get_final_response()
        await lanes[0].send(
            {"type": "response.create", "model": "m", "input": "on", "previous_response_id": said[1].id}
        )
        assert (await lanes[0].get_final_response()).output_text == "3: on"


# Preparing


@proves("7.2.8")
@pytest.mark.parametrize("store", [True, False])
@pytest.mark.parametrize(
    "how", [{"generate": False}, {"prompt_cache_options": {"prewarm": True}, "generate": True}]
)
async def test_what_was_prepared_can_be_continued(
    server: RunningServer, store: bool, how: dict[str, Any]
) -> None:
    async with socket(server) as ws:
        await ws.ask("prepare", store=store, instructions="Be brief.", **how)
        told = await ws.until("response.completed", "error")
        assert [event["type"] for event in told] == [
            "response.created",
            "response.in_progress",
            "response.completed",
        ]
        prepared = told[-1]["response"]
        assert (prepared["status"], prepared["output"]) == ("completed", [])
        assert server.engine.prompts == []
        await ws.answer("now", store=store, previous_response_id=prepared["id"])
        assert said_to(server) == ["prepare", "now"]
        assert (await server.store.usage()).turns == (2 if store else 0)
    if store:
        again = await server.client.responses.retrieve(prepared["id"], stream=True)
        assert [event.to_dict() async for event in again] == told


async def test_with_nothing_to_say_yet_settings_are_prepared(server: RunningServer) -> None:
    async with socket(server) as ws:
        prepared = await ws.answer([], store=False, generate=False, tools=[TOOL])
        await ws.answer("now", store=False, previous_response_id=prepared["id"])
        assert said_to(server) == ["now"]


async def test_the_engine_can_be_warmed_up_as_well(start_server: StartServer) -> None:
    config = Config(websocket=WebSocketSettings(warm_engine=True))
    async with start_server(config=config) as server, socket(server) as ws:
        prepared = await ws.answer("prepare", store=False, generate=False)
        assert prepared["output"] == []
        await ws.answer("now", store=False, previous_response_id=prepared["id"])
        assert [said_to(server, number) for number in (0, 1)] == [["prepare"], ["prepare", "now"]]
        assert server.engine.closed_early == 1
