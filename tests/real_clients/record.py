"""`python -m tests.real_clients.record [NAME …]`: run the clients of `examples/clients`, and keep what they send.

What is kept is made neutral, sent again to see what comes of it, and only then written. Look at the difference: it
says what changed in a client, or in this server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from catena.config import Config
from catena.http_server import HttpServer, bind
from catena.upstream.chat import ChatUpstream
from examples.clients.engine import running_engine
from tests.real_clients.recording import FOLDER, Exchange, Outcome, Recording, save
from tests.real_clients.replay import outcome_of, replay
from tests.running import running_server

Message: TypeAlias = dict[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

CLIENTS: Final = ("openai_agents", "langchain_turns", "pydantic_ai_turns", "openai_node", "ai_sdk", "codex")
_USUAL: Final = {
    "accept",
    "accept-encoding",
    "accept-language",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "host",
    "sec-fetch-mode",
    "upgrade",
}
_GIVEN: Final = re.compile(r"[a-z]+_[0-9a-f]{40,}|catena\.\d\..+")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LONGEST: Final = 80
_BEGINNING: Final = 16
_MAKERS_WORDS: Final = {"description", "definition", "instructions", "title"}
_WHOLE: Final = {"arguments", "output", "input"}


class Heard(msgspec.Struct):
    """A request as it came, and its reply."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    socket: int | None = None
    reply: Any = None


class Tap:
    """The application, with somebody who listens at its door."""

    def __init__(self, app: Any) -> None:
        self.heard: list[Heard] = []
        self._app = app
        self._sockets = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._app, name)

    async def start(self) -> None:
        """It runs already."""

    stop = close = start

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        path = scope["path"] + (f"?{scope['query_string'].decode()}" if scope["query_string"] else "")
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        if scope["type"] == "http":
            await self._request(Heard(scope["method"], path, headers, None), scope, receive, send)
        else:
            await self._socket(path, headers, scope, receive, send)

    async def _request(self, heard: Heard, scope: Any, receive: Receive, send: Send) -> None:
        self.heard.append(heard)
        asked, told = bytearray(), bytearray()
        begun: Message = {}

        async def received() -> Message:
            message = await receive()
            asked.extend(message.get("body", b""))
            return message

        async def sent(message: Message) -> None:
            begun.update(message if message["type"] == "http.response.start" else {})
            told.extend(message.get("body", b""))
            await send(message)

        await self._app(scope, received, sent)
        kind = dict(begun["headers"]).get(b"content-type", b"").decode()
        heard.body = msgspec.json.decode(asked) if asked else None
        heard.reply = outcome_of(begun["status"], kind, bytes(told))[1]

    async def _socket(
        self, path: str, headers: dict[str, str], scope: Any, receive: Receive, send: Send
    ) -> None:
        number = self._sockets
        self._sockets += 1
        mine: list[Heard] = []

        async def received() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive":
                text = message.get("text") or message["bytes"]
                mine.append(Heard("", path, headers, msgspec.json.decode(text), number))
                self.heard.append(mine[-1])
            return message

        async def sent(message: Message) -> None:
            if message["type"] == "websocket.send":
                event = msgspec.json.decode(message["text"])
                mine[-1].reply = event.get("response", event)
            await send(message)

        await self._app(scope, received, sent)


# What is kept


def recorded(client: str, heard: Sequence[Heard]) -> Recording:
    """What was heard, neutral and without outcomes."""
    known: dict[str, tuple[int, str]] = {}
    uuids: dict[str, str] = {}
    exchanges = []
    for number, each in enumerate(heard):
        path = each.path
        for value, (reply, pointer) in known.items():
            path = path.replace(value, f"{{{reply}:{pointer}}}")
        body = _neutral(each.body, known, uuids)
        exchanges.append(Exchange(Outcome(), each.method or "POST", path, body, each.socket))
        for pointer, value in _given(each.reply, ""):
            known.setdefault(value, (number, pointer))
    return Recording(client, _headers(heard), exchanges)


