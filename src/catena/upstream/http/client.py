"""Requests to engines: over a connection that is free, or a new one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from typing import TypeAlias

from catena.upstream.http.connection import Connection, Timeouts
from catena.upstream.http.head import Headers, Origin, request_head
from catena.upstream.http.pool import Pool
from catena.upstream.http.reply import HttpError, Reply

__all__ = ["HttpClient", "Resolve"]

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses to connect to for a host and a port, in the order of preference; at least one. Raises OSError where
there is none. Any other error passes through `request`."""


class HttpClient:
    """Asks engines over HTTP/1.1. One client serves all upstreams, on one event loop.

    `max_idle` bounds the connections to one origin that are kept while nobody uses them. `resolve` looks hosts up in
    place of the system, and may refuse one.
    """

    def __init__(
        self, *, timeouts: Timeouts | None = None, max_idle: int = 256, resolve: Resolve | None = None
    ) -> None:
        self._timeouts = timeouts or Timeouts()
        self._pool = Pool(max_idle)
        self._resolve = resolve

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Headers = (),
        body: bytes | Sequence[bytes] = b"",
        timeouts: Timeouts | None = None,
    ) -> Reply:
        """Send a request and wait for the head of its answer, whatever its status.

        `body` may come in pieces, which need not be joined first. `host`, `user-agent` and `accept-encoding`
        may be given in `headers`; what frames the message may not. Raises HttpError, and ValueError for what
        is no request.

        A kept connection that closes before any of the answer has come is replaced by a new one, once and
        silently: its engine had closed it while the request was on its way (RFC 9112 §9.3.1).
        """
        head = request_head(method, url, headers)
        # No empty piece is at the end: asyncio's own transport never gets rid of that (Python 3.12, 3.13).
        pieces = ((body,) if body else ()) if isinstance(body, bytes) else body
        first = head.to_bytes(sum(map(len, pieces)))
        timeouts = timeouts or self._timeouts
        kept = self._pool.take(head.origin)
        if kept is not None:
            try:
                return await kept.ask(first, pieces, timeouts)
            except HttpError as error:
                if error.kind != "lost" or kept.heard or self._pool.closed:
                    raise
        connection = await self._connect(head.origin, timeouts.connect, sent_nothing=kept is None)
        return await connection.ask(first, pieces, timeouts)

    async def close(self) -> None:
        """Close every connection. Reading a reply that is under way raises HttpError."""
        await self._pool.close()

    async def _connect(self, origin: Origin, seconds: float, *, sent_nothing: bool) -> Connection:
        try:
            async with asyncio.timeout(seconds):
                connection = await self._open(origin)
        except TimeoutError as error:
            message = f"{origin} did not accept a connection in time"
            raise HttpError("connect_timeout", message, sent_nothing=sent_nothing) from error
        except (OSError, UnicodeError) as error:
            raise HttpError("connect", f"{origin} {_why(error)}", sent_nothing=sent_nothing) from error
        if self._pool.closed:
            connection.abort()
            message = f"{origin} was not asked, as the client is closed"
            raise HttpError("connect", message, sent_nothing=sent_nothing)
        return connection

    async def _open(self, origin: Origin) -> Connection:
        """A connection to the first address that accepts one. Raises what the last one raised."""
        resolve = self._resolve
        addresses = [origin.host] if resolve is None else await resolve(origin.host, origin.port)
        for address in addresses[:-1]:
            with contextlib.suppress(OSError):
                return await self._open_at(address, origin)
        return await self._open_at(addresses[-1], origin)

    async def _open_at(self, address: str, origin: Origin) -> Connection:
        connection = Connection(origin, self._pool)
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: connection,
                address,
                origin.port,
                ssl=self._trust if origin.tls else None,
                server_hostname=origin.host if origin.tls else None,
            )
        except BaseException:
            # uvloop does not tell the protocol when it was made at the moment when it was not wanted any more.
            self._pool.lost(connection)
            raise
        return connection

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        """Made when it is first needed, as reading the system's certificates takes its time."""
        context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        return context


def _why(error: Exception) -> str:
    """What is wrong with a host, in words that follow its name."""
    match error:
        case ConnectionRefusedError():
            return "refused the connection"
        case socket.gaierror() | UnicodeError():
            return "is not a known host"
        case ssl.SSLCertVerificationError():
            return f"has a certificate that is not trusted: {error.verify_message}"
        case ssl.SSLError():
            return "does not speak TLS as it should"
        case _:
            return "cannot be reached"
