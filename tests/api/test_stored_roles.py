"""Messages of conversations by speakers whom no request can have: taken, listed, and told to engines."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from openai.types.conversations.message import Message

from catena.upstream.scripted import ScriptedUpstream
from tests.conformance.proves import proves
from tests.running import RunningServer, StartServer

PNG = "data:image/png;base64,iVBORw0KGgo="
PARTS: list[dict[str, Any]] = [
    {"type": "text", "text": "a"},
    {"type": "summary_text", "text": "b"},
    {"type": "reasoning_text", "text": "c"},
    {"type": "refusal", "refusal": "d"},
    {"type": "input_text", "text": "e"},
    {"type": "computer_screenshot", "image_url": PNG, "detail": "low", "file_id": None},
]


def message(role: str) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": PARTS}


@proves("6.19")
@pytest.mark.parametrize("role", ["unknown", "tool", "critic", "discriminator"])
async def test_a_conversation_takes_messages_of_every_role(server: RunningServer, role: str) -> None:
    conversation = (await server.post("/conversations", {"items": [message(role)]})).json()["id"]
    added = await server.post(f"/conversations/{conversation}/items", {"items": [message(role)]})
    assert added.status_code == 200, added.text
    (listed,) = added.json()["data"]
    assert (listed["role"], listed["content"]) == (role, PARTS)
    assert Message.model_validate_json(msgspec.json.encode(listed), strict=True).role == role
    reply = await server.post("/responses", {"model": "m", "input": "?", "conversation": conversation})
    assert reply.status_code == 200, reply.text
    told = server.seen()[0]
    assert told["role"] == ("user" if role in ("unknown", "tool") else "system")
    assert told["content"] == [
        *({"type": "text", "text": text} for text in "abcde"),
        {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
    ]


@proves("6.19")
@pytest.mark.parametrize("role", ["unknown", "critic"])
async def test_an_engine_of_the_responses_api_is_told_them_as_it_can_take_them(
    start_server: StartServer, role: str
) -> None:
    async with start_server(engine=ScriptedUpstream(dialect="responses")) as server:
        conversation = (await server.post("/conversations", {"items": [message(role)]})).json()["id"]
        await server.post("/responses", {"model": "m", "input": "?", "conversation": conversation})
        told = server.seen()[0]
        assert told["role"] == ("user" if role == "unknown" else "developer")
        assert [part["type"] for part in told["content"]] == ["input_text"] * 5 + ["input_image"]


@proves("6.19")
async def test_a_request_takes_only_the_roles_that_can_ask(server: RunningServer) -> None:
    reply = await server.post("/responses", {"model": "m", "input": [message("critic")]})
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "invalid_value")
    other = await server.post("/conversations", {"items": [message("narrator")]})
    assert (other.status_code, other.json()["error"]["param"]) == (400, "items[0]")
