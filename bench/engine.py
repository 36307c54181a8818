"""The mock engine: a server that answers each request with prepared bytes, as a chat engine or in the Responses API.

`python -m bench.engine PORT`. It answers at once and shortly, until `GET /v1/manner?deltas=N&pace=SECONDS` tells it
otherwise; with `&model=NAME`, only those wait who ask for that model. With a pace, the deltas come one by one, so far
apart; each carries the time of its sending, so that a reader can tell how late it came. `GET /v1/seen` tells how many
turns the longest prompt had since that was last asked: what an engine is not sent, the system in front of it forgot.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
import urllib.parse
from typing import Any

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

ITEM: dict[str, Any] = {
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
RESPONSE: dict[str, Any] = {
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
    part = ITEM["content"][0]
    where = {"item_id": f"msg_{NUMBER}", "output_index": 0, "content_index": 0}
    events: list[tuple[str, dict[str, Any]]] = [
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


class Manner:
    """How all answers are given, prepared: of so many deltas, at once or paced. And what was asked last."""

    def __init__(self) -> None:
        self.longest = b""
        self.change(b"deltas=2&pace=0")

    def change(self, query: bytes) -> None:
        """Do as `deltas=N&pace=SECONDS` says, from the next request on; with `&model=NAME`, pace only that model."""
        wanted = dict(urllib.parse.parse_qsl(query.decode()))
        self.paced_model = f'"{wanted["model"]}"'.encode() if "model" in wanted else b""
        deltas = int(wanted["deltas"])
        self.deltas = deltas
        self.pace = float(wanted["pace"])
        self.whole = HEAD + chunk(b"".join(delta(b"word ") for _ in range(deltas)) + FINISH) + END
        self.stream = HEAD + chunk(response_stream(deltas)) + END

    def turns(self) -> int:
        """How many turns the longest request had since this was last asked."""
        body, self.longest = self.longest, b""
        return body.count(b'"role":"user"') + body.count(b'"role": "user"')


class Engine(asyncio.Protocol):
    """Answers whatever is asked, as soon as it was asked whole."""

    def __init__(self, manner: Manner) -> None:
        self._manner = manner
        self._read = bytearray()
        self._due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport) or hasattr(transport, "write")
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment]  # uvloop's has no such base

    def connection_lost(self, error: Exception | None) -> None:
        if self._due is not None:
            self._due.cancel()

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
            if length > len(self._manner.longest):
                self._manner.longest = body
            if self._manner.pace and length and self._manner.paced_model in body:
                self._transport.write(HEAD)
                self._tell(asyncio.get_running_loop().time(), 0)
            else:
                self._transport.write(self._answer(head, body))

    def _answer(self, head: bytes, body: bytes) -> bytes:
        path = head.split(b" ", 2)[1]
        if path.endswith(b"/chat/completions"):
            return self._manner.whole
        if path.endswith(b"/responses"):
            answer = self._manner.stream if b'"stream":true' in body.replace(b" ", b"") else PLAIN
            return answer.replace(NUMBER.encode(), b"%024d" % next(NUMBERS))
        if path.endswith(b"/seen"):
            return whole(self._manner.turns())
        if b"/manner?" in path:
            self._manner.change(path.partition(b"?")[2])
        return LISTING

    def _tell(self, begun: float, number: int) -> None:
        """Send a delta, and have the next one sent when it is due."""
        if number == self._manner.deltas:
            self._transport.write(chunk(FINISH) + END)
            return
        self._transport.write(chunk(delta(b"@%d@" % time.time_ns())))
        due = begun + (number + 1) * self._manner.pace
        self._due = asyncio.get_running_loop().call_at(due, self._tell, begun, number + 1)


async def main(port: int) -> None:
    manner = Manner()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Engine(manner), "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
