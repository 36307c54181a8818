"""Trees and contexts of responses over HTTP: `GET /v1/responses/{id}/lineage` and `…/context`."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from catena.chunks import Finish, TextDelta, ToolCallDelta, UsageReport
from catena.config import ChainSettings, Config, ServerSettings
from catena.upstream import Prompt
from catena.upstream.scripted import ScriptedUpstream
from tests.running import RunningServer, StartServer
from tests.store.turns import a_turn

TOOL = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {}},
    "strict": False,
}


async def ask(server: RunningServer, text: Any, parent: str | None = None, **more: Any) -> str:
    """The id of a new response."""
    body = {"model": "small", "input": text, "previous_response_id": parent, **more}
    reply = await server.post("/responses", body)
    assert reply.status_code == 200, reply.text
    return str(reply.json()["id"])


async def get(server: RunningServer, path: str, **query: Any) -> Any:
    reply = await server.http.get(path, params=query)
    assert reply.status_code == 200, reply.text
    return reply.json()


async def lineage(server: RunningServer, response_id: str, **query: Any) -> Any:
    return await get(server, f"/responses/{response_id}/lineage", **query)


def ids(page: Any) -> list[str]:
    return [entry["id"] for entry in page["data"]]


def weather(prompt: Prompt) -> list[Any]:
    """Calls a tool first, and answers when it has answered."""
    if b'"role":"tool"' in prompt.fragments[-1]:
        return [TextDelta("It is cold."), UsageReport(30, 4, cached_tokens=20), Finish("stop")]
    return [ToolCallDelta(0, call_id="call_1", name="get_weather", arguments="{}"), Finish("tool_calls")]


async def test_a_tree_is_told_from_any_of_its_turns(server: RunningServer) -> None:
    root = await ask(server, "What is a sea?", metadata={"team": "red"})
    left, right = await ask(server, "Name one.", root), await ask(server, "And a lake?", root, model="large")
    chat = await server.post(
        "/chat/completions",
        {"model": "m", "messages": [{"role": "user", "content": "Hm."}], "previous_response_id": left},
    )
    for each in (root, left, right, chat.json()["id"]):
        page = await lineage(server, each)
        assert ids(page) == [root, left, right, chat.json()["id"]]
        assert page["tree"] == {"root": root, "turns": 4, "branches": 2, "depth": 3}
        assert (page["object"], page["first_id"], page["last_id"]) == ("list", root, chat.json()["id"])
        assert page["has_more"] is False
    first, second, third, last = page["data"]
    stored = await get(server, f"/responses/{root}")
    assert first == {
        "object": "response.lineage",
        "id": root,
        "parent": None,
        "depth": 1,
        "children": 2,
        "status": "completed",
        "model": "small",
        "created_at": stored["created_at"],
        "endpoint": "responses",
        "conversation": None,
        "deleted": False,
        "usage": {
            "input_tokens": stored["usage"]["input_tokens"],
            "output_tokens": stored["usage"]["output_tokens"],
            "cached_tokens": 0,
            "total_tokens": stored["usage"]["total_tokens"],
        },
        "metadata": {"team": "red"},
        "first_words": {"input": "What is a sea?", "output": "1: What is a sea?"},
    }
    assert (second["parent"], second["depth"], second["children"]) == (root, 2, 1)
    assert (third["model"], third["children"]) == ("large", 0)
    assert (last["endpoint"], last["parent"], last["first_words"]["input"]) == ("chat", left, "Hm.")


async def test_the_parts_of_a_tree_and_their_pages(server: RunningServer) -> None:
    root = await ask(server, "root")
    one, two = await ask(server, "one", root), await ask(server, "two", root)
    below = await ask(server, "below", one)
    assert ids(await lineage(server, below, part="ancestors")) == [root, one]
    assert ids(await lineage(server, below, part="path")) == [root, one, below]
    assert ids(await lineage(server, root, part="children")) == [one, two]
    assert ids(await lineage(server, one, part="siblings")) == [two]
    assert ids(await lineage(server, root, part="descendants")) == [one, two, below]
    page = await lineage(server, root, limit=3)
    assert (ids(page), page["has_more"]) == ([root, one, two], True)
    rest = await lineage(server, root, limit=3, after=page["last_id"])
    assert (ids(rest), rest["has_more"]) == ([below], False)
    empty = await lineage(server, below, part="children")
    assert (empty["data"], empty["first_id"], empty["last_id"]) == ([], None, None)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"part": "cousins"}, "part"),
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"after": "resp_x"}, "after"),
    ],
)
async def test_a_wrong_question_names_what_is_wrong(
    server: RunningServer, query: dict[str, str], param: str
) -> None:
    reply = await server.http.get(f"/responses/{await ask(server, 'hi')}/lineage", params=query)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)


async def test_tool_calls_and_their_outputs_are_first_words_too(start_server: StartServer) -> None:
    async with start_server(engine=ScriptedUpstream(weather)) as server:
        asked = await ask(server, "Is it cold?", tools=[TOOL])
        output = {"type": "function_call_output", "call_id": "call_1", "output": "-3 degrees"}
        answered = await ask(server, [output], asked, tools=[TOOL])
        called, told = (await lineage(server, answered))["data"]
        assert called["first_words"] == {"input": "Is it cold?", "output": "→ get_weather(…)"}
        assert told["first_words"] == {"input": "← -3 degrees", "output": "It is cold."}
        assert told["usage"]["cached_tokens"] == 20


async def test_first_words_of_long_contents_are_short_and_of_the_last_message(server: RunningServer) -> None:
    messages = [{"role": "user", "content": f"message {number} " + "words " * 300} for number in range(50)]
    response = await ask(server, messages)
    (entry,) = (await lineage(server, response))["data"]
    assert entry["first_words"]["input"].startswith("message 49 words words")
    assert len(entry["first_words"]["input"]) <= 120
    assert entry["first_words"]["input"].endswith("…")


async def test_a_deleted_turn_keeps_its_place_and_says_nothing(server: RunningServer) -> None:
    root = await ask(server, "secret one", metadata={"secret": "yes"})
    below = await ask(server, "below", root)
    await server.http.delete(f"/responses/{root}")
    gone, left = (await lineage(server, below))["data"]
    assert (gone["id"], gone["deleted"], gone["usage"], gone["metadata"]) == (root, True, None, {})
    assert gone["first_words"] == {"input": "", "output": ""}
    assert (left["deleted"], left["parent"]) == (False, root)
    assert (await server.http.get(f"/responses/{root}/context")).status_code == 404


async def test_turns_of_conversations_say_so(server: RunningServer) -> None:
    item = {"type": "message", "role": "user", "content": "put in by hand"}
    made = (await server.post("/conversations", {"items": [item]})).json()["id"]
    inside = await ask(server, "asked in it", conversation=made)
    for each in (made, inside):
        first, second = (await lineage(server, each))["data"]
        assert (first["endpoint"], first["conversation"], first["id"]) == ("conversation", made, made)
        assert (second["endpoint"], second["conversation"], second["id"]) == ("responses", made, inside)
        assert first["first_words"]["input"] == "put in by hand"


async def test_what_is_another_projects_or_nobodys_is_unknown(server: RunningServer) -> None:
    theirs = a_turn(project="theirs", text="needle", created_at=int(time.time()))
    await server.store.finish(theirs)
    for path in ("lineage", "context", "context?own=true"):
        for unknown in (theirs.id, "resp_" + "0" * 50):
            reply = await server.http.get(f"/responses/{unknown}/{path}")
            assert (reply.status_code, reply.json()["error"]["type"]) == (404, "invalid_request_error")
    for query in ({}, {"roots": "true"}, {"q": "needle"}, {"order": "asc", "model": theirs.model}):
        assert (await get(server, "/responses", **query))["data"] == []
    reply = await server.http.get("/responses", params={"after": theirs.id})
    assert reply.status_code == 400


async def test_a_key_that_may_read_may_look_around(start_server: StartServer) -> None:
    config = Config(server=ServerSettings(api_key="sk-one", read_only_api_key="sk-two"))
    async with start_server(config=config) as server:
        for key, status in (("sk-two", 200), ("sk-wrong", 401)):
            headers = {"authorization": f"Bearer {key}"}
            assert (await server.http.get("/responses", headers=headers)).status_code == status


# Contexts


async def test_a_context_is_exactly_what_the_engine_was_sent(server: RunningServer) -> None:
    root = await ask(server, "What is a sea?", instructions="Only for the first.")
    more = {"instructions": "Be brief.", "tools": [TOOL], "reasoning": {"effort": "low"}, "temperature": 0.5}
    below = await ask(server, "Name one.", root, **more)
    context = await get(server, f"/responses/{below}/context")
    assert context["engine"]["messages"] == server.seen()
    assert context["engine"]["tools"] == server.engine.prompts[-1].options["tools"]
    assert (context["engine"]["dialect"], context["engine"]["model"]) == ("chat", "small")
    assert context["engine_unavailable"] is None
    assert (context["object"], context["id"], context["whole"]) == ("response.context", below, True)
    assert context["instructions"] == "Be brief."
    assert [tool["name"] for tool in context["tools"]] == ["get_weather"]
    listed = await get(server, f"/responses/{below}/input_items", order="asc")
    assert context["input"] == listed["data"]
    assert context["output"] == (await get(server, f"/responses/{below}"))["output"]
    first = await get(server, f"/responses/{root}/context")
    assert first["engine"]["messages"] == server.seen(0)


async def test_the_context_in_a_conversation_is_that_of_its_moment(server: RunningServer) -> None:
    item = {"type": "message", "role": "user", "content": "put in by hand"}
    made = (await server.post("/conversations", {"items": [item]})).json()["id"]
    inside = await ask(server, "first", conversation=made)
    sent = server.seen()
    await ask(server, "second", conversation=made)
    context = await get(server, f"/responses/{inside}/context")
    assert context["engine"]["messages"] == sent
    by_hand = await get(server, f"/responses/{made}/context")
    assert by_hand["engine"] is None
    assert "put into a conversation" in by_hand["engine_unavailable"]


async def test_the_context_of_a_chat_completion_is_told_too(server: RunningServer) -> None:
    root = await ask(server, "What is a sea?")
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Name one."}]
    body = {"model": "small", "messages": messages, "previous_response_id": root, "store": True}
    completion = (await server.post("/chat/completions", body)).json()["id"]
    context = await get(server, f"/responses/{completion}/context")
    assert (context["endpoint"], context["engine"]["messages"]) == ("chat", server.seen())


async def test_where_no_engine_could_be_asked_today_it_is_said_why(start_server: StartServer) -> None:
    config = Config(chains=ChainSettings(require_same_model=True))
    async with start_server(config=config) as server:
        now = int(time.time())  # or they would have had their time
        root = a_turn(text="What is a sea?", model="small", created_at=now)
        below = a_turn(root, "Name one.", model="large", created_at=now)
        for turn in (root, below):
            await server.store.finish(turn)
        context = await get(server, f"/responses/{below.id}/context")
        assert context["engine"] is None
        assert "does not mix models" in context["engine_unavailable"]
        assert len(context["input"]) == 3


async def test_a_turn_can_be_told_alone(server: RunningServer) -> None:
    root = await ask(server, "What is a sea?")
    below = await ask(server, "Name one.", root, instructions="Be brief.")
    alone = await get(server, f"/responses/{below}/context", own="true")
    assert [item["content"][0]["text"] for item in alone["input"]] == ["Name one."]
    assert (alone["parent"], alone["instructions"], alone["engine"]) == (root, "Be brief.", None)


async def test_a_context_that_has_lost_something_says_so(server: RunningServer) -> None:
    root = await ask(server, "secret one")
    middle = await ask(server, "middle", root)
    below = await ask(server, "below", middle)
    await server.http.delete(f"/responses/{root}")
    context = await get(server, f"/responses/{below}/context")
    assert context["whole"] is False
    assert b"secret" not in msgspec.json.encode(context)
    assert context["engine"]["messages"][-1] == {"role": "user", "content": "below"}
