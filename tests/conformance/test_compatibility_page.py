"""docs/compatibility.md says what the server does: every row is asked for."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any, get_args

import pytest
from openai.types.responses import ResponseStreamEvent

import catena
from catena.upstream import Dialect
from catena.upstream.scripted import prompt_items
from catena.wire import events as ev
from catena.wire.known import KNOWN
from tests.conformance.answers import ANSWERS, engine
from tests.conformance.compatibility import PAGE, table
from tests.conformance.proves import proves
from tests.conformance.test_items_kept import pair
from tests.running import RunningServer, StartServer
from tests.unit.test_wire_tools import GOOD as TOOLS

SOURCE = Path(catena.__file__).parent

ENDPOINTS = table("Endpoints")
PARAMETERS = table("Create parameters")
INCLUDE = table("`include`")
TOOL_TYPES = table("Tools")
ITEM_TYPES = table("Items")
EVENTS = table("Stream events")
CODES = table("Error codes")

ENGINES: dict[Dialect, int] = {"chat": 0, "responses": 1}
"""The kinds of engine, with their column."""


# Nothing is missing, nothing is made up, no cell is blank


def test_the_tables_have_what_the_server_knows() -> None:
    assert list(PARAMETERS) == list(KNOWN["create_parameters"])
    assert list(INCLUDE) == list(KNOWN["include"])
    assert TOOL_TYPES.keys() == set(KNOWN["tools"])
    assert ITEM_TYPES.keys() == set(KNOWN["items"])
    assert all(f"`{name}`" in PAGE.read_text() for name in KNOWN["accepted_unused"])


def test_the_events_are_those_of_the_sdk_and_those_that_work_are_ours() -> None:
    theirs = {
        get_args(event.model_fields["type"].annotation)[0]
        for event in get_args(get_args(ResponseStreamEvent)[0])
    }
    assert EVENTS.keys() == theirs
    composed = {event.__struct_config__.tag for event in get_args(ev.Event) if event is not ev.PassedOn}
    assert {name for name, (word, *_) in EVENTS.items() if word == "works"} == composed


def test_the_error_codes_are_those_in_the_source() -> None:
    assert CODES.keys() == codes_in_the_source()


def codes_in_the_source() -> set[str]:
    kinds = {f"{kind}_{side}_value" for kind in ("integer", "decimal") for side in ("below_min", "above_max")}
    found: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "code":
                found |= set(strings_in(node.value))
            elif isinstance(node, ast.FunctionDef):
                named = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
                found |= {
                    text
                    for name, value in named
                    if name.arg == "code" and value
                    for text in strings_in(value)
                }
    return found | kinds


def strings_in(value: ast.expr) -> list[str]:
    match value:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.IfExp(body=one, orelse=other):
            return [*strings_in(one), *strings_in(other)]
        case _:
            return []


WORDS = {"works", "passed on", "repeated", "kept", "left out", "refused", "not yet"}


@pytest.mark.parametrize(
    ("rows", "words", "engines"),
    [
        (ENDPOINTS, WORDS, 1),
        (PARAMETERS, WORDS, 2),
        (INCLUDE, {"passed on", "nothing there", "always there"}, 2),
        (TOOL_TYPES, WORDS, 2),
        (ITEM_TYPES, WORDS, 2),
        (EVENTS, WORDS | {"not sent"}, 1),
    ],
)
def test_every_cell_has_one_of_the_words(rows: dict[str, list[str]], words: set[str], engines: int) -> None:
    for name, cells in rows.items():
        assert set(cells[:engines]) <= words, name


# Endpoints


def test_the_endpoints_that_are_there_are_those_that_are_served(server: RunningServer) -> None:
    served = {f"{route.method} {route.path}" for route in server.app.routes.all}
    there = {name for name, (word, *_) in ENDPOINTS.items() if word in ("works", "passed on")}
    assert there == served


@pytest.mark.parametrize(
    "endpoint", [name for name, (word, *_) in ENDPOINTS.items() if word in ("refused", "not yet")]
)
async def test_an_endpoint_that_is_not_there_says_so(server: RunningServer, endpoint: str) -> None:
    method, path = endpoint.split(" ")
    reply = await server.http.request(method, path.removeprefix("/v1").replace("{model}", "m"))
    assert reply.status_code in (404, 405)
    assert reply.json()["error"]["message"]


# Parameters

SAMPLES: dict[str, Any] = {
    "model": "other",
    "input": "something else",
    "conversation": "conv_1",
    "prompt": {"id": "pmpt_1"},
    "moderation": {"model": "omni-moderation-latest"},
    "include": ["message.output_text.logprobs"],
    "tools": [{"type": "function", "name": "g"}],
    "tool_choice": {"type": "function", "name": "f"},
    "metadata": {"a": "b"},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}},
    "temperature": 0.5,
    "top_p": 0.5,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "parallel_tool_calls": False,
    "stream": True,
    "stream_options": {"include_obfuscation": False},
    "background": True,
    "max_output_tokens": 100,
    "max_tool_calls": 3,
    "reasoning": {"effort": "low"},
    "user": "u",
    "safety_identifier": "s",
    "prompt_cache_options": {"ttl": "12h"},
    "prompt_cache_key": "k",
    "prompt_cache_retention": "24h",
    "truncation": "disabled",
    "instructions": "Be brief.",
    "store": False,
    "service_tier": "flex",
    "top_logprobs": 2,
    "context_management": [{"type": "compaction", "compact_threshold": 1000}],
    "image": {"context_compression": "enabled"},
    "access_programs": {"cyber": "standard"},
}
FUNCTION = {"type": "function", "name": "f"}
NEEDED: dict[str, dict[str, Any]] = {
    "top_logprobs": {"include": ["message.output_text.logprobs"]},
    "stream_options": {"stream": True},
}

AS_WITHOUT = {"stream_options", "truncation"}
"""What works by changing nothing: the only value of it that is taken is what happens anyway."""


def test_there_is_a_sample_of_every_parameter() -> None:
    assert {*SAMPLES, "previous_response_id"} == PARAMETERS.keys()


@proves("P.nothing_ignored")
@pytest.mark.parametrize("dialect", ENGINES)
@pytest.mark.parametrize("name", [name for name in PARAMETERS if name != "previous_response_id"])
async def test_a_parameter_does_what_the_page_says(
    start_server: StartServer, name: str, dialect: Dialect
) -> None:
    word = PARAMETERS[name][ENGINES[dialect]]
    async with start_server(engine=engine(ANSWERS["text"], dialect=dialect)) as server:
        basis = {"model": "m", "input": "?", "tools": [FUNCTION], **NEEDED.get(name, {})}
        plain = await server.post("/responses", basis)
        assert plain.status_code == 200, plain.text
        prompts = len(server.engine.prompts)
        sample = await conversation(server) if name == "conversation" else SAMPLES[name]
        reply = await server.post("/responses", {**basis, name: sample})
        if word in ("refused", "not yet"):
            assert reply.status_code in (400, 404)
            assert name in reply.text.lower()
            assert len(server.engine.prompts) == prompts
            return
        assert reply.status_code == 200, reply.text
        if name == "background":
            assert reply.json()["status"] == "queued"
            return
        shown = prompt_of(server, -1) != prompt_of(server, 0)
        told = answer_of(reply) != answer_of(plain)
        match word:
            case "passed on":
                assert shown
            case "repeated":
                assert (shown, told) == (False, True)
            case "works":
                assert (shown or told) == (name not in AS_WITHOUT)


async def conversation(server: RunningServer) -> str:
    return (await server.client.conversations.create()).id


def prompt_of(server: RunningServer, number: int) -> Any:
    prompt = server.engine.prompts[number]
    return prompt.model, prompt_items(prompt), prompt.options


def answer_of(reply: Any) -> Any:
    """All that a reply says, but for what is different in every reply."""
    if reply.headers["content-type"] != "application/json":
        return "a stream"
    told = reply.json()
    own = ("id", "created_at", "completed_at", "output")
    return {key: value for key, value in told.items() if key not in own}


# Tools and items


NAMES = {"namespace": ["crm__f", "crm__c"], "computer_use_preview": ["computer"]}
"""What a chat engine knows the sample of a tool by, where that is not its name or its type."""


@proves("P.nothing_ignored", "10.2.unsupported_value")
@pytest.mark.parametrize("dialect", ENGINES)
@pytest.mark.parametrize("kind", TOOL_TYPES)
async def test_a_tool_is_treated_as_the_page_says(
    start_server: StartServer, kind: str, dialect: Dialect
) -> None:
    async with start_server(engine=engine(ANSWERS["text"], dialect=dialect)) as server:
        tool = {"type": kind, **TOOLS[kind]}
        reply = await server.post("/responses", {"model": "m", "input": "?", "tools": [tool]})
        if TOOL_TYPES[kind][ENGINES[dialect]] == "refused":
            assert reply.status_code == 400
            error = reply.json()["error"]
            assert (error["param"], error["code"]) == ("tools[0].type", "unsupported_value")
            assert server.engine.prompts == []
            return
        assert reply.status_code == 200, reply.text
        left_out = TOOL_TYPES[kind][ENGINES[dialect]] == "left out"
        assert reply.headers.get("catena-omitted-tools") == (kind if left_out else None)
        if left_out:
            assert "tools" not in server.engine.prompts[0].options
        elif dialect == "responses":
            assert server.engine.prompts[0].options["tools"] == [tool]
        else:
            names = [each["function"]["name"] for each in server.engine.prompts[0].options["tools"]]
            assert names == NAMES.get(kind, [tool.get("name", kind)])


@proves("P.nothing_ignored", "10.2.unsupported_value")
@pytest.mark.parametrize("dialect", ENGINES)
@pytest.mark.parametrize("kind", ITEM_TYPES)
async def test_an_item_is_treated_as_the_page_says(
    start_server: StartServer, kind: str, dialect: Dialect
) -> None:
    word = ITEM_TYPES[kind][ENGINES[dialect]]
    async with start_server(engine=engine(ANSWERS["text"], dialect=dialect)) as server:
        items = await sample(server, kind)
        prompts = len(server.engine.prompts)
        reply = await server.post(
            "/responses", {"model": "m", "input": items, "tools": tools_for(kind, dialect)}
        )
        if word == "refused":
            assert reply.status_code == 400
            error = reply.json()["error"]
            assert (error["param"], error["code"]) == ("input", "unsupported_value")
            assert len(server.engine.prompts) == prompts
            return
        assert reply.status_code == 200, reply.text
        assert len(server.seen()) == (len(items) if word == "passed on" else len(items) - 1)
        page = await server.http.get(f"/responses/{reply.json()['id']}/input_items?order=asc")
        listed = [item["type"] for item in page.json()["data"]]
        named = {"item_reference": "message"}
        assert listed == [named.get(item["type"], item["type"]) for item in items]


async def sample(server: RunningServer, kind: str) -> list[dict[str, Any]]:
    """An item of this kind with what it needs around it."""
    said: dict[str, Any] = {"type": "message", "role": "assistant", "content": "x"}
    if kind == "compaction_trigger":
        return [said, *pair(kind)]
    if kind == "item_reference":
        stored = await server.client.responses.create(model="m", input="?")
        return [{"type": kind, "id": stored.output[0].id}, said]
    return [*pair(kind), said]


def tools_for(kind: str, dialect: Dialect) -> list[dict[str, Any]]:
    return [{"type": "tool_search"}] if kind.startswith("tool_search") and dialect == "responses" else []


@proves("OR.tool_choice", "OR.allowed_tools")
async def test_a_tool_choice_reaches_a_chat_engine(start_server: StartServer) -> None:
    async with start_server(engine=engine(ANSWERS["text"])) as server:
        basis = {"model": "m", "input": "?", "tools": [FUNCTION]}
        for choice, passed in (
            ("none", "none"),
            ("required", "required"),
            ({"type": "function", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
        ):
            assert (await server.post("/responses", {**basis, "tool_choice": choice})).status_code == 200
            assert server.engine.prompts[-1].options["tool_choice"] == passed
        allowed = {"type": "allowed_tools", "mode": "auto", "tools": [FUNCTION]}
        both = [FUNCTION, {"type": "function", "name": "g"}]
        reply = await server.post("/responses", {**basis, "tools": both, "tool_choice": allowed})
        assert reply.status_code == 200
        (offered,) = server.engine.prompts[-1].options["tools"]
        assert offered["function"]["name"] == "f"
