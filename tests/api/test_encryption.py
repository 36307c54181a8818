"""A server whose contents are encrypted at rest: nothing of them is in its files, and everything is told as ever."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from catena.chunks import Chunk, Finish, TextDelta, UsageReport
from catena.config import Config, StoreSettings
from catena.upstream import Prompt
from catena.upstream.scripted import ScriptedUpstream
from tests.running import LIMIT, RunningServer, StartServer

TOOLS: Any = [
    {
        "type": "function",
        "name": "rail",
        "description": "secret-rail " * 100,
        "parameters": {},
        "strict": False,
    }
]
WORDS = [
    "heron",
    "bittern",
    "egret",
    "ibis",
    "stork",
    "crane",
    "rail",
    "coot",
    "grebe",
    "loon",
    "auk",
    "gannet",
    "skua",
    "dunlin",
    "knot",
    "ruff",
]
"""One for each door that something comes in through."""


def halfway(gate: asyncio.Event) -> ScriptedUpstream:
    """An engine that answers at once, but for who asks it to wait: then it stops in the middle until `gate` opens."""

    def script(prompt: Prompt) -> Iterator[Chunk | asyncio.Event]:
        yield TextDelta("secret-heron of the engine ")
        if "wait" in str(prompt):
            yield gate
        yield TextDelta("and its end")
        yield UsageReport(1, 2)
        yield Finish("stop")

    return ScriptedUpstream(script)


def encrypted(folder: Path) -> Config:
    return Config(store=StoreSettings(encryption_key_file=str(folder / "contents.keys")))


async def put_everywhere(server: RunningServer) -> dict[str, Any]:
    """Something through each door, and a stream that is under way. Returns what can be asked for afterwards."""
    client = server.client
    first = await client.responses.create(
        model="m",
        input="secret-bittern",
        instructions="secret-egret " * 100,
        metadata={"secret-ibis": "secret-stork"},
        user="secret-crane",
        tools=TOOLS,
        extra_headers={"idempotency-key": "key-of-the-client"},
    )
    chat = await client.chat.completions.create(
        model="m",
        store=True,
        metadata={"bird": "secret-coot"},
        messages=[{"role": "user", "content": "secret-grebe"}],
    )
    conversation = await client.conversations.create(
        metadata={"bird": "secret-loon"},
        items=[{"type": "message", "role": "user", "content": "secret-auk"}],
    )
    file = await client.files.create(file=("secret-gannet.txt", b"secret-skua " * 1000), purpose="user_data")
    hook = await client.webhooks.create(
        name="secret-dunlin",
        url="https://203.0.114.7/secret-knot",
        event_types=["response.completed"],
    )
    return {
        "first": first,
        "chat": chat,
        "conversation": conversation,
        "file": file,
        "hook": hook,
        "waiting": await under_way(server, first.id),
    }


async def under_way(server: RunningServer, parent: str) -> str:
    """The id of a response of which the engine has said the first half."""
    async with asyncio.timeout(LIMIT):
        events = await server.client.responses.create(
            model="m", input="wait: secret-ruff", previous_response_id=parent, background=True, stream=True
        )
        async for event in events:
            if event.type == "response.created":
                response_id = event.response.id
            if event.type == "response.output_text.delta":
                await events.close()
                return response_id
    raise AssertionError("the stream has ended")


def found_in(folder: Path) -> set[str]:
    """The words that stand in clear in any file."""
    contents = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    return {word for word in WORDS if any(f"secret-{word}".encode() in content for content in contents)}


async def test_nothing_that_came_in_through_any_door_is_in_any_file(
    start_server: StartServer, tmp_path: Path
) -> None:
    gate = asyncio.Event()
    async with start_server(engine=halfway(gate), config=encrypted(tmp_path)) as server:
        made = await put_everywhere(server)
        (logs,) = tmp_path.rglob("*-logs/pages")
        assert made["waiting"].encode() in logs.read_bytes()  # what the engine said by now is on the disk
        assert found_in(tmp_path) == set()
        secret = made["hook"].signing_secret
        assert not any(secret.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
        gate.set()
        await assert_told_as_ever(server, made)
    assert found_in(tmp_path) == set()


async def assert_told_as_ever(server: RunningServer, made: dict[str, Any]) -> None:
    client = server.client
    async with asyncio.timeout(LIMIT):
        while (ended := await client.responses.retrieve(made["waiting"])).status != "completed":
            pass
    assert ended.output_text == "secret-heron of the engine and its end"
    assert "secret-bittern" in str(server.seen())
    assert (await client.responses.retrieve(made["first"].id)).user == "secret-crane"
    listed = client.chat.completions.list(metadata={"bird": "secret-coot"})
    assert [each.id async for each in listed] == [made["chat"].id]
    reply = await server.http.get("/responses", params={"metadata[secret-ibis]": "secret-stork"})
    assert [each["id"] for each in reply.json()["data"]] == [made["first"].id]
    assert "secret-bittern" in reply.json()["data"][0]["first_words"]["input"]
    (item,) = (await client.conversations.items.list(made["conversation"].id)).data
    assert "secret-auk" in str(item)
    assert (await client.files.content(made["file"].id)).content == b"secret-skua " * 1000
    erasure = await server.http.delete("/end_users", params={"id": "secret-crane", "dry_run": "true"})
    assert erasure.json()["responses"] == [made["first"].id]


async def test_the_same_texts_are_found_where_nothing_is_encrypted(
    start_server: StartServer, tmp_path: Path
) -> None:
    gate = asyncio.Event()
    async with start_server(engine=halfway(gate)) as server:
        await put_everywhere(server)
        assert found_in(tmp_path) == set(WORDS)
        gate.set()


async def test_words_are_not_looked_for_and_the_answer_says_why(
    start_server: StartServer, tmp_path: Path
) -> None:
    async with start_server(config=encrypted(tmp_path)) as server:
        for query in ({"q": "heron"}, {"q": "heron", "roots": "true"}):
            reply = await server.http.get("/responses", params=query)
            error = reply.json()["error"]
            assert (reply.status_code, error["param"]) == (400, "q")
            assert "store.encryption_key_file" in error["message"]
