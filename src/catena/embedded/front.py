"""The embedded engine's door: the chat dialect over HTTP, for one caller that knows the key.

A raw ASGI application with four routes. While it answers it listens for the caller to go away, and closing the
answer is all it takes then: the model stops. Errors have the official envelope; once a stream has begun, an error
is its last event.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping, Sequence
from contextlib import aclosing
from typing import Any, Final, TypeAlias

import msgspec

from catena.embedded.answer import answer
from catena.embedded.decoder import Decoder
from catena.embedded.dialogue import in_plain_words
from catena.embedded.reply import END_OF_STREAM, PULSE, Reply, frame
from catena.embedded.request import ChatRequest, parse
from catena.embedded.tools import choice_messages
from catena.errors import BadRequest, CatenaError, MethodNotAllowed, NotFound, Unauthorized

__all__ = ["Front"]

_Event: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Event]]
_Send: TypeAlias = Callable[[_Event], Awaitable[None]]

_log: Final = logging.getLogger(__name__)

_HEALTH: Final = ("GET", "/health")
_SSE: Final = b"text/event-stream; charset=utf-8"
_JSON: Final = b"application/json"


class Front:
    """The application. `name` is what the model is called in lists, and in replies to callers that name none."""

    def __init__(self, decoder: Decoder, *, name: str, key: str) -> None:
        self._decoder = decoder
        self._name = name
        self._authorization = f"Bearer {key}".encode()

    async def __call__(self, scope: _Event, receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http":
            return
        exchange = _Exchange(receive, send)
        try:
            body = await exchange.body()
            await exchange.unless_gone(self._reply(scope, body, exchange))
        except CatenaError as error:
            await exchange.fail(error)
        except Exception:
            _log.exception("answering failed")
            await exchange.fail(CatenaError())

    async def _reply(self, scope: _Event, body: bytes, exchange: _Exchange) -> None:
        route = (scope["method"], scope["path"])
        if route != _HEALTH:
            self._require_key(scope["headers"])
        match route:
            case ("GET", "/health"):
                await exchange.send_json({"status": "ok"})
            case ("POST", "/v1/chat/completions"):
                await self._chat(parse(body), exchange)
            case ("POST", "/tokenize"):
                await self._tokenize(body, exchange)
            case ("GET", "/v1/models"):
                model = {"id": self._name, "object": "model", "created": 0, "owned_by": "embedded"}
                await exchange.send_json({"object": "list", "data": [model]})
            case (_, "/v1/chat/completions" | "/tokenize" | "/v1/models" | "/health"):
                raise MethodNotAllowed(f"Not allowed: {scope['method']} {scope['path']}.")
            case _:
                raise NotFound(f"Unknown request URL: {scope['method']} {scope['path']}.")

    async def _chat(self, request: ChatRequest, exchange: _Exchange) -> None:
        reply = Reply(request.model or self._name, include_usage=request.include_usage)
        async with aclosing(answer(request, self._decoder)) as events:
            async for event in events:
                if request.stream:
                    await exchange.send_stream(b"".join(map(frame, reply.chunks(event))) or PULSE)
                else:
                    reply.take(event)
        if request.stream:
            await exchange.end_stream(END_OF_STREAM)
        else:
            await exchange.send_json(reply.whole())

    async def _tokenize(self, body: bytes, exchange: _Exchange) -> None:
        question = _read_question(body)
        tokens = await self._decoder.tokenize(question.prompt if question.messages is None else _asked(body))
        counted = {"count": len(tokens), "max_model_len": self._decoder.context, "tokens": tokens}
        await exchange.send_json(counted)

    def _require_key(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        given = next((value for name, value in headers if name == b"authorization"), b"")
        if not hmac.compare_digest(given, self._authorization):
            raise Unauthorized(code="invalid_api_key")


class _Tokenize(msgspec.Struct, frozen=True):
    prompt: str = ""
    messages: list[Any] | None = None


def _asked(body: bytes) -> Sequence[Mapping[str, str]]:
    """What the model would be asked first: with tools, which one it needs."""
    request = parse(body)
    functions, _ = request.offered()
    return choice_messages(request.messages, functions) if functions else in_plain_words(request.messages)


def _read_question(body: bytes) -> _Tokenize:
    try:
        return msgspec.json.decode(body, type=_Tokenize)
    except msgspec.DecodeError as error:
        raise BadRequest(f"{error}.") from error


class _Exchange:
    """One request and its reply, on the wire."""

    def __init__(self, receive: _Receive, send: _Send) -> None:
        self._receive = receive
        self._send = send
        self._begun = False

    async def body(self) -> bytes:
        """The whole body of the request; what of it came, if the caller went away."""
        parts: list[bytes] = []
        more = True
        while more:
            event = await self._receive()
            parts.append(event.get("body", b""))
            more = event.get("more_body", False)
        return b"".join(parts)

    async def unless_gone(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work`, but drop it as soon as the caller has gone."""
        working, gone = asyncio.create_task(work), asyncio.create_task(self._gone())
        try:
            await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            if not working.done():
                working.cancel()
            await asyncio.wait((working, gone))
        if not working.cancelled():
            working.result()

    async def send_json(self, body: Any, *, status: int = 200) -> None:
        await self._start(_JSON, status)
        await self._send({"type": "http.response.body", "body": msgspec.json.encode(body)})

    async def send_stream(self, data: bytes) -> None:
        if not self._begun:
            await self._start(_SSE)
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end_stream(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data})

    async def fail(self, error: CatenaError) -> None:
        """Tell the error, in the reply's head if it is not out yet, else as the last event of the stream."""
        body = {"error": error.body()}
        if self._begun:
            await self.end_stream(frame(body))
        else:
            await self.send_json(body, status=error.http_status)

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _start(self, content_type: bytes, status: int = 200) -> None:
        self._begun = True
        headers = [(b"content-type", content_type)]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
