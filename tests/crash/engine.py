"""A chat engine as a process of its own, which outlives the servers that are killed.

Its answer is a function of what it was asked, word by word: a digest of all messages, and how often just this was
asked before. So an answer proves which history the engine was shown, and a second asking shows.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

import msgspec

__all__ = ["History", "asked_times", "running_engine", "words_for"]

History: TypeAlias = Sequence[tuple[str, str]]
"""What an engine is shown: roles and texts, oldest first."""

_MOST_WORDS: Final = 48
_SLOWEST: Final = 0.03
"""Seconds between two words, at most."""

_ASKED: Final = re.compile(r"asked=(\d+)")


def words_for(history: History, asked: int) -> list[str]:
    """The answer to `history` when it is asked for the time number `asked`, from 1."""
    digest = _digest(history)
    head = [f"n={len(history)}", f"seen={digest.hex()[:16]}", f"asked={asked}"]
    return head + [f"w{digest[place % 32]:02x}" for place in range(digest[0] % _MOST_WORDS)]


def asked_times(answer: str) -> int | None:
    """Which time of asking an answer, or its beginning, tells; None if it ends before."""
    found = _ASKED.search(answer)
    return int(found[1]) if found else None


def _digest(history: History) -> bytes:
    return hashlib.sha256(msgspec.json.encode(history)).digest()


@asynccontextmanager
async def running_engine() -> AsyncIterator[str]:
    """An engine in a process of its own, by its base URL."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.crash.engine", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        port = int(await process.stdout.readline())
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        await process.wait()


# In its own process


class _Message(msgspec.Struct):
    role: str
    content: str = ""


class _Request(msgspec.Struct):
    messages: list[_Message]


_decode: Final = msgspec.json.Decoder(_Request).decode
_encode: Final = msgspec.json.Encoder().encode

_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
    b"connection: close\r\n\r\n"
)
_NOTHING: Final = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class _Engine:
    """Answers chat completions as streams, at a pace that the question decides."""

    def __init__(self) -> None:
        self._asked: Counter[bytes] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"GET "):
                writer.write(_NOTHING)
                return
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            request = _decode(await reader.readexactly(int(length[1]) if length else 0))
            await self._answer([(each.role, each.content) for each in request.messages], writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the server was killed, or wants no more
        finally:
            writer.close()

    async def _answer(self, history: History, writer: asyncio.StreamWriter) -> None:
        digest = _digest(history)
        self._asked[digest] += 1
        pause = _SLOWEST * digest[1] / 255
        writer.write(_HEAD)
        for event in _events(history, self._asked[digest]):
            writer.write(_piece(b"data: " + _encode(event) + b"\n\n"))
            await writer.drain()
            await asyncio.sleep(pause)
        writer.write(_piece(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        await writer.drain()


def _events(history: History, asked: int) -> Iterator[dict[str, object]]:
    digest = _digest(history)
    if digest[2] < 64:  # one in four thinks before it speaks
        for word in ("let ", "me ", "see"):
            yield {"choices": [{"index": 0, "delta": {"reasoning_content": word}}]}
    words = words_for(history, asked)
    for place, word in enumerate(words):
        yield {"choices": [{"index": 0, "delta": {"content": f" {word}" if place else word}}]}
    reason = "length" if digest[3] < 16 else "stop"
    yield {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
    usage = {"prompt_tokens": len(history), "completion_tokens": len(words), "total_tokens": 0}
    yield {"choices": [], "usage": usage}


def _piece(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def _main() -> None:
    server = await asyncio.start_server(_Engine().serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main())
