"""The mock engine: a server that answers each request with prepared bytes, as a chat engine or in the Responses API.

`python -m bench.engine PORT [--deltas N] [--pace SECONDS]`. With a pace, the deltas come one by one, so far apart; each
carries the time of its sending, so that a reader can tell how late it came.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import time

import msgspec
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

NUMBER = "0" * 24
"""Every answer has another number in its place: some systems keep the ids that an engine gives."""

ITEM = {
    "id": f"msg_{NUMBER}",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "word word ", "annotations": [], "logprobs": []}],
}
USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 2,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 12,
}
RESPONSE = {
    "id": f"resp_{NUMBER}",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "m",
    "output": [ITEM],
    "usage": USAGE,
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "text": {"format": {"type": "text"}},
}
MODELS = {"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "bench"}]}


def whole(body: object) -> bytes:
    data = msgspec.json.encode(body)
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        len(data),
        data,
    )


def event(kind: str, **more: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode({"type": kind, **more}))


def response_stream(deltas: int) -> bytes:
    """The events of a response, as a Responses server sends them."""
    begun = {**RESPONSE, "status": "in_progress", "output": [], "usage": None}
    part = ITEM["content"][0]  # type: ignore[index]  # a list of parts
    where = {"item_id": f"msg_{NUMBER}", "output_index": 0, "content_index": 0}
    events = [
        ("response.created", {"response": begun}),
        ("response.in_progress", {"response": begun}),
        ("response.output_item.added", {"output_index": 0, "item": {**ITEM, "content": []}}),
        ("response.content_part.added", {**where, "part": {**part, "text": ""}}),
        *[("response.output_text.delta", {**where, "delta": "word ", "logprobs": []})] * deltas,
        ("response.output_text.done", {**where, "text": "word " * deltas, "logprobs": []}),
        ("response.content_part.done", {**where, "part": part}),
        ("response.output_item.done", {"output_index": 0, "item": ITEM}),
        ("response.completed", {"response": RESPONSE}),
    ]
    return b"".join(event(kind, sequence_number=number, **more) for number, (kind, more) in enumerate(events))


def delta(text: bytes) -> bytes:
    return OPENING + b'{"content":"' + text + b'"},"finish_reason":null}]}\n\n'


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


PLAIN = whole(RESPONSE)
NUMBERS = itertools.count()
LISTING = whole(MODELS)


class Engine(asyncio.Protocol):
    """Answers whatever is asked, as soon as it was asked whole."""

    def __init__(self, deltas: int, pace: float) -> None:
        self._whole = HEAD + chunk(b"".join(delta(b"word ") for _ in range(deltas)) + FINISH) + END
        self._stream = HEAD + chunk(response_stream(deltas)) + END
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
            body = bytes(self._read[head_end + 4 : head_end + 4 + length])
            del self._read[: head_end + 4 + length]
            if self._pace:
                self._telling = asyncio.ensure_future(self._tell())
            else:
                self._transport.write(self._answer(head, body))

    def _answer(self, head: bytes, body: bytes) -> bytes:
        path = head.split(b" ", 2)[1]
        if path.endswith(b"/chat/completions"):
            return self._whole
        if path.endswith(b"/responses"):
            answer = self._stream if b'"stream":true' in body.replace(b" ", b"") else PLAIN
            return answer.replace(NUMBER.encode(), b"%024d" % next(NUMBERS))
        return LISTING

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
