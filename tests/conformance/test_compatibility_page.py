"""docs/compatibility.md says what the server does: every row is asked for."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from catena.config import Config, PromptSettings
from catena.upstream import Dialect
from catena.upstream.scripted import prompt_items
from catena.wire import events as ev
from catena.wire.known import KNOWN
from tests.conformance.answers import ANSWERS, engine
from tests.conformance.compatibility import PAGE, table
from tests.conformance.page import WORD_COLUMNS, codes, events, rewritten, served
from tests.conformance.proves import proves
from tests.conformance.sdk import endpoints
from tests.conformance.test_items_kept import pair
from tests.running import RunningServer, StartServer
from tests.unit.test_wire_tools import GOOD as TOOLS

ENDPOINTS = table("Endpoints")
PARAMETERS = table("Create parameters")
INCLUDE = table("`include`")
TOOL_TYPES = table("Tools")
ITEM_TYPES = table("Items")
EVENTS = table("Stream events")
CODES = table("Error codes")
NOT_THERE = table("What is not there")

TEMPLATES = Config(prompts=PromptSettings(folder=str(PAGE.parents[1] / "examples" / "prompts")))

IN_PART = {"/v1/audio", "/v1/images"}
"""Families of which a part is passed on."""

ENGINES: dict[Dialect, int] = {"chat": 0, "responses": 1}
"""The kinds of engine, with their column."""


# Nothing is missing, nothing is made up, no cell is blank


def test_the_tables_have_what_the_server_knows() -> None:
    assert list(PARAMETERS) == list(KNOWN["create_parameters"])
    assert list(INCLUDE) == list(KNOWN["include"])
    assert TOOL_TYPES.keys() == set(KNOWN["tools"])
    assert ITEM_TYPES.keys() == set(KNOWN["items"])
    assert all(f"`{name}`" in PAGE.read_text() for name in KNOWN["accepted_unused"])


def test_every_endpoint_of_the_sdk_has_a_row_or_is_of_a_family_that_is_not_there() -> None:
    """That the other tables have all that the SDK has follows from the tests of `catena.wire`, in tests/unit."""
    without = {name for name in endpoints() if name not in ENDPOINTS and family(name) not in NOT_THERE}
    assert {family(name) for name in without} <= IN_PART


def family(endpoint: str) -> str:
    return "/v1/" + endpoint.partition("/v1/")[2].partition("/")[0]


def test_the_events_are_those_of_the_sdk_and_those_that_work_are_ours() -> None:
    assert EVENTS.keys() == set(events())
    composed = {event.__struct_config__.tag for event in get_args(ev.Event) if event is not ev.PassedOn}
    assert {name for name, (word, *_) in EVENTS.items() if word == "works"} == composed


def test_the_error_codes_are_those_in_the_source() -> None:
    assert CODES.keys() == codes()


async def test_the_page_is_as_it_would_be_written_anew(server: RunningServer) -> None:
    """If not: `make compatibility`, and then look at what it did."""
    assert rewritten(PAGE.read_text(), served(server)) == PAGE.read_text()


WORDS = {"works", "passed on", "repeated", "kept", "told", "left out", "refused", "not yet"}


@pytest.mark.parametrize("heading", WORD_COLUMNS)
def test_every_cell_says_something(heading: str) -> None:
    words = {
        "`include`": {"works", "passed on", "nothing there", "always there"},
        "Stream events": WORDS | {"not sent"},
    }.get(heading, WORDS)
    for name, cells in table(heading).items():
        assert len(cells) == WORD_COLUMNS[heading] + 2, name
        assert all(cells), name
        assert "?" not in cells, f"{name}: somebody has to say what becomes of it"
        if heading == "Error codes":
            assert set(cells[0].split(", ")) <= {str(status) for status in range(400, 505)}, name
        else:
            assert set(cells[: WORD_COLUMNS[heading]]) <= words, name


# Endpoints


def test_the_endpoints_that_are_there_are_those_that_are_served(server: RunningServer) -> None:
    there = {name for name, (word, *_) in ENDPOINTS.items() if word in ("works", "passed on")}
    assert there == set(served(server))


@pytest.mark.parametrize("path", NOT_THERE)
async def test_what_is_not_there_is_an_unknown_url(server: RunningServer, path: str) -> None:
    assert NOT_THERE[path][0] == "refused"
    for method in ("GET", "POST"):
        reply = await server.http.request(method, path.removeprefix("/v1"))
        assert (reply.status_code, reply.json()["error"]["message"]) == (
            404,
            f"Invalid URL ({method} {path})",
        )


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
    "prompt": {"id": "poet", "variables": {"topic": "rain"}},
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

AS_WITHOUT = {"stream_options", "truncation", "context_management"}
"""What works by changing nothing: a value that is what happens anyway, or a context that is short."""


def test_there_is_a_sample_of_every_parameter() -> None:
    assert {*SAMPLES, "previous_response_id"} == PARAMETERS.keys()


@proves("P.nothing_ignored")
@pytest.mark.parametrize("dialect", ENGINES)
@pytest.mark.parametrize("name", [name for name in PARAMETERS if name != "previous_response_id"])
async def test_a_parameter_does_what_the_page_says(
    start_server: StartServer, name: str, dialect: Dialect
) -> None:
    word = PARAMETERS[name][ENGINES[dialect]]
    async with start_server(engine=engine(ANSWERS["text"], dialect=dialect), config=TEMPLATES) as server:
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


@pytest.mark.parametrize("dialect", ENGINES)
@pytest.mark.parametrize("value", INCLUDE)
async def test_an_include_value_is_taken_and_passed_on_as_the_page_says(
    start_server: StartServer, value: str, dialect: Dialect
) -> None:
    async with start_server(engine=engine(ANSWERS["text"], dialect=dialect)) as server:
        reply = await server.post("/responses", {"model": "m", "input": "?", "include": [value]})
        assert reply.status_code == 200, reply.text
        word = INCLUDE[value][ENGINES[dialect]]
        options = server.engine.prompts[-1].options
        if dialect == "responses":
            assert value in options["include"]
        else:
            assert ("logprobs" in options) == (word == "passed on")


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
        items = await sample(server, kind, dialect)
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
        if word == "told":
            assert len(server.seen()) >= len(items)
        else:
            shown = word == "passed on" or kind in TOLD_BY_ITSELF
            assert len(server.seen()) == (len(items) if shown else len(items) - 1)
        page = await server.http.get(f"/responses/{reply.json()['id']}/input_items?order=asc")
        listed = [item["type"] for item in page.json()["data"]]
        named = {"item_reference": "message"}
        assert listed == [named.get(item["type"], item["type"]) for item in items]


TOLD_BY_ITSELF = {"compaction", "compaction_trigger"}
"""What works by saying something to a chat engine: a summary, and the request for one."""


async def sample(server: RunningServer, kind: str, dialect: Dialect) -> list[dict[str, Any]]:
    """An item of this kind with what it needs around it."""
    said: dict[str, Any] = {"type": "message", "role": "assistant", "content": "x"}
    if kind == "compaction" and dialect == "chat":
        made = await server.post("/responses/compact", {"model": "m", "input": "?"})
        return [made.json()["output"][-1], said]
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
