"""Compaction: the model sums up its context, and the summary stands for it from then on."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openai import BadRequestError

from catena.chunks import Chunk, Finish, ItemDone, TextDelta, ToolCallDelta, UsageReport
from catena.errors import UpstreamError
from catena.upstream import Prompt
from catena.upstream.scripted import ScriptedUpstream, prompt_items
from tests.api.sockets import socket
from tests.conformance.proves import proves
from tests.running import RunningServer, StartServer

WEATHER: Any = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
TRIGGER: Any = {"type": "compaction_trigger"}
AT_1000: Any = [{"type": "compaction", "compact_threshold": 1000}]

PREFACE = "Summary of the conversation so far, which stands for the messages before this one:\n\n"


def summing_up(prompt: Prompt) -> Iterable[Chunk | Exception]:
    """Answers with the number of messages; a call to sum up with what users said; to `call` with a call.

    What it says it was sent is 10 tokens for each message, and 2,000 where somebody said `much`.
    """
    messages = prompt_items(prompt)
    last = str(messages[-1]["content"])
    if last.startswith("Sum up"):
        said = [str(each["content"]) for each in messages[:-1] if each["role"] == "user"]
        yield TextDelta(" + ".join(each.removeprefix(PREFACE) for each in said))
        yield UsageReport(input_tokens=5, output_tokens=3)
    elif last.startswith("call"):
        yield ToolCallDelta(0, "call_1", "weather", "{}")
        yield UsageReport(input_tokens=2_000, output_tokens=1)
        yield Finish("tool_calls")
        return
    else:
        much = any("much" in str(each["content"]) for each in messages)
        yield TextDelta(f"answer {len(messages)}")
        yield UsageReport(input_tokens=10 * len(messages) + 2_000 * much, output_tokens=2)
    yield Finish("stop")


@pytest.fixture
def engine() -> ScriptedUpstream:
    return ScriptedUpstream(summing_up)


def told(messages: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    return [(message["role"], message["content"]) for message in messages]


def summary(text: str) -> tuple[str, str]:
    return ("user", PREFACE + text)


# The endpoint


@proves("1.1.compact", "OR.compaction")
async def test_a_context_is_compacted_to_what_users_said_and_one_item(
    start_server: StartServer, engine: ScriptedUpstream
) -> None:
    async with start_server(engine=engine) as server:
        first = await server.client.responses.create(model="m", input="My cat is Tom.")
        made = await server.client.responses.compact(
            model="m", previous_response_id=first.id, input="And my dog is Rex."
        )
        assert made.object == "response.compaction"
        assert made.id.startswith("resp_")
        assert [item.type for item in made.output] == ["message", "message", "compaction"]
        said: Any = made.output[:2]
        assert [item.content[0].text for item in said] == ["My cat is Tom.", "And my dog is Rex."]
        assert made.output[2].id.startswith("cmp_")  # type: ignore[union-attr]
        assert (made.usage.input_tokens, made.usage.output_tokens, made.usage.total_tokens) == (5, 3, 8)
        assert told(server.seen())[:3] == [
            ("user", "My cat is Tom."),
            ("assistant", "answer 1"),
            ("user", "And my dog is Rex."),
        ]
        assert "My cat" not in str(made.output[2])


@proves("8.4")
async def test_its_output_begins_a_new_chain(start_server: StartServer, engine: ScriptedUpstream) -> None:
    async with start_server(engine=engine) as server:
        said = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Tom"}]
        made = await server.post("/responses/compact", {"model": "m", "input": said})
        output: Any = made.json()["output"]
        response = await server.client.responses.create(
            model="m", input=[*output, {"role": "user", "content": "Who?"}]
        )
        expected = [("system", "Be brief."), summary("Tom"), ("user", "Who?")]
        assert told(server.seen()) == expected
        await server.client.responses.create(model="m", input="Sure?", previous_response_id=response.id)
        assert told(server.seen()) == [*expected, ("assistant", "answer 3"), ("user", "Sure?")]


@proves("3.2.compacted")
async def test_the_id_of_a_compaction_cannot_be_continued(
    start_server: StartServer, engine: ScriptedUpstream
) -> None:
    async with start_server(engine=engine) as server:
        made = await server.client.responses.compact(model="m", input="hi")
        with pytest.raises(BadRequestError, match="not found") as caught:
            await server.client.responses.create(model="m", input="x", previous_response_id=made.id)
        assert caught.value.code == "previous_response_not_found"


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"input": "hi"}, "model", "missing_required_parameter"),
        ({"model": "m"}, None, "missing_required_parameter"),
        ({"model": "m", "input": "hi", "temperature": 1}, "temperature", "unknown_parameter"),
        ({"model": "m", "input": 7}, "input", "invalid_type"),
        (
            {"model": "m", "previous_response_id": "resp_none"},
            "previous_response_id",
            "previous_response_not_found",
        ),
    ],
)
async def test_a_bad_request_names_its_parameter(
    server: RunningServer, body: dict[str, Any], param: str | None, code: str
) -> None:
    reply = await server.post("/responses/compact", body)
    error = reply.json()["error"]
    assert (reply.status_code, error["param"], error["code"]) == (400, param, code)
    assert server.engine.prompts == []


# In a response


@proves("8.compaction")
async def test_a_trigger_makes_a_response_of_nothing_but_the_compaction(
    start_server: StartServer, engine: ScriptedUpstream
) -> None:
    async with start_server(engine=engine) as server:
        first = await server.client.responses.create(
            model="m", input=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Tom"}]
        )
        second = await server.client.responses.create(
            model="m", input=[TRIGGER], previous_response_id=first.id
        )
        assert [item.type for item in second.output] == ["compaction"]
        assert engine.prompts[-1].options == {"max_tokens": 2048}
        assert second.usage is not None
        assert (second.usage.input_tokens, second.usage.output_tokens) == (5, 3)
        await server.client.responses.create(model="m", input="Who?", previous_response_id=second.id)
        assert told(server.seen()) == [("system", "Be brief."), summary("Tom"), ("user", "Who?")]


async def test_a_trigger_must_come_last(server: RunningServer) -> None:
    items: Any = [TRIGGER, {"role": "user", "content": "hi"}]
    with pytest.raises(BadRequestError, match="must be the last one") as caught:
        await server.client.responses.create(model="m", input=items)
    assert caught.value.param == "input[0]"
    assert server.engine.prompts == []


@proves("4.2.23", "8.compaction")
async def test_beyond_the_threshold_an_answer_is_followed_by_its_compaction(
    start_server: StartServer, engine: ScriptedUpstream
) -> None:
    async with start_server(engine=engine) as server:
        stream = await server.client.responses.create(
            model="m", input="much", context_management=AT_1000, stream=True
        )
        events = [event async for event in stream]
        kinds = [event.type for event in events]
        assert kinds[-5:] == [
            "response.output_item.done",
            "response.output_item.added",
            "response.compaction.compacting",
            "response.output_item.done",
            "response.completed",
        ]
        assert [event.sequence_number for event in events] == list(range(len(events)))
        done: Any = events[-1]
        assert [item.type for item in done.response.output] == ["message", "compaction"]
        assert done.response.usage.input_tokens == 2_010 + 5
        added, compacting, finished = events[-4], events[-3], events[-2]
        assert compacting.item_id == added.item.id == finished.item.id  # type: ignore[union-attr]
        again = await server.client.responses.retrieve(done.response.id, stream=True)
        assert [event.model_dump() async for event in again] == [event.model_dump() for event in events]


@proves("8.4")
async def test_later_turns_see_the_compaction_and_what_follows(
    start_server: StartServer, engine: ScriptedUpstream
) -> None:
    async with start_server(engine=engine) as server:
        first = await server.client.responses.create(model="m", input="much", context_management=AT_1000)
        assert engine.prompts[-1].options == {"max_tokens": 250}
        second = await server.client.responses.create(model="m", input="Tom", previous_response_id=first.id)
        assert told(server.seen()) == [summary("much"), ("user", "Tom")]
        third = await server.client.responses.create(
            model="m", input="Rex", previous_response_id=second.id, context_management=AT_1000
        )
        # The new summary is one of the old one and of what came after it.
        await server.client.responses.create(model="m", input="Who?", previous_response_id=third.id)
        assert told(server.seen()) == [summary("much + Tom + Rex"), ("user", "Who?")]
        # Old turns stay, and other branches see them.
        assert (await server.client.responses.retrieve(first.id)).output_text == "answer 1"


async def test_they_do_so_after_a_restart(start_server: StartServer, engine: ScriptedUpstream) -> None:
    async with start_server(engine=engine) as server:
        first = await server.client.responses.create(model="m", input="much", context_management=AT_1000)
    async with start_server(engine=engine) as server:
        await server.client.responses.create(model="m", input="Tom", previous_response_id=first.id)
        assert told(server.seen()) == [summary("much"), ("user", "Tom")]


async def test_below_the_threshold_nothing_is_compacted(
    start_server: StartServer, engine: ScriptedUpstream
) -> None:
    async with start_server(engine=engine) as server:
        response = await server.client.responses.create(model="m", input="hi", context_management=AT_1000)
        assert [item.type for item in response.output] == ["message"]
        assert len(engine.prompts) == 1


async def test_a_call_that_waits_is_seen_beside_the_compaction(
    start_server: StartServer, engine: ScriptedUpstream
) -> None:
    async with start_server(engine=engine) as server:
        first = await server.client.responses.create(
            model="m", input="call", tools=[WEATHER], context_management=AT_1000
        )
        assert [item.type for item in first.output] == ["function_call", "compaction"]
        assert told(server.seen())[0] == ("user", "call")
        assert len(server.seen()) == 2
        output: Any = [{"type": "function_call_output", "call_id": "call_1", "output": "rain"}]
        await server.client.responses.create(
            model="m", input=output, previous_response_id=first.id, tools=[WEATHER]
        )
        seen = server.seen()
        call = next(place for place, each in enumerate(seen) if each.get("tool_calls"))
        assert seen[call + 1] == {"role": "tool", "tool_call_id": "call_1", "content": "rain"}
        assert seen[call - 1] == {"role": "user", "content": PREFACE + "call"}


@proves("8.compaction")
async def test_an_answer_stands_when_its_compaction_fails(start_server: StartServer) -> None:
    def script(prompt: Prompt) -> Iterable[Chunk | Exception]:
        if str(prompt_items(prompt)[-1]["content"]).startswith("Sum up"):
            yield UpstreamError("The engine is tired.")
        yield from summing_up(prompt)

    async with start_server(engine=ScriptedUpstream(script)) as server:
        response = await server.client.responses.create(model="m", input="much", context_management=AT_1000)
        assert response.status == "completed"
        assert [item.type for item in response.output] == ["message"]
        with pytest.raises(Exception, match="tired"):
            await server.client.responses.create(model="m", input=[TRIGGER], previous_response_id=response.id)


async def test_half_a_summary_stands_for_nothing(start_server: StartServer) -> None:
    """What came last would be missing from it."""

    def script(prompt: Prompt) -> Iterable[Chunk | Exception]:
        if str(prompt_items(prompt)[-1]["content"]).startswith("Sum up"):
            yield TextDelta("It all began when")
            yield UsageReport(5, 250)
            yield Finish("length")
        else:
            yield from summing_up(prompt)

    engine = ScriptedUpstream(script)
    async with start_server(engine=engine) as server:
        response = await server.client.responses.create(model="m", input="much", context_management=AT_1000)
        assert [item.type for item in response.output] == ["message"]
        assert "125 words at most" in prompt_items(engine.prompts[-1])[-1]["content"]
        with pytest.raises(Exception, match="was not done after 2048 tokens"):
            await server.client.responses.create(model="m", input=[TRIGGER], previous_response_id=response.id)


@proves("6.17")
async def test_a_conversation_is_compacted_as_a_chain_is(
    start_server: StartServer, engine: ScriptedUpstream
) -> None:
    async with start_server(engine=engine) as server:
        conversation = await server.client.conversations.create()
        await server.client.responses.create(
            model="m", input="much", conversation=conversation.id, context_management=AT_1000
        )
        await server.client.responses.create(model="m", input="Tom", conversation=conversation.id)
        assert told(server.seen()) == [summary("much"), ("user", "Tom")]
        items = await server.client.conversations.items.list(conversation.id)
        assert [item.type async for item in items] == [
            *["message", "message"],
            *["compaction", "message", "message"],
        ]


async def test_over_a_websocket_a_chain_without_a_store_is_compacted(
    start_server: StartServer, engine: ScriptedUpstream
) -> None:
    async with start_server(engine=engine) as server, socket(server) as ws:
        first = await ws.answer("much", store=False, context_management=AT_1000)
        await ws.answer("Tom", store=False, previous_response_id=first["id"])
        assert told(server.seen()) == [summary("much"), ("user", "Tom")]


# Sealed


async def sealed_item(server: RunningServer) -> dict[str, Any]:
    made = await server.client.responses.compact(model="m", input="secret")
    return made.output[-1].model_dump(exclude_none=True)


@pytest.mark.parametrize("place", [12, 30, -1])
async def test_what_was_changed_is_refused(
    start_server: StartServer, engine: ScriptedUpstream, place: int
) -> None:
    async with start_server(engine=engine) as server:
        item = await sealed_item(server)
        token = item["encrypted_content"]
        place %= len(token)
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        asked = len(engine.prompts)
        reply = await server.post(
            "/responses", {"model": "m", "input": [{**item, "encrypted_content": changed}]}
        )
        error = reply.json()["error"]
        assert (reply.status_code, error["param"], error["code"]) == (
            *(400, "input[0].encrypted_content"),
            "invalid_encrypted_content",
        )
        assert len(engine.prompts) == asked


async def test_what_another_server_sealed_is_refused(
    start_server: StartServer, engine: ScriptedUpstream
) -> None:
    async with start_server("other", engine=engine) as server:
        item = await sealed_item(server)
    async with start_server(engine=engine) as server:
        for token in (item["encrypted_content"], "gAAAAABother"):
            reply = await server.post(
                "/responses", {"model": "m", "input": [{"type": "compaction", "encrypted_content": token}]}
            )
            assert (reply.status_code, reply.json()["error"]["code"]) == (400, "invalid_encrypted_content")


async def test_the_key_is_a_file_of_its_owner_and_a_second_line_rotates_it(
    start_server: StartServer, engine: ScriptedUpstream, tmp_path: Path
) -> None:
    keys = tmp_path / "catena.sqlite3.seal-keys"
    async with start_server(engine=engine) as server:
        assert not keys.exists()
        old = await sealed_item(server)
        assert stat.S_IMODE(keys.stat().st_mode) == 0o600
        assert b"secret" not in keys.read_bytes()
    with keys.open("ab") as file:
        file.write(b"A" * 43 + b"=\n")
    async with start_server(engine=engine) as server:
        new = await sealed_item(server)
        assert new["encrypted_content"][:19] != old["encrypted_content"][:19]
        for item in (old, new):
            await server.client.responses.create(
                model="m",
                input=[item, {"role": "user", "content": "hi"}],  # type: ignore[list-item]
            )
            assert told(server.seen()) == [summary("secret"), ("user", "hi")]


async def test_what_an_engine_made_passes_to_it_untouched(start_server: StartServer) -> None:
    engine = ScriptedUpstream(dialect="responses")
    async with start_server(engine=engine) as server:
        items: Any = [
            {"type": "compaction", "encrypted_content": "gAAAAABtheirs"},
            {"role": "user", "content": "hi"},
        ]
        first = await server.client.responses.create(model="m", input=items, context_management=AT_1000)
        assert prompt_items(engine.prompts[-1])[0] == items[0]
        assert engine.prompts[-1].options["context_management"] == AT_1000
        await server.client.responses.create(model="m", input=[TRIGGER], previous_response_id=first.id)
        assert prompt_items(engine.prompts[-1])[-1] == TRIGGER
        assert msgspec.json.encode(prompt_items(engine.prompts[-1])[0]) == msgspec.json.encode(items[0])


async def test_a_chain_that_another_engine_compacted_goes_on_here_with_its_turns(
    start_server: StartServer,
) -> None:
    def script(prompt: Prompt) -> Iterable[Chunk]:
        yield TextDelta("noted")
        yield ItemDone({"type": "compaction", "encrypted_content": "gAAAAABtheirs"})
        yield Finish("stop")

    there, here = ScriptedUpstream(script, dialect="responses"), ScriptedUpstream(summing_up)
    async with start_server(engine=here, routes={"gpt-x": there}) as server:
        first = await server.client.responses.create(model="gpt-x", input="My cat is Tom.")
        assert [item.type for item in first.output] == ["message", "compaction"]
        await server.client.responses.create(model="gpt-x", input="hm", previous_response_id=first.id)
        assert [item["type"] for item in prompt_items(there.prompts[-1])] == ["compaction", "message"]
        await server.client.responses.create(model="local", input="Who?", previous_response_id=first.id)
        assert told(server.seen()) == [
            ("user", "My cat is Tom."),
            ("assistant", "noted"),
            ("user", "Who?"),
        ]


async def test_without_the_key_a_chain_goes_on_with_its_turns(
    start_server: StartServer, engine: ScriptedUpstream, tmp_path: Path
) -> None:
    async with start_server(engine=engine) as server:
        first = await server.client.responses.create(model="m", input="much", context_management=AT_1000)
    (tmp_path / "catena.sqlite3.seal-keys").unlink()
    async with start_server(engine=engine) as server:
        await server.client.responses.create(model="m", input="Tom", previous_response_id=first.id)
        assert told(server.seen()) == [("user", "much"), ("assistant", "answer 1"), ("user", "Tom")]


async def test_a_background_response_is_compacted_too(
    start_server: StartServer, engine: ScriptedUpstream
) -> None:
    async with start_server(engine=engine) as server:
        first = await server.client.responses.create(model="m", input="Tom")
        queued = await server.client.responses.create(
            model="m", input=[TRIGGER], previous_response_id=first.id, background=True, stream=True
        )
        events: list[Any] = [event async for event in queued]
        assert events[-1].type == "response.completed"
        assert [item.type for item in events[-1].response.output] == ["compaction"]


async def test_the_threshold_is_at_most_a_part_of_the_window(start_server: StartServer) -> None:
    asked: Any = [{"type": "compaction"}]
    async with start_server(engine=ScriptedUpstream(summing_up, context_window=2_000)) as server:
        short = await server.client.responses.create(model="m", input="hi", context_management=asked)
        long = await server.client.responses.create(model="m", input="much", context_management=asked)
        assert [len(short.output), len(long.output)] == [1, 2]
        late: Any = [{"type": "compaction", "compact_threshold": 100_000}]
        clamped = await server.client.responses.create(model="m", input="much", context_management=late)
        assert len(clamped.output) == 2
    async with start_server("other", engine=ScriptedUpstream(summing_up)) as server:
        with pytest.raises(BadRequestError, match="does not tell") as caught:
            await server.client.responses.create(model="m", input="hi", context_management=asked)
        assert caught.value.param == "context_management[0].compact_threshold"


async def test_an_engine_with_an_endpoint_of_its_own_is_asked_for_its_compaction(
    start_server: StartServer,
) -> None:
    class Compacting(ScriptedUpstream):
        async def forward(self, path: str, body: bytes) -> tuple[int, str, bytes]:
            asked = msgspec.json.decode(body)
            told = {"path": path, "model": asked["model"], "said": asked["input"][0]["content"][0]["text"]}
            return 200, "application/json", msgspec.json.encode(told)

    async with start_server(engine=Compacting(dialect="responses")) as server:
        reply = await server.post("/responses/compact", {"model": "m", "input": "hi"})
        assert reply.json() == {"path": "/responses/compact", "model": "m", "said": "hi"}
