"""A chat server that remembers what it was asked, and no more: each test reads the requests off it.

It keeps connections open between requests, as real servers do, so that a connection which outlives its event
loop shows.
"""

from __future__ import annotations

import json
import queue
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["RecordingServer", "Request"]


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: dict[str, Any]
    connection: tuple[str, int]

    @property
    def question(self) -> str:
        """What the last message says."""
        return str(self.body["messages"][-1]["content"])


class RecordingServer(ThreadingHTTPServer):
    """Answers every chat completion, and echoes its `previous_response_id` as Catena does."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[Request] = []
        self.status = 200
        self.meeting: threading.Barrier | None = None
        """Where set, requests are answered only when so many of them are here at once."""
        self.closed: queue.Queue[tuple[str, int]] = queue.Queue()
        """The connections that the client has closed, in that order."""
        self._numbering = threading.Lock()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [request.body for request in self.requests]

    def record(self, request: Request) -> int:
        with self._numbering:
            self.requests.append(request)
            return len(self.requests)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RecordingServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        url = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        number = self.server.record(
            Request(url.path, parse_qs(url.query), headers, body, self.client_address)
        )
        if self.server.meeting is not None:
            self.server.meeting.wait()
        if self.server.status != 200:
            self._reply("application/json", json.dumps({"error": {"message": "as you wish"}}))
        elif body.get("stream"):
            self._reply("text/event-stream", _events(number, body))
        else:
            self._reply("application/json", json.dumps(_completion(number, body)))

    def finish(self) -> None:
        super().finish()
        self.server.closed.put(self.client_address)

    def _reply(self, content_type: str, text: str) -> None:
        data = text.encode()
        self.send_response(self.server.status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name that http.server gives it
        pass


def _completion(number: int, body: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": _answer(body), "refusal": None}
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1_800_000_000,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "previous_response_id": body.get("previous_response_id"),
    }


def _events(number: int, body: dict[str, Any]) -> str:
    answer = _answer(body)
    deltas = [{"role": "assistant", "content": answer[:5]}, {"content": answer[5:]}, {}]
    chunks = [
        {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion.chunk",
            "created": 1_800_000_000,
            "model": body["model"],
            "choices": [{"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}],
        }
        for delta in deltas
    ]
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"


def _answer(body: dict[str, Any]) -> str:
    return '{"number": 42}' if "response_format" in body else f"about {body['messages'][-1]['content']}"
