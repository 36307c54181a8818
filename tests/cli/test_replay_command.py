"""`catena replay` and `catena export ID`: a chain asked anew, and a chain written down."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from catena.chunks import Finish, TextDelta, ToolCallDelta, UsageReport
from catena.upstream import Prompt
from catena.upstream.scripted import ScriptedUpstream, prompt_items
from tests.cli.in_process import catena, refused
from tests.cli.pseudo_terminal import at_a_terminal
from tests.running import RunningServer, StartServer

TOOL = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {}},
    "strict": False,
}


def answers(prompt: Prompt) -> Iterable[Any]:
    """Calls the tool when it is asked for the weather; a `curious` model calls it again."""
    last = prompt_items(prompt)[-1]
    if last["role"] == "tool" and prompt.model != "curious":
        yield TextDelta(f"<{prompt.model}> It is {last['content']}.")
    elif "weather" in str(last["content"]) or last["role"] == "tool":
        yield ToolCallDelta(0, call_id=f"call_{prompt.model}", name="get_weather", arguments="{}")
        yield Finish("tool_calls")
        return
    else:
        yield TextDelta(f"<{prompt.model}> {last['content']}")
    yield UsageReport(20, 4, cached_tokens=8)
    yield Finish("stop")


async def ask(server: RunningServer, given: Any, parent: str | None = None, **more: Any) -> str:
    body = {"model": "small", "input": given, "previous_response_id": parent, **more}
    reply = await server.post("/responses", body)
    assert reply.status_code == 200, reply.text
    return str(reply.json()["id"])


async def with_a_tool(server: RunningServer) -> list[str]:
    """A chain in which a tool was called."""
    hello = await ask(server, "hello", instructions="Be kind.", temperature=0.5)
    weather = await ask(server, "the weather?", hello, tools=[TOOL])
    output = {"type": "function_call_output", "call_id": "call_small", "output": "cold"}
    told = await ask(server, [output], weather, tools=[TOOL])
    return [hello, weather, told, await ask(server, "thanks", told)]


async def replayed(server: RunningServer, *arguments: str) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = msgspec.json.decode(await catena(server.url, "replay", *arguments, "--json"))
    return told


async def test_a_chain_is_asked_of_another_model_as_a_new_tree(start_server: StartServer) -> None:
    async with start_server(engine=ScriptedUpstream(answers)) as server:
        chain = await with_a_tool(server)
        before = [(prompt.fragments, prompt.options) for prompt in server.engine.prompts]
        told = await replayed(server, chain[-1], "--model", "large")
        assert [each["before"]["id"] for each in told] == chain
        assert [each["after"]["status"] for each in told] == ["completed"] * 4
        assert told[2]["after"]["output"][0]["content"][0]["text"] == "<large> It is cold."
        again = server.engine.prompts[4:]
        assert [prompt.model for prompt in again] == ["large"] * 4
        for prompt, (fragments, options) in zip(again, before, strict=True):
            assert prompt.options == options
            spoken = (
                b",".join(fragments).replace(b"<small>", b"<large>").replace(b"call_small", b"call_large")
            )
            assert b",".join(prompt.fragments) == spoken
        tree = (await server.http.get(f"/responses/{told[-1]['after']['id']}/lineage")).json()
        assert (tree["tree"]["turns"], tree["tree"]["branches"]) == (4, 1)


async def test_a_chain_is_asked_anew_from_one_of_its_turns_as_a_branch(start_server: StartServer) -> None:
    async with start_server(engine=ScriptedUpstream(answers)) as server:
        root = await ask(server, "one")
        second = await ask(server, "two", root)
        last = await ask(server, "three", second)
        told = await replayed(server, last, "--model", "large", "--from-turn", "2")
        assert [each["before"]["id"] for each in told] == [second, last]
        tree = (await server.http.get(f"/responses/{last}/lineage")).json()
        assert (tree["tree"]["turns"], tree["tree"]["branches"]) == (5, 2)
        why = await refused(server.url, "replay", last, "--model", "large", "--from-turn", "4")
        assert "the chain has 3 turns" in why


async def test_what_was_put_into_a_conversation_is_asked_with_the_next_turn(
    start_server: StartServer,
) -> None:
    async with start_server(engine=ScriptedUpstream(answers)) as server:
        item = {"type": "message", "role": "user", "content": "put in by hand"}
        made = (await server.post("/conversations", {"items": [item]})).json()["id"]
        await ask(server, "one", conversation=made)
        last = await ask(server, "two", conversation=made)
        told = await replayed(server, last, "--model", "large")
        assert [each["after"]["output"][0]["content"][0]["text"] for each in told] == [
            "<large> one",
            "<large> two",
        ]
        assert [message["content"] for message in server.seen()] == [
            "put in by hand",
            "one",
            "<large> one",
            "two",
        ]


async def test_a_replay_ends_where_the_model_calls_what_nobody_answered(start_server: StartServer) -> None:
    async with start_server(engine=ScriptedUpstream(answers)) as server:
        chain = await with_a_tool(server)
        why = await refused(server.url, "replay", chain[-1], "--model", "curious")
        assert "calls get_weather more often" in why


async def test_a_replay_at_a_terminal_ends_with_a_comparison(
    start_server: StartServer, tmp_path: Path
) -> None:
    def replay(url: str, tip: str) -> str:
        with at_a_terminal(url, tmp_path, "replay", tip, "--model", "large") as terminal:
            assert terminal.end() == 0
            return terminal.plain

    async with start_server(engine=ScriptedUpstream(answers)) as server:
        tip = await ask(server, "two", await ask(server, "one"))
        shown = await asyncio.to_thread(replay, f"{server.url}/v1", tip)
        assert "<small> two" in shown
        assert "<large> two" in shown
        assert "40 (16 cached) → 8 tokens" in shown
        assert "The new chain ends in resp_" in shown


async def test_a_chain_is_written_down_for_people_and_for_programs(
    start_server: StartServer, tmp_path: Path
) -> None:
    async with start_server(engine=ScriptedUpstream(answers)) as server:
        chain = await with_a_tool(server)
        lines = [
            msgspec.json.decode(line) for line in (await catena(server.url, "export", chain[-1])).splitlines()
        ]
        assert [line["id"] for line in lines] == chain
        assert lines[0]["input"][0]["content"][0]["text"] == "hello"
        assert lines[2]["usage"]["cached_tokens"] == 8
        text = await catena(server.url, "export", chain[-1], "--format", "md")
        assert [line for line in text.splitlines() if line.startswith("## ")] == [
            f"## {number}. small · {spent}{turn}"
            for number, (turn, spent) in enumerate(
                zip(
                    chain,
                    ["20 (8 cached) → 4 tokens · ", "", *["20 (8 cached) → 4 tokens · "] * 2],
                    strict=True,
                ),
                1,
            )
        ]
        assert "**call**\n\nget_weather({})" in text
        told = msgspec.json.decode(
            await catena(server.url, "export", chain[-1], "--format", "openai-messages")
        )
        assert told["messages"][:-1] == server.seen()
        file = tmp_path / "chain.md"
        assert await catena(server.url, "export", chain[-1], "--output", str(file)) == ""
        assert file.read_text() == text


@pytest.mark.parametrize(
    ("arguments", "why"), [(("--format", "md"), "export ID"), (("x", "--resume"), "With an ID")]
)
async def test_an_export_of_a_chain_is_told_from_one_of_everything(
    server: RunningServer, arguments: tuple[str, ...], why: str
) -> None:
    assert why in await refused(server.url, "export", *arguments)
