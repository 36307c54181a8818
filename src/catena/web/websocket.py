"""`GET /v1/responses`, upgraded: the same responses over one lasting connection (spec §7).

This door knows the socket and for how long it may last. What the messages on it mean is the business of `lanes`.
"""

from __future__ import annotations

import asyncio
import contextlib

from catena.errors import BadRequest
from catena.lanes import Connection, Gone, Limits
from catena.runs import Runs
from catena.web.http import Receive, Send, Visitor
from catena.web.routes import Routes

__all__ = ["SocketRoutes"]

_GOING_AWAY = 1001
_RESTARTING = 1012


class SocketRoutes:
    """The connections of one server. `lifetime` is in seconds; 0 is without end."""

    def __init__(
        self,
        runs: Runs,
        *,
        lifetime: float = 3600.0,
        limits: Limits | None = None,
        warm_engine: bool = False,
    ) -> None:
        self._runs = runs
        self._lifetime = lifetime
        self._limits = limits or Limits()
        self._warm_engine = warm_engine
        self._open: dict[Connection, Send] = {}

    def register(self, routes: Routes) -> None:
        routes.add_socket("/v1/responses", self.connected, scope="api.responses.write")

    async def connected(self, visitor: Visitor, receive: Receive, send: Send) -> None:
        """Serve a connection that was accepted, until it ends."""

        async def send_text(text: str) -> None:
            try:
                await send({"type": "websocket.send", "text": text})
            except (OSError, RuntimeError):
                # It was closed: by the client, or by us while something was still being told.
                raise Gone from None

        connection = Connection(
            self._runs,
            visitor.project,
            send_text,
            admit=visitor.admit,
            limits=self._limits,
            warm_engine=self._warm_engine,
        )
        self._open[connection] = send
        try:
            async with asyncio.timeout(self._lifetime or None) as lifetime:
                await _listen(connection, receive)
        except TimeoutError:
            if not lifetime.expired():
                raise
            await self._expire(connection, send)
        finally:
            del self._open[connection]
            await connection.close()

    async def _expire(self, connection: Connection, send: Send) -> None:
        with contextlib.suppress(Gone):
            await connection.tell(
                BadRequest(
                    f"Responses websocket connection limit reached ({self._lifetime / 60:g} minutes). Create a new "
                    "websocket connection to continue.",
                    code="websocket_connection_limit_reached",
                )
            )
        await _close(send, _GOING_AWAY)

    async def drain(self) -> None:
        """The server stops: let what is under way end, and close every connection, for the client to come back."""
        await asyncio.gather(*(self._dismiss(*each) for each in self._open.items()))

    async def _dismiss(self, connection: Connection, send: Send) -> None:
        await connection.drain()
        await _close(send, _RESTARTING)


async def _listen(connection: Connection, receive: Receive) -> None:
    with contextlib.suppress(Gone):
        while (message := await receive())["type"] == "websocket.receive":
            text = message.get("text")
            await connection.take(message["bytes"] if text is None else text.encode())


async def _close(send: Send, code: int) -> None:
    with contextlib.suppress(OSError, RuntimeError):
        await send({"type": "websocket.close", "code": code})