def _in_background(heard: Heard) -> bool:
    # How often a client looks whether it is done is chance.
    return bool(isinstance(heard.body, dict) and heard.body.get("background")) or (
        heard.method == "GET" and re.fullmatch(r"/v1/responses/\w+", heard.path) is not None
    )


def _headers(heard: Sequence[Heard]) -> dict[str, str]:
    own = {
        name: value
        for each in heard
        for name, value in each.headers.items()
        if name not in _USUAL and not name.startswith("sec-websocket")
    }
    return {
        name: value.partition(" ")[0] if name in ("openai-beta", "user-agent") else "x"
        for name, value in sorted(own.items())
    }


def _given(reply: Any, pointer: str) -> Iterator[tuple[str, str]]:
    """What clients can send back, and where it stands."""
    if isinstance(reply, dict):
        for name, value in reply.items():
            yield from _given(value, f"{pointer}/{name}")
    elif isinstance(reply, list):
        for place, value in enumerate(reply):
            yield from _given(value, f"{pointer}/{place}")
    elif isinstance(reply, str) and _GIVEN.fullmatch(reply):
        yield pointer, reply


def _neutral(value: Any, known: Mapping[str, tuple[int, str]], uuids: dict[str, str], name: str = "") -> Any:
    """The value, which stands under `name`, as it is kept."""
    if isinstance(value, dict):
        return {key: _neutral(each, known, uuids, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_neutral(each, known, uuids, name) for each in value]
    if not isinstance(value, str):
        return value
    if value in known:
        reply, pointer = known[value]
        return {"$reply": reply, "at": pointer}
    value = _UUID.sub(
        lambda found: uuids.setdefault(found[0], f"{'0' * 8}-0000-0000-0000-{len(uuids):012d}"), value
    )
    value = re.sub(rf"{re.escape(str(Path.home()))}/codex-\w+", "/home/ada", value)
    return value if _is_ours(name, value) else f"{value[:_BEGINNING]} …"


def _is_ours(name: str, value: str) -> bool:
    """Whether a text is short, or of the examples' own; others are prompts and descriptions of the client's maker."""
    if name in _MAKERS_WORDS:
        return len(value) <= _BEGINNING
    return (
        len(value) <= _LONGEST
        or name in _WHOLE
        or "@call" in value
        or "@say" in value
        or value.startswith("I saw")
    )


# The whole


async def _record(name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="catena-record-") as folder:
        async with running_engine() as engine_url:
            played = ChatUpstream("played", [engine_url])
            async with running_server(Path(folder, "a.sqlite3"), routes={"gpt-*": played}) as server:
                tap = Tap(server.app)
                await _run_through(tap, name)
            recording = recorded(name, [each for each in tap.heard if not _in_background(each)])
            async with running_server(Path(folder, "b.sqlite3"), routes={"gpt-*": played}) as server:
                outcomes = await replay(recording, server.url)
    exchanges = [
        msgspec.structs.replace(exchange, outcome=outcome)
        for exchange, outcome in zip(recording.exchanges, outcomes, strict=True)
    ]
    save(FOLDER / f"{name}.json", msgspec.structs.replace(recording, exchanges=exchanges))
    print(json.dumps({"client": name, "exchanges": len(exchanges)}))


async def _run_through(tap: Tap, name: str) -> None:
    """Run a client against the application that is tapped, at a door of its own."""
    config = Config()
    listening = bind(msgspec.structs.replace(config, server=msgspec.structs.replace(config.server, port=0)))
    door = HttpServer(tap)  # type: ignore[arg-type]  # it has all that an application has
    serving = asyncio.create_task(door.serve(sockets=[listening]))
    await door.ready.wait()
    base_url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    client = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "examples.clients", name, "--base-url", base_url
    )
    failed = await client.wait()
    door.should_exit = True
    await serving
    listening.close()
    if failed:
        sys.exit(f"{name} failed: nothing is kept.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.real_clients.record")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(CLIENTS))
    for wanted in parser.parse_args().names or CLIENTS:
        asyncio.run(_record(wanted))
