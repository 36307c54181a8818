"""A server without sockets: its application is called as a web server would, and its engine answers prepared bytes.

The engine's client is the real one, down to where it writes to a transport. A stream goes on when the client has what
came before, so that each delta goes through by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.engine import END, FINISH, HEAD, LISTING, chunk, delta
from catena.config import Config
from catena.server import build_app
from catena.store.sqlite import SqliteStore
from catena.upstream.chat import ChatUpstream
from catena.upstream.routing import Route, Router
from catena.web.app import App
from catena.web.line import LINE

__all__ = ["Indoors", "indoors"]

_STAYS: Final = contextlib.nullcontext()
_A_DELTA: Final = b"response.output_text.delta"
_WHOLE: Final = (HEAD + chunk(delta(b"word ") + delta(b"word ") + FINISH) + END,)


class Indoors:
    """The application, with the verbs of a client."""

    def __init__(self, app: App, engine: _Engine) -> None:
        self._app = app
        self._engine = engine

    async def post(self, body: object) -> dict[str, Any]:
        """The response to a request to create one."""
        self._engine.answer, self._engine.at_last = _WHOLE, None
        answer = await self._ask("POST", "/v1/responses", msgspec.json.encode(body))
        made: dict[str, Any] = msgspec.json.decode(answer)
        assert made["status"] == "completed", made
        return made

    async def stream(
        self, body: Mapping[str, Any], deltas: int, at_last: Callable[[], None] | None = None
    ) -> None:
        """The same for a stream of so many deltas, each after the one before it has arrived.

        `at_last` is called when the last one has.
        """
        opening, *more = [delta(b"word ")] * deltas
        self._engine.answer = (HEAD + chunk(opening), *map(chunk, more), chunk(FINISH) + END)
        self._engine.at_last = at_last
        told = await self._ask("POST", "/v1/responses", msgspec.json.encode({**body, "stream": True}))
        assert b"event: response.completed" in told
        assert self._engine.is_done

    async def get(self, path: str, query: bytes = b"") -> bytes:
        """The body of a reply."""
        return await self._ask("GET", path, query=query)

    async def _ask(self, method: str, path: str, body: bytes = b"", query: bytes = b"") -> bytes:
        exchange = _Exchange(body, self._engine)
        scope: dict[str, Any] = {
            "type": "http",
            "extensions": {LINE: exchange},
            "method": method,
            "path": path,
            "query_string": query,
            "client": ("127.0.0.1", 1),
            "headers": [
                (b"host", b"127.0.0.1:8080"),
                (b"accept", b"application/json"),
                (b"user-agent", b"bench"),
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(body)),
            ],
        }
        await self._app(scope, exchange.receive, exchange.no_send)
        assert exchange.status == 200, (exchange.status, exchange.told)
        return b"".join(exchange.told)


class _Exchange:
    """One request and its reply, from the web server's side; its own line, too."""

    def __init__(self, body: bytes, engine: _Engine) -> None:
        self.status = 0
        self.told: list[bytes] = []
        self._body: bytes | None = body
        self._engine = engine
        # Not made by the loop, which counts those.
        self._gone: asyncio.Future[Any] = asyncio.Future(loop=asyncio.get_running_loop())

    async def receive(self) -> dict[str, Any]:
        body, self._body = self._body, None
        if body is None:
            await self._gone  # the client stays
        return {"type": "http.request", "body": body, "more_body": False}

    def watch(self, callback: Callable[[], object]) -> contextlib.AbstractContextManager[None]:
        return _STAYS

    async def reply(self, status: int, fields: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        self.status = status
        self.told.append(body)

    async def open(self, fields: Sequence[tuple[bytes, bytes]]) -> None:
        self.status = 200

    def push(self, piece: bytes) -> bool:
        if b"event: " + _A_DELTA in piece:
            self._engine.go_on()
        else:
            self.told.append(piece)
        return True

    async def send(self, piece: bytes) -> None:
        self.push(piece)

    async def close(self) -> None:
        pass

    def abandon(self) -> None:
        pass

    async def no_send(self, message: Any) -> None:
        raise AssertionError("everything goes by the line")


class _Engine:
    """Gives the pieces of `answer` to whoever asks: the first at once, each other when it is told to go on."""

    def __init__(self) -> None:
        self.answer: Sequence[bytes] = ()
        self.at_last: Callable[[], None] | None = None
        self._left: list[bytes] = []
        self._protocol: asyncio.Protocol | None = None

    def connected(self, protocol: asyncio.Protocol) -> asyncio.BaseTransport:
        return _Wire(self, protocol)

    def asked(self, protocol: asyncio.Protocol, request: bytes) -> None:
        self._protocol = protocol
        self._left = [LISTING] if request.startswith(b"GET ") else list(self.answer)
        self.go_on()

    @property
    def is_done(self) -> bool:
        return not self._left

    def go_on(self) -> None:
        if len(self._left) == 1 and self.at_last is not None:
            self.at_last()
        if self._left and self._protocol is not None:
            asyncio.get_running_loop().call_soon(self._protocol.data_received, self._left.pop(0))


class _Wire(asyncio.Transport):
    """What a connection writes to, in place of a socket."""

    def __init__(self, engine: _Engine, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._engine = engine
        self._protocol = protocol
        self._closed = False

    def write(self, data: Any) -> None:
        self._engine.asked(self._protocol, bytes(data))

    def writelines(self, pieces: Any) -> None:
        self._engine.asked(self._protocol, b"".join(pieces))

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self._closed

    def abort(self) -> None:
        if not self._closed:
            self._closed = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    close = abort


@contextlib.asynccontextmanager
async def indoors(folder: Path) -> AsyncIterator[Indoors]:
    """A server as it is without settings, but for the index of words, which is filled behind the turns.

    It runs on a loop whose `answering` says what one is connected to.
    """
    engine = _Engine()
    loop: Any = asyncio.get_running_loop()
    loop.answering = engine.connected
    store = await SqliteStore.open(folder / "store.db")
    upstream = ChatUpstream("bench", ["http://engine.invalid/v1"])
    app = build_app(Config(), store, Router({}, Route(upstream, None)))
    try:
        yield Indoors(app, engine)
    finally:
        await upstream.close()
        await store.close()
