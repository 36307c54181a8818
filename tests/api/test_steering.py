"""Steering: telling a response more while it is produced (spec §7.6)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import pytest

from catena.chunks import Finish, ToolCallDelta, UsageReport
from catena.errors import StoreUnavailable, UpstreamError
from catena.store import LeaseLost
from catena.upstream import Prompt
from catena.upstream.scripted import ScriptedUpstream, echo_script
from tests.api.sockets import Socket, socket, text_of
from tests.api.test_websocket import Gates, said_to
from tests.conformance.proves import proves
from tests.running import StartServer

TOOL = {"type": "function", "name": "look"}
END: Final = "response.completed"


async def steer(ws: Socket, response_id: Any, said: Any, **fields: Any) -> None:
    await ws.send({"type": "response.steer", "previous_response_id": response_id, "input": said, **fields})


async def started(ws: Socket, said: str, **fields: Any) -> str:
    """Ask, and wait for the first word of the answer; the id of the response."""
    await ws.ask(said, **fields)
    told = await ws.until("response.output_text.delta")
    response_id: str = told[0]["response"]["id"]
    return response_id


@proves("7.steering", "7.6.23")
@pytest.mark.parametrize("store", [True, False])
async def test_a_steered_response_stops_and_a_successor_goes_on(
    start_server: StartServer, store: bool
) -> None:
    gates = Gates()
    async with start_server(engine=gates.engine) as server, socket(server) as ws:
        lane = {"stream_id": "a"}
        first = await started(ws, "one", store=store, temperature=0.5, instructions="Be brief.", **lane)
        gates.open("more")
        await steer(ws, first, "more")
        accepted = await ws.frame()
        assert accepted["type"] == "response.steer.accepted"
        assert accepted["steer"] == {"id": accepted["steer"]["id"], "previous_response_id": first}
        stopped = await ws.end()
        assert stopped["type"] == "response.incomplete"
        assert stopped["response"]["incomplete_details"] == {"reason": "steered"}
        assert (stopped["response"]["id"], text_of(stopped["response"])) == (first, "one: ")
        told = await ws.until(END)
        assert told[0]["type"] == "response.created"
        assert told[0]["response"]["previous_response_id"] == first
        assert {event["stream_id"] for event in (accepted, stopped, *told)} == {"a"}
        successor = told[-1]["response"]
        assert text_of(successor) == "more: done"
        assert (successor["temperature"], successor["store"]) == (0.5, store)
        assert said_to(server) == ["Be brief.", "one", "one: ", "more"]
        assert gates.engine.closed_early == 1
        gates.open("on")
        await ws.answer("on", store=store, previous_response_id=successor["id"], **lane)
        assert said_to(server) == ["one", "one: ", "more", "more: done", "on"]
    if store:
        async with start_server() as server:
            stored = await server.client.responses.retrieve(first)
            assert stored.incomplete_details is not None
            assert stored.incomplete_details.reason == "steered"
            again = await server.client.responses.retrieve(first, stream=True)
            events = [event async for event in again]
            assert events[-1].type == "response.incomplete"
            assert [event.sequence_number for event in events] == list(range(len(events)))
            assert len(events) - 1 == stopped["sequence_number"]


async def test_all_that_was_told_goes_into_one_successor_in_order(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    gates = Gates()
    async with start_server(engine=gates.engine) as server, socket(server) as ws:
        finish = server.store.finish

        async def slow(*given: Any, **named: Any) -> None:
            await gates.gate("disk").wait()
            await finish(*given, **named)

        monkeypatch.setattr(server.store, "finish", slow)
        first = await started(ws, "one")
        await ws.ask("queued before")
        parts = [{"type": "input_text", "text": "two"}]
        await steer(ws, first, [{"type": "message", "role": "user", "content": parts}])
        await steer(ws, first, "three")
        for _ in range(2):
            await ws.until("response.steer.accepted")
        gates.open("disk", "three", "queued before")
        assert (await ws.end())["type"] == "response.incomplete"
        assert text_of((await ws.end())["response"]) == "three: done"
        assert said_to(server, 1)[:2] == ["one", "one: "]
        assert "two" in str(said_to(server, 1)[2])
        assert said_to(server, 1)[3] == "three"
        # The successor comes before what waits on the lane.
        assert text_of((await ws.end())["response"]) == "queued before: done"


@proves("7.6.25")
async def test_what_cannot_be_steered_is_given_back(start_server: StartServer) -> None:
    gates = Gates()
    async with start_server(engine=gates.engine) as server, socket(server) as ws, socket(server) as other:
        first = await started(ws, "one")
        gates.open("one")
        await ws.end()
        for socket_of, target, code in (
            (ws, first, "response_already_completed"),
            (ws, "resp_unknown", "response_not_found"),
            (other, first, "response_not_found"),
        ):
            await steer(socket_of, target, "more")
            failed = await socket_of.frame()
            assert failed["type"] == "response.steer.failed"
            assert failed["error"]["code"] == code
            assert failed["error"]["type"] == "invalid_request_error"
            assert failed["error"]["message"]
            assert failed["steer"] == {"previous_response_id": target, "input": "more"}
        error = await ws.error({"type": "response.steer", "input": "more"})
        assert error["error"]["param"] == "previous_response_id"


@proves("7.6.22")
async def test_only_what_a_user_says_can_be_told(start_server: StartServer) -> None:
    gates = Gates()
    async with start_server(engine=gates.engine) as server, socket(server) as ws:
        first = await started(ws, "one")
        wrong: list[tuple[Any, dict[str, Any]]] = [
            ("", {}),
            ([], {}),
            (3, {}),
            ([{"role": "assistant", "content": "x"}], {}),
            ([{"role": "user", "content": "x", "id": "msg_1"}], {}),
            ([{"role": "user", "content": [{"type": "output_text", "text": "x"}]}], {}),
            ([{"role": "user", "content": ["x"]}], {}),
            ([{"role": "user"}], {}),
            ([{"type": "function_call_output", "call_id": "c", "output": "x"}], {}),
            ("more", {"stream_id": "a"}),
            ("more", {"model": "m"}),
        ]
        for said, fields in wrong:
            await steer(ws, first, said, **fields)
            failed = await ws.frame()
            assert (failed["type"], failed["error"]["code"]) == ("response.steer.failed", "invalid_input"), (
                said
            )
            assert failed["steer"] == {"previous_response_id": first, "input": said}
        gates.open("one")
        assert (await ws.end())["type"] == END


def calling(prompt: Prompt) -> Iterable[Any]:
    yield ToolCallDelta(0, call_id="call_1", name="look", arguments="{")
    yield GATE.gate("call")
    yield ToolCallDelta(0, arguments="}")
    yield UsageReport(1, 2)
    yield Finish("tool_calls")


GATE = Gates()


@proves("7.6.24")
async def test_a_response_that_calls_tools_ends_and_waits_for_them(start_server: StartServer) -> None:
    GATE.opened.clear()
    async with start_server(engine=ScriptedUpstream(calling)) as server, socket(server) as ws:
        await ws.ask("one", tools=[TOOL])
        told = await ws.until("response.function_call_arguments.delta", "response.output_item.added")
        first = told[0]["response"]["id"]
        await steer(ws, first, "more")
        accepted = (await ws.until("response.steer.accepted"))[-1]
        GATE.open("call")
        ended = await ws.end()
        assert ended["type"] == END
        pending = await ws.frame()
        assert pending["type"] == "response.steer.pending"
        assert pending["reason"] == "waiting_for_required_input"
        assert pending["steer"] == accepted["steer"]
        call = ended["response"]["output"][0]
        assert pending["required_input"] == [
            {"type": "function_call_output", "call_id": call["call_id"], "name": "look"}
        ]
        server.engine.script = echo_script
        outputs = [{"type": "function_call_output", "call_id": call["call_id"], "output": "seen"}]
        answer = await ws.answer(outputs, previous_response_id=first, tools=[TOOL], temperature=0.1)
        assert answer["temperature"] == 0.1
        assert [message["role"] for message in server.seen()] == ["user", "assistant", "tool", "user"]
        assert said_to(server)[2:] == ["seen", "more"]
        page = await server.http.get(f"/responses/{answer['id']}/input_items?order=asc")
        assert [item["type"] for item in page.json()["data"]][2:] == ["function_call_output", "message"]


async def test_what_was_told_is_given_back_if_there_can_be_no_successor(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("The disk is full.")

    gates = Gates()
    async with start_server(engine=gates.engine) as server, socket(server) as ws:
        first = await started(ws, "one")
        monkeypatch.setattr(server.store, "begin", full)
        await steer(ws, first, "more")
        accepted = await ws.frame()
        failed = (await ws.until("response.steer.failed"))[-1]
        assert failed["error"]["code"] == "successor_creation_failed"
        assert failed["error"]["message"] == "The disk is full."
        assert failed["steer"] == {
            "id": accepted["steer"]["id"],
            "previous_response_id": first,
            "input": "more",
        }


async def test_a_successor_that_another_server_took_over_is_an_error(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    gates = Gates()
    async with start_server(engine=gates.engine) as server, socket(server) as ws:
        first = await started(ws, "one")
        await steer(ws, first, "more")
        assert (await ws.end())["type"] == "response.incomplete"
        await ws.until("response.output_text.delta")

        async def lost(*_: Any, **__: Any) -> None:
            raise LeaseLost

        with monkeypatch.context() as patch:
            patch.setattr(server.store, "finish", lost)
            gates.open("more")
            last = await ws.end()
            assert (last["type"], last["status"]) == ("error", 500)
        gates.open("again")
        assert text_of(await ws.answer("again")) == "again: done"


async def test_what_was_told_to_a_response_that_fails_is_given_back(start_server: StartServer) -> None:
    def broken(prompt: Prompt) -> Iterable[Any]:
        yield ToolCallDelta(0, call_id="call_1", name="look", arguments="{}")
        yield GATE.gate("call")
        yield UpstreamError("The engine broke off.")

    GATE.opened.clear()
    async with start_server(engine=ScriptedUpstream(broken)) as server, socket(server) as ws:
        await ws.ask("one", tools=[TOOL])
        told = await ws.until("response.output_item.added")
        await steer(ws, told[0]["response"]["id"], "more")
        await ws.until("response.steer.accepted")
        GATE.open("call")
        await ws.until("response.failed")
        failed = await ws.frame()
        assert (failed["type"], failed["steer"]["input"]) == ("response.steer.failed", "more")


async def test_a_fork_does_not_take_what_another_lane_was_told(start_server: StartServer) -> None:
    GATE.opened.clear()
    async with start_server(engine=ScriptedUpstream(calling)) as server, socket(server) as ws:
        await ws.ask("one", tools=[TOOL], stream_id="a")
        told = await ws.until("response.output_item.added")
        first = told[0]["response"]["id"]
        await steer(ws, first, "more")
        await ws.until("response.steer.accepted")
        GATE.open("call")
        call = (await ws.end())["response"]["output"][0]
        await ws.until("response.steer.pending")
        server.engine.script = echo_script
        outputs = [{"type": "function_call_output", "call_id": call["call_id"], "output": "seen"}]
        await ws.answer(outputs, previous_response_id=first, stream_id="b")
        assert said_to(server)[2:] == ["seen"]
        await ws.answer(outputs, previous_response_id=first, stream_id="a")
        assert said_to(server)[2:] == ["seen", "more"]


async def test_a_response_that_may_be_compacted_is_not_steered(start_server: StartServer) -> None:
    gates = Gates()
    async with start_server(engine=gates.engine) as server, socket(server) as ws:
        compaction = [{"type": "compaction", "compact_threshold": 1000}]
        first = await started(ws, "one", context_management=compaction)
        await steer(ws, first, "more")
        failed = await ws.frame()
        assert (failed["type"], failed["error"]["code"]) == (
            "response.steer.failed",
            "steering_not_supported",
        )
        gates.open("one")
        await ws.until("response.completed")


@proves("7.6.22")
async def test_a_response_of_a_conversation_is_not_steered(start_server: StartServer) -> None:
    gates = Gates()
    async with start_server(engine=gates.engine) as server, socket(server) as ws:
        conversation = await server.client.conversations.create()
        first = await started(ws, "one", conversation=conversation.id)
        await steer(ws, first, "more")
        failed = await ws.frame()
        assert (failed["type"], failed["error"]["code"]) == (
            "response.steer.failed",
            "steering_not_supported",
        )
        gates.open("one")
        assert (await ws.end())["type"] == END


async def test_so_much_can_be_told_to_one_response(start_server: StartServer) -> None:
    GATE.opened.clear()
    async with start_server(engine=ScriptedUpstream(calling)) as server, socket(server) as ws:
        await ws.ask("one", tools=[TOOL])
        told = await ws.until("response.output_item.added")
        first = told[0]["response"]["id"]
        for number in range(17):
            await steer(ws, first, f"more {number}")
        last = (await ws.until("response.steer.failed"))[-1]
        assert (last["error"]["code"], last["steer"]["input"]) == ("too_many_pending_steers", "more 16")


async def test_the_sdk_reads_what_comes_of_steering(start_server: StartServer) -> None:
    gates = Gates()
    async with start_server(engine=gates.engine) as server:
        async with server.client.responses.connect() as connection:
            await connection.response.create(model="m", input="one")
            seen: list[str] = []
            first = ""
            async for event in connection:
                seen.append(event.type)
                if event.type == "response.output_text.delta" and "response.incomplete" not in seen:
                    gates.open("more")
                    await connection.response.steer(previous_response_id=first, input="more")
                if event.type == "response.created":
                    first = event.response.id
                if event.type == "response.steer.accepted":
                    assert event.steer.previous_response_id == first
                if event.type == END:
                    assert event.response.output_text == "more: done"
                    break
        assert "response.incomplete" in seen
