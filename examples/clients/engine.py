"""An engine on loopback that plays the part of the model: what it does is written in what it is asked.

It speaks Chat Completions, as most engines do. In a user's message a line `@call NAME {"an": "argument"}` has it call
that tool; several lines one after the other, and a line `@also …` below one together with it. `@say TEXT` has it say
just that. Otherwise it recites the history that it was shown, so whoever reads its answer knows what the model knew.
Before all that it thinks, as many models do.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import takewhile
from typing import Any, Final, TypeAlias

__all__ = ["recital", "running_engine"]

Message: TypeAlias = Mapping[str, Any]
Call: TypeAlias = tuple[str, str]
"""The name of a tool, and arguments as JSON."""

_CALL: Final = re.compile(r"^@(call|also) (\S+) (.*)$", re.MULTILINE)
_DIRECTION: Final = re.compile(r"^@(call|also|say) .*$", re.MULTILINE)
_SAY: Final = re.compile(r"^@say (.*)$", re.MULTILINE)


@asynccontextmanager
async def running_engine() -> AsyncIterator[str]:
    """The engine in this process, by its base URL."""
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, limit=2**24)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
        body = await reader.readexactly(int(length[1]) if length else 0)
        if body:
            events = b"".join(
                b"data: %b\n\n" % json.dumps(event).encode() for event in _events(json.loads(body))
            )
            _reply(writer, "text/event-stream", events + b"data: [DONE]\n\n")
        else:
            _reply(
                writer, "application/json", b'{"object":"list","data":[{"id":"scripted","object":"model"}]}'
            )
        await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        pass  # nobody wants the answer any more
    finally:
        writer.close()


def _reply(writer: asyncio.StreamWriter, kind: str, body: bytes) -> None:
    head = (
        f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    writer.write(head.encode() + body)


# What the model does


def _events(request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    messages: Sequence[Message] = request["messages"]
    yield from (_choice({"reasoning_content": thought}) for thought in ("Let me ", "see."))
    calls = _due(messages)
    offered = [tool["function"]["name"] for tool in request.get("tools") or ()]
    if calls and all(name in offered for name, _ in calls):
        before = sum(len(message.get("tool_calls") or ()) for message in messages)
        for index, (name, arguments) in enumerate(calls):
            yield from _calling(index, name, arguments, call_id=f"call_{before + index:024d}")
        yield _choice({}, "tool_calls")
    else:
        missing = f"Not all of {calls} are among my tools: {', '.join(offered)}." if calls else None
        for word in re.findall(r"\S+\s*", missing or _answer(messages)):
            yield _choice({"content": word})
        yield _choice({}, "stop")
    yield {
        "choices": [],
        "usage": {"prompt_tokens": len(messages), "completion_tokens": 1, "total_tokens": len(messages) + 1},
    }


def _due(messages: Sequence[Message]) -> Sequence[Call]:
    """The calls that are to be made now, if any are."""
    steps: list[list[Call]] = []
    for kind, name, arguments in _CALL.findall(_asked(messages)):
        if kind == "call":
            steps.append([])
        steps[-1].append((name, arguments))
    since = takewhile(lambda message: message["role"] != "user", reversed(messages))
    done = sum(bool(message.get("tool_calls")) for message in since)
    return steps[done] if done < len(steps) else ()


def _answer(messages: Sequence[Message]) -> str:
    said = _SAY.search(_asked(messages))
    return said[1] if said else recital(messages)


def recital(messages: Sequence[Message]) -> str:
    """The history in one line: what was asked, called and answered by tools, oldest first, without directions."""
    told = []
    for message in messages:
        if message["role"] == "assistant":
            told += [f"called {call['function']['name']}" for call in message.get("tool_calls") or ()]
            told += ["answered"] if message.get("content") else []
        elif message["role"] != "system":
            told.append(f"{message['role']}: {' '.join(_DIRECTION.sub('', _text(message)).split())}")
    return "I saw " + " | ".join(told)


def _asked(messages: Sequence[Message]) -> str:
    return next((_text(message) for message in reversed(messages) if message["role"] == "user"), "")


def _text(message: Message) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _calling(index: int, name: str, arguments: str, *, call_id: str) -> Iterator[dict[str, Any]]:
    function = {"name": name, "arguments": ""}
    yield _choice({"tool_calls": [{"index": index, "id": call_id, "type": "function", "function": function}]})
    for start in range(0, len(arguments), 8):
        piece = {"arguments": arguments[start : start + 8]}
        yield _choice({"tool_calls": [{"index": index, "function": piece}]})


def _choice(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
