"""The mock engine: a chat server that answers each request with prepared bytes.

`python -m bench.engine PORT [--deltas N] [--pace SECONDS]`. With a pace, the deltas come one by one, so far apart; each
carries the time of its sending, so that a reader can tell how late it came.
"""

from __future__ import annotations

import argparse
import asyncio
import time

import uvloop

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
OPENING = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":'
)
FINISH = (
    OPENING
    + b'{},"finish_reason":"stop"}]}\n\n'
    + b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],'
    + b'"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12}}\n\ndata: [DONE]\n\n'
)
END = b"0\r\n\r\n"


def delta(text: bytes) -> bytes:
    return OPENING + b'{"content":"' + text + b'"},"finish_reason":null}]}\n\n'


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Engine(asyncio.Protocol):
    """Answers whatever is asked, as soon as it was asked whole."""

    def __init__(self, deltas: int, pace: float) -> None:
        self._whole = HEAD + chunk(b"".join(delta(b"word ") for _ in range(deltas)) + FINISH) + END
        self._deltas = deltas
        self._pace = pace
        self._read = bytearray()
        self._telling: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport) or hasattr(transport, "write")
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment]  # uvloop's has no such base

    def connection_lost(self, error: Exception | None) -> None:
        if self._telling is not None:
            self._telling.cancel()

    def data_received(self, data: bytes) -> None:
        self._read += data
        while True:
            head_end = self._read.find(b"\r\n\r\n")
            if head_end < 0:
                return
            head = bytes(self._read[:head_end]).lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._read) < head_end + 4 + length:
                return
            del self._read[: head_end + 4 + length]
            if self._pace:
                self._telling = asyncio.ensure_future(self._tell())
            else:
                self._transport.write(self._whole)

    async def _tell(self) -> None:
        self._transport.write(HEAD)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for number in range(self._deltas):
            await asyncio.sleep(begun + number * self._pace - loop.time())
            self._transport.write(chunk(delta(b"@%d@" % time.time_ns())))
        self._transport.write(chunk(FINISH) + END)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--deltas", type=int, default=2)
    parser.add_argument("--pace", type=float, default=0.0)
    asked = parser.parse_args()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Engine(asked.deltas, asked.pace), "127.0.0.1", asked.port, backlog=2048
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
