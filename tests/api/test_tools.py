"""Tools on engines that know only functions: what the engine sees, and what clients get (spec §9.4-9.9, §9.18-9.22)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from catena.chunks import Chunk, Finish, Offered, TextDelta, ToolCallDelta
from catena.config import Config, StreamSettings, ToolSettings
from catena.run_log import decode_log
from catena.store import Turn
from catena.upstream import Prompt
from catena.upstream.scripted import ScriptedUpstream
from tests.api.test_attachments import READS_ALL
from tests.running import RunningServer, StartServer

FUNCTION: Any = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
OTHER: Any = {"type": "function", "name": "g"}
CUSTOM: Any = {"type": "custom", "name": "c"}
SHELL: Any = {"type": "shell", "environment": {"type": "local"}}
PATCH: Any = {"type": "apply_patch"}
SEARCH: Any = {"type": "tool_search", "execution": "client"}
CRM: Any = {
    "type": "namespace",
    "name": "crm",
    "description": "d",
    "tools": [{"type": "function", "name": "find"}, {"type": "custom", "name": "note"}],
}
WEB: Any = {"type": "web_search"}


def call(name: str, arguments: Any, index: int = 0) -> ToolCallDelta:
    text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
    return ToolCallDelta(index, f"call_{index}", name, text)


def calling(*calls: ToolCallDelta) -> ScriptedUpstream:
    """An engine that makes these calls when it is asked, and says "done" when it hears of their outputs."""

    def script(prompt: Prompt) -> Sequence[Chunk]:
        if any(b'"role":"tool"' in fragment for fragment in prompt.fragments):
            return [TextDelta("done"), Finish("stop")]
        return [*calls, Finish("tool_calls")]

    return ScriptedUpstream(script)


async def ask(server: RunningServer, **more: Any) -> dict[str, Any]:
    reply = await server.post("/responses", {"model": "m", "input": "?", **more})
    assert reply.status_code == 200, reply.text
    response: dict[str, Any] = reply.json()
    return response


async def refused(server: RunningServer, **more: Any) -> dict[str, Any]:
    before = len(server.engine.prompts)
    reply = await server.post("/responses", {"model": "m", "input": "?", **more})
    assert reply.status_code == 400, reply.text
    assert len(server.engine.prompts) == before
    error: dict[str, Any] = reply.json()["error"]
    return error


def offered(server: RunningServer) -> list[str]:
    """The names of the functions that the engine saw last."""
    return [tool["function"]["name"] for tool in server.engine.prompts[-1].options.get("tools", ())]


# Tools that clients run, with an item of their own

ROUND_TRIPS: dict[str, tuple[Any, Any, Any, Any, Any]] = {
    "shell": (
        SHELL,
        {"commands": ["ls", "pwd"], "timeout_ms": 500},
        {
            "type": "shell_call",
            "action": {"commands": ["ls", "pwd"], "timeout_ms": 500, "max_output_length": None},
        },
        {
            "type": "shell_call_output",
            "output": [{"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
        },
        "Exit code: 0\nstdout:\na",
    ),
    "local_shell": (
        {"type": "local_shell"},
        {"command": ["ls"], "working_directory": "/"},
        {
            "type": "local_shell_call",
            "action": {"type": "exec", "command": ["ls"], "env": {}, "working_directory": "/"},
        },
        {"type": "local_shell_call_output", "output": "a"},
        "a",
    ),
    "apply_patch": (
        PATCH,
        {"type": "update_file", "path": "a.py", "diff": "@@\n-x\n+y"},
        {
            "type": "apply_patch_call",
            "operation": {"type": "update_file", "path": "a.py", "diff": "@@\n-x\n+y"},
        },
        {"type": "apply_patch_call_output", "status": "failed", "output": "no such file"},
        "Failed\nno such file",
    ),
    "computer": (
        {"type": "computer"},
        {"actions": [{"type": "click", "x": 1, "y": 2, "button": "left"}]},
        {
            "type": "computer_call",
            "actions": [{"type": "click", "x": 1, "y": 2, "button": "left"}],
            "pending_safety_checks": [],
        },
        {
            "type": "computer_call_output",
            "output": {"type": "computer_screenshot", "image_url": "data:image/png;base64,AA=="},
        },
        [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}],
    ),
    "tool_search": (
        SEARCH,
        {"query": "mail"},
        {"type": "tool_search_call", "arguments": {"query": "mail"}, "execution": "client"},
        {"type": "tool_search_output", "execution": "client", "tools": [CRM]},
        "Tools that can be called now: crm__find, crm__note",
    ),
}


@pytest.mark.parametrize("name", ROUND_TRIPS)
async def test_a_tool_is_offered_called_and_answered_along_a_chain(
    start_server: StartServer, name: str
) -> None:
    tool, arguments, item, output, told = ROUND_TRIPS[name]
    async with start_server(engine=calling(call(name, arguments))) as server:
        first = await ask(server, tools=[tool])
        assert offered(server) == [name]
        (made,) = first["output"]
        assert {**item, "call_id": "call_0", "status": "completed", "id": made["id"]} == made
        unanswered = await server.post(
            "/responses", {"model": "m", "input": "?", "previous_response_id": first["id"]}
        )
        assert "output found for" in unanswered.json()["error"]["message"]
        answer = {**output, "id" if name == "local_shell" else "call_id": "call_0"}
        second = await ask(server, tools=[tool], input=[answer], previous_response_id=first["id"])
        assert second["output"][0]["content"][0]["text"] == "done"
        question, assistant, result = server.seen()
        assert question == {"role": "user", "content": "?"}
        (shown,) = assistant["tool_calls"]
        assert (shown["id"], shown["function"]["name"]) == ("call_0", name)
        assert msgspec.json.decode(shown["function"]["arguments"]) == arguments
        assert result == {"role": "tool", "tool_call_id": "call_0", "content": told}
        third = await ask(server, previous_response_id=second["id"], input="and?")
        assert third["status"] == "completed"
        assert server.seen()[:3] == [question, assistant, result]


async def test_a_preview_of_the_computer_acts_once(start_server: StartServer) -> None:
    action = {"type": "screenshot"}
    screen = {"display_width": 800, "display_height": 600, "environment": "linux"}
    async with start_server(engine=calling(call("computer", {"action": action}))) as server:
        first = await ask(server, tools=[{"type": "computer_use_preview", **screen}])
        assert "800 by 600" in server.engine.prompts[0].options["tools"][0]["function"]["description"]
        assert (first["output"][0]["type"], first["output"][0]["action"]) == ("computer_call", action)


async def test_tools_of_a_namespace_are_called_by_their_own_names(start_server: StartServer) -> None:
    calls = [call("crm__find", {"q": 1}), call("crm__note", {"input": "free"}, 1)]
    async with start_server(engine=calling(*calls)) as server:
        first = await ask(server, tools=[CRM, FUNCTION])
        assert offered(server) == ["crm__find", "crm__note", "f"]
        find, note = first["output"]
        assert (find["type"], find["name"], find["namespace"]) == ("function_call", "find", "crm")
        assert (note["type"], note["name"], note["namespace"]) == ("custom_tool_call", "note", "crm")
        assert (find["arguments"], note["input"]) == ('{"q":1}', "free")
        outputs = [
            {"type": "function_call_output", "call_id": "call_0", "output": "1"},
            {"type": "custom_tool_call_output", "call_id": "call_1", "output": "2"},
        ]
        await ask(server, previous_response_id=first["id"], input=outputs)
        shown = [each["function"] for each in server.seen()[1]["tool_calls"]]
        assert shown == [
            {"name": "crm__find", "arguments": '{"q":1}'},
            {"name": "crm__note", "arguments": '{"input":"free"}'},
        ]


async def test_a_call_that_makes_no_sense_is_told_as_the_function_call_that_it_was(
    start_server: StartServer,
) -> None:
    async with start_server(engine=calling(call("shell", '{"cmd": "ls"'))) as server:
        first = await ask(server, tools=[SHELL])
        (item,) = first["output"]
        assert (item["type"], item["name"], item["arguments"]) == ("function_call", "shell", '{"cmd": "ls"')
        output = {"type": "function_call_output", "call_id": item["call_id"], "output": "That is no JSON."}
        await ask(server, previous_response_id=first["id"], input=[output])
        shown = server.seen()[1]["tool_calls"][0]["function"]
        assert shown == {"name": "shell", "arguments": '{"malformed_arguments":"{\\"cmd\\": \\"ls\\""}'}


async def test_the_output_of_any_tool_may_be_text_images_and_files(start_server: StartServer) -> None:
    parts = [
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="},
    ]
    async with start_server(engine=calling(call("f", {})), traits={"": READS_ALL}) as server:
        first = await ask(server, tools=[FUNCTION])
        output = {"type": "function_call_output", "call_id": "call_0", "output": parts}
        await ask(server, previous_response_id=first["id"], input=[output])
        assert server.seen()[-1]["content"] == [
            {"type": "text", "text": "see"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}},
        ]


async def test_an_engine_reads_outputs_right_behind_their_calls(start_server: StartServer) -> None:
    """A client may say something before it gives them; many engines take nothing in between."""
    note = {"role": "user", "content": "wait"}
    outputs = [{"type": "function_call_output", "call_id": f"call_{n}", "output": str(n)} for n in (1, 0)]
    calls = [
        {"type": "function_call", "call_id": f"call_{n}", "name": "f", "arguments": "{}"} for n in (0, 1)
    ]
    async with start_server(engine=calling(call("f", {}), call("g", {}, 1))) as server:
        first = await ask(server, tools=[FUNCTION, OTHER])
        await ask(server, previous_response_id=first["id"], input=[outputs[0], note, outputs[1], note])
        roles = [(message["role"], message.get("tool_call_id")) for message in server.seen()]
        assert roles[1:] == [
            ("assistant", None),
            ("tool", "call_1"),
            ("tool", "call_0"),
            ("user", None),
            ("user", None),
        ]
        await ask(server, input=[note, calls[0], note, calls[1], note, *outputs])
        roles = [(message["role"], message.get("tool_call_id")) for message in server.seen()]
        assert roles == [
            ("user", None),
            ("assistant", None),
            ("tool", "call_0"),
            ("user", None),
            ("assistant", None),
            ("tool", "call_1"),
            ("user", None),
        ]


async def test_an_output_that_answers_no_call_is_told_as_a_message(server: RunningServer) -> None:
    notice = {"type": "function_call_output", "call_id": None, "name": "mail", "output": "It came."}
    await ask(server, input=[{"role": "user", "content": "?"}, notice])
    assert server.seen()[-1] == {"role": "user", "content": "[Result of mail] It came."}


@pytest.mark.parametrize(("made_up", "told"), [("f.g", "f_g"), ("a b", "a_b"), ("x" * 200, "x" * 128)])
async def test_a_call_of_a_function_that_a_model_made_up_can_be_sent_back(
    start_server: StartServer, made_up: str, told: str
) -> None:
    async with start_server(engine=calling(call(made_up, {}))) as server:
        first = await ask(server, tools=[FUNCTION], store=False)
        assert first["output"][0]["name"] == told
        output = {"type": "function_call_output", "call_id": "call_0", "output": "There is no such function."}
        await ask(server, input=[*first["output"], output], store=False)
        assert server.seen()[-1]["role"] == "tool"


async def test_a_message_that_says_nothing_is_an_empty_text(server: RunningServer) -> None:
    await ask(server, input=[{"role": "user", "content": []}])
    assert server.seen() == [{"role": "user", "content": ""}]


async def test_a_shell_call_is_streamed_command_by_command_and_told_again(start_server: StartServer) -> None:
    pieces = [call("shell", '{"commands":["l'), ToolCallDelta(0, arguments='s","pwd"]}')]
    async with start_server(engine=calling(*pieces)) as server:
        stream = await server.client.responses.create(model="m", input="?", tools=[SHELL], stream=True)
        events = [event.to_dict() async for event in stream]
        told = [
            (str(event["type"]).removeprefix("response."), event.get("command_index"), event.get("delta"))
            for event in events[2:-1]
        ]
        assert told == [
            ("output_item.added", None, None),
            ("shell_call_command.added", 0, None),
            ("shell_call_command.delta", 0, "ls"),
            ("shell_call_command.done", 0, None),
            ("shell_call_command.added", 1, None),
            ("shell_call_command.delta", 1, "pwd"),
            ("shell_call_command.done", 1, None),
            ("output_item.done", None, None),
        ]
        announced: Any = events[2]["item"]
        assert (announced["status"], announced["action"]["commands"]) == ("in_progress", [])
        response: Any = events[-1]["response"]
        again = await server.client.responses.retrieve(response["id"], stream=True)
        assert [event.to_dict() async for event in again] == events


# Tools that are added on the way


async def test_tools_that_an_item_adds_are_offered_from_there_on(start_server: StartServer) -> None:
    added = {"type": "additional_tools", "role": "developer", "tools": [CRM]}
    async with start_server(engine=calling(call("crm__find", {}))) as server:
        first = await ask(server, tools=[FUNCTION], input=[added, {"role": "user", "content": "?"}])
        assert offered(server) == ["f", "crm__find", "crm__note"]
        assert [message["role"] for message in server.seen()] == ["user"]
        assert first["output"][0]["namespace"] == "crm"
        assert [tool["type"] for tool in first["tools"]] == ["function"]
        output = {"type": "function_call_output", "call_id": "call_0", "output": "1"}
        await ask(server, previous_response_id=first["id"], input=[output])
        assert offered(server) == ["crm__find", "crm__note"]


async def test_added_tools_are_still_there_after_a_restart_and_gone_with_their_turn(
    start_server: StartServer,
) -> None:
    added = {"type": "additional_tools", "role": "developer", "tools": [OTHER]}
    async with start_server() as server:
        first = await ask(server, input=[added, {"role": "user", "content": "?"}])
        second = await ask(server, previous_response_id=first["id"])
    async with start_server() as server:
        choice = {"type": "function", "name": "g"}
        third = await ask(server, previous_response_id=second["id"], tool_choice=choice)
        assert offered(server) == ["g"]
        assert server.engine.prompts[-1].options["tool_choice"]["function"] == {"name": "g"}
        await server.client.responses.delete(first["id"])
        await ask(server, previous_response_id=third["id"])
        assert offered(server) == []


async def test_deferred_tools_are_offered_when_a_search_has_found_them(start_server: StartServer) -> None:
    deferred = {**OTHER, "defer_loading": True}
    async with start_server(engine=calling(call("tool_search", {"query": "g"}))) as server:
        first = await ask(server, tools=[FUNCTION, deferred, SEARCH])
        assert offered(server) == ["f", "tool_search"]
        found = {
            "type": "tool_search_output",
            "call_id": "call_0",
            "execution": "client",
            "tools": [deferred],
        }
        await ask(server, tools=[FUNCTION, deferred, SEARCH], previous_response_id=first["id"], input=[found])
        assert sorted(offered(server)) == ["f", "g", "tool_search"]


async def test_without_a_search_by_the_client_deferred_tools_are_offered_at_once(
    server: RunningServer,
) -> None:
    await ask(server, tools=[{**OTHER, "defer_loading": True}, {"type": "tool_search"}])
    assert offered(server) == ["g"]


# Custom tools


async def test_a_custom_tool_is_a_function_of_one_text_that_tells_its_grammar(
    start_server: StartServer,
) -> None:
    form = {"type": "grammar", "syntax": "lark", "definition": "start: WORD"}
    async with start_server(engine=calling(call("c", {"input": "free"}))) as server:
        first = await ask(server, tools=[{**CUSTOM, "description": "d", "format": form}])
        (tool,) = server.engine.prompts[0].options["tools"]
        text = "The tool's input. It must match this lark grammar:\nstart: WORD"
        assert tool["function"] == {
            "name": "c",
            "description": "d",
            "parameters": {
                "type": "object",
                "properties": {"input": {"type": "string", "description": text}},
                "required": ["input"],
                "additionalProperties": False,
            },
        }
        assert (first["output"][0]["type"], first["output"][0]["input"]) == ("custom_tool_call", "free")


# Which tool is called


@pytest.mark.parametrize(
    ("choice", "names", "shown"),
    [
        ("auto", ["f", "g", "c", "shell", "crm__find", "crm__note"], None),
        ("required", ["f", "g", "c", "shell", "crm__find", "crm__note"], "required"),
        ({"type": "function", "name": "g"}, ["f", "g", "c", "shell", "crm__find", "crm__note"], "g"),
        ({"type": "custom", "name": "c"}, ["f", "g", "c", "shell", "crm__find", "crm__note"], "c"),
        ({"type": "shell"}, ["f", "g", "c", "shell", "crm__find", "crm__note"], "shell"),
        (
            {"type": "function", "name": "find"},
            ["f", "g", "c", "shell", "crm__find", "crm__note"],
            "crm__find",
        ),
        ({"type": "allowed_tools", "mode": "auto", "tools": [OTHER, CUSTOM]}, ["g", "c"], None),
        ({"type": "allowed_tools", "mode": "required", "tools": [SHELL]}, ["shell"], "required"),
        ({"type": "allowed_tools", "mode": "auto", "tools": [WEB]}, [], None),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "namespace", "name": "crm"}]},
            ["crm__find", "crm__note"],
            None,
        ),
    ],
)
async def test_a_choice_is_told_to_the_engine(
    server: RunningServer, choice: Any, names: list[str], shown: str | None
) -> None:
    response = await ask(server, tools=[FUNCTION, OTHER, CUSTOM, SHELL, CRM, WEB], tool_choice=choice)
    assert response["tool_choice"] == choice
    assert offered(server) == names
    said = server.engine.prompts[-1].options.get("tool_choice")
    assert (said["function"]["name"] if isinstance(said, dict) else said) == shown


@pytest.mark.parametrize(
    "choice",
    ["none", {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "g"}]}],
)
async def test_a_call_that_is_not_allowed_is_dropped_whatever_the_engine_does(
    start_server: StartServer, choice: Any
) -> None:
    calls: list[Chunk] = [
        TextDelta("hm"),
        call("f", "{"),
        ToolCallDelta(0, arguments="}"),
        Finish("tool_calls"),
    ]
    async with start_server(engine=ScriptedUpstream(lambda _: calls)) as server:
        response = await ask(server, tools=[FUNCTION, OTHER], tool_choice=choice)
        assert [item["type"] for item in response["output"]] == ["message"]
        await ask(server, previous_response_id=response["id"])


async def test_no_tool_may_be_chosen_that_is_not_there(server: RunningServer) -> None:
    error = await refused(server, tools=[FUNCTION, WEB], tool_choice={"type": "web_search"})
    assert (error["param"], error["code"]) == ("tool_choice.type", "unsupported_value")
    only = {"type": "allowed_tools", "mode": "required", "tools": [WEB]}
    for choice in ("required", only):
        assert (await refused(server, tools=[WEB], tool_choice=choice))["param"] == "tool_choice"
    error = await refused(server, tools=[FUNCTION], tool_choice={"type": "function", "name": "g"})
    assert error["message"].startswith("Tool choice 'g' not found")


async def test_parallel_calls_are_dropped_where_one_is_wanted(start_server: StartServer) -> None:
    calls = [call("f", {}, 0), call("g", {}, 1), call("f", {}, 2)]
    async with start_server(engine=calling(*calls)) as server:
        one = await ask(server, tools=[FUNCTION, OTHER], parallel_tool_calls=False)
        assert server.engine.prompts[-1].options["parallel_tool_calls"] is False
        assert [item["call_id"] for item in one["output"]] == ["call_0"]
        several = await ask(server, tools=[FUNCTION, OTHER], parallel_tool_calls=True)
        assert len(several["output"]) == 3


async def test_the_limit_on_tool_calls_counts_hosted_ones_only(start_server: StartServer) -> None:
    async with start_server(engine=calling(call("f", {}, 0), call("g", {}, 1))) as server:
        response = await ask(server, tools=[FUNCTION, OTHER], max_tool_calls=1)
        assert (response["max_tool_calls"], len(response["output"])) == (1, 2)
        assert "max_tool_calls" not in server.engine.prompts[-1].options


async def test_two_tools_that_an_engine_cannot_tell_apart_are_refused(server: RunningServer) -> None:
    for tools in (
        [{**FUNCTION, "name": "shell"}, SHELL],
        [{**FUNCTION, "name": "c"}, CUSTOM],
        [{**FUNCTION, "name": "crm__find"}, CRM],
    ):
        error = await refused(server, tools=tools)
        assert (error["param"], error["code"]) == ("tools[1]", "invalid_value")
    await ask(server, tools=[FUNCTION, {**FUNCTION, "description": "newer"}])
    (tool,) = server.engine.prompts[-1].options["tools"]
    assert tool["function"]["description"] == "newer"


# Tools that nobody runs here

HOSTED: dict[str, dict[str, Any]] = {
    "web_search": WEB,
    "file_search": {"type": "file_search", "vector_store_ids": ["vs_1"]},
    "code_interpreter": {"type": "code_interpreter", "container": {"type": "auto"}},
    "image_generation": {"type": "image_generation"},
    "mcp": {"type": "mcp", "server_label": "l", "server_url": "https://example.com"},
}


@pytest.mark.parametrize("kind", HOSTED)
async def test_a_hosted_tool_is_left_out_or_refused_as_it_is_set(
    start_server: StartServer, kind: str
) -> None:
    omit: Any = dict.fromkeys(HOSTED, "reject") | {kind: "omit"}
    async with start_server(config=Config(tools=ToolSettings(**omit))) as server:
        body = {"model": "m", "input": "?", "tools": [HOSTED[kind], FUNCTION]}
        reply = await server.post("/responses", body)
        assert reply.headers["catena-omitted-tools"] == kind
        assert offered(server) == ["f"]
        assert [tool["type"] for tool in reply.json()["tools"]] == [kind, "function"]
    reject: Any = dict.fromkeys(HOSTED, "omit") | {kind: "reject"}
    async with start_server(config=Config(tools=ToolSettings(**reject))) as server:
        error = await refused(server, tools=[FUNCTION, HOSTED[kind]])
        assert (error["param"], error["code"]) == ("tools[1].type", "unsupported_value")
        assert f"'{kind}'" in error["message"]


async def test_what_was_left_out_is_told_with_every_kind_of_reply(server: RunningServer) -> None:
    tools = [WEB, {"type": "web_search_preview"}, FUNCTION]
    for more in (
        {"stream": True},
        {"background": True},
        {"background": True, "stream": True},
        {"store": False},
    ):
        reply = await server.post("/responses", {"model": "m", "input": "?", "tools": tools, **more})
        assert reply.status_code == 200
        assert reply.headers["catena-omitted-tools"] == "web_search, web_search_preview"
    reply = await server.post("/responses", {"model": "m", "input": "?", "tools": [FUNCTION]})
    assert "catena-omitted-tools" not in reply.headers


async def test_an_engine_of_the_responses_api_is_given_every_tool_as_it_is(start_server: StartServer) -> None:
    engine = ScriptedUpstream(dialect="responses")
    tools = [*HOSTED.values(), SHELL, PATCH, CRM, FUNCTION]
    async with start_server(engine=engine) as server:
        reply = await server.post("/responses", {"model": "m", "input": "?", "tools": tools})
        assert reply.status_code == 200, reply.text
        assert "catena-omitted-tools" not in reply.headers
        assert engine.prompts[0].options["tools"] == tools


async def test_a_shell_in_a_container_is_refused(server: RunningServer) -> None:
    error = await refused(server, tools=[{"type": "shell", "environment": {"type": "container_auto"}}])
    assert (error["param"], error["code"]) == ("tools[0].environment", "unsupported_value")


# As Codex asks


async def test_what_codex_sends_is_taken_as_it_is(start_server: StartServer) -> None:
    """Functions, a patch as free text with a grammar, a shell of old, a search in the web, tools of other servers."""
    tools = [
        {"type": "function", "name": "exec_command", "strict": False, "parameters": {"type": "object"}},
        {
            **CUSTOM,
            "name": "apply_patch",
            "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"},
        },
        {"type": "local_shell"},
        {"type": "web_search", "external_web_access": True},
        {**CRM, "name": "mcp__crm__"},
        {**SEARCH, "description": "d", "parameters": {"type": "object", "properties": {}}},
    ]
    patch = "*** Begin Patch\n*** Add File: a\n+x\n*** End Patch"
    calls = [call("apply_patch", {"input": patch}), call("local_shell", {"command": ["ls"]}, 1)]
    async with start_server(engine=calling(*calls)) as server:
        first = await ask(
            server, tools=tools, tool_choice="auto", parallel_tool_calls=True, client_metadata={"a": "b"}
        )
        names = [
            "exec_command",
            "apply_patch",
            "local_shell",
            "mcp__crm__find",
            "mcp__crm__note",
            "tool_search",
        ]
        assert offered(server) == names
        assert [item["type"] for item in first["output"]] == ["custom_tool_call", "local_shell_call"]
        assert first["output"][0]["input"] == patch
        # It answers the shell of old as it answers a function.
        outputs = [
            {"type": "custom_tool_call_output", "call_id": "call_0", "output": "ok"},
            {"type": "function_call_output", "call_id": "call_1", "output": "a"},
        ]
        await ask(server, tools=tools, previous_response_id=first["id"], input=outputs)
        told = [(message["tool_call_id"], message["content"]) for message in server.seen()[2:]]
        assert told == [("call_0", "ok"), ("call_1", "a")]


# After a crash


async def test_the_log_of_a_run_begins_with_what_its_engine_was_offered(start_server: StartServer) -> None:
    """So that a run which its server did not survive is told again with its calls as what they were."""
    logged, go_on = asyncio.Event(), asyncio.Event()
    batches: list[bytes] = []
    steps: list[Any] = [call("shell", {"commands": ["ls"]}), go_on, Finish("tool_calls")]
    config = Config(streams=StreamSettings(log_seconds=0.001))
    async with start_server(config=config, engine=ScriptedUpstream(lambda _: steps)) as server:
        store: Any = server.store
        append = store.append_log

        async def remember(turn: Turn, batch: int, chunks: bytes) -> None:
            await append(turn, batch, chunks)
            batches.append(chunks)
            logged.set()

        store.append_log = remember
        stream = await server.client.responses.create(model="m", input="?", tools=[SHELL], stream=True)
        async with asyncio.timeout(20):
            await logged.wait()
        go_on.set()
        assert [event.type async for event in stream][-1] == "response.completed"
        offer, *_ = decode_log(batches)
        assert offer == Offered({"shell": ("shell", "shell", None)})
