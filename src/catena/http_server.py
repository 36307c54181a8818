"""A server that answers over HTTP, from its listening sockets to the signal that stops it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence

import uvicorn

from catena.config import Config
from catena.web.app import App
from catena.web.bounds import Bounds, bounded

__all__ = ["HttpServer", "bind", "event_loop", "serve"]

_PONG_WITHIN = 60.0
"""Seconds in which the client of a WebSocket must answer a ping."""

_STOPPING = (signal.SIGINT, signal.SIGTERM)

_GOODBYES = 5
"""Seconds that clients have to take the ends of runs that were stopped, before their connections are closed."""


class HttpServer(uvicorn.Server):
    """uvicorn, which says when it is ready."""

    def __init__(
        self, app: App, *, stop_within: float = 10.0, told: Callable[[], object] = lambda: None
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=bounded(Bounds(app.terms.patience)),
                ws="websockets-sansio",
                ws_max_size=app.terms.max_body,
                ws_ping_interval=app.terms.ping or None,
                ws_ping_timeout=_PONG_WITHIN,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                timeout_keep_alive=app.terms.keep_alive,
                timeout_graceful_shutdown=round(stop_within) + _GOODBYES,
            )
        )
        self.ready = asyncio.Event()
        self._told = told
        self._app = app
        self._stop_within = stop_within
        self._closing: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGINT and SIGTERM. Unlike uvicorn's own way this does not raise the signal again afterwards, of
        which the process would die before its store is closed."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in _STOPPING:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in _STOPPING:
                loop.remove_signal_handler(number)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let requests go on for a while; then end their runs, so that every client hears of an end."""
        for listening in self.servers:
            listening.close()
        loop = asyncio.get_running_loop()
        end = loop.time() + self._stop_within
        patience = loop.call_at(end, self._close_app)
        # uvicorn would cut WebSockets off in the middle of a response.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(end):
                await self._app.stop()
        self.config.timeout_graceful_shutdown = max(0, round(end - loop.time())) + _GOODBYES
        await super().shutdown(sockets)
        patience.cancel()
        await self._close_app()

    def _close_app(self) -> asyncio.Task[None]:
        if self._closing is None:
            self._closing = asyncio.create_task(self._app.close())
        return self._closing

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self._app.start()
        await super().startup(sockets)
        self.ready.set()
        self._told()


def bind(config: Config) -> socket.socket:
    """The listening socket. Raises OSError where the address cannot be had."""
    family = socket.AF_INET6 if ":" in config.server.host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it, short replies wait for 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((config.server.host, config.server.port))
        listening.listen(2048)
    except OSError:
        listening.close()
        raise
    listening.setblocking(False)
    return listening


def event_loop() -> asyncio.AbstractEventLoop:
    """The fastest event loop that this platform has."""
    try:
        import uvloop
    except ImportError:
        from catena.plain_loop import plain_loop  # leans on what is private to asyncio

        return plain_loop()
    return uvloop.new_event_loop()


def _settle_collector() -> None:
    """What was built until now lives as long as the server: the collector need not go through it again and again.

    Nor so often through the rest, which leaves few cycles: at 64 requests at once that was a fifth of the processor's
    time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


async def serve(
    app: App, sockets: Sequence[socket.socket], *, stop_within: float, ready: Callable[[], object]
) -> None:
    """Answer until a signal says stop; then give what is under way `stop_within` seconds. `ready` is called once
    requests are answered."""
    _settle_collector()
    await HttpServer(app, stop_within=stop_within, told=ready).serve(sockets=list(sockets))
