"""A running server, asked over HTTP: where it is, what it says, and what to do if it says nothing.

Calls block, so that Ctrl-C ends them like anything else in a terminal.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import ssl
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec
import typer

from catena.cli.harmless import clean
from catena.cli.replies import Context, Entry, Forgotten, Listed, Models, Response, Shape
from catena.cli.terminal import stop
from catena.sse import Decoder

__all__ = ["DEFAULT_URL", "Refused", "Remote", "Unreachable", "Url", "asked_of", "named"]

R = TypeVar("R")

DEFAULT_URL: Final = "http://127.0.0.1:8080/v1"

Url = Annotated[
    str, typer.Option("--url", envvar="CATENA_URL", help="The server; its key comes from CATENA_API_KEY.")
]

_CONNECT: Final = 10.0
_SILENCE: Final = 600.0
"""Seconds without a sign of life. Streams have one every few seconds, other replies may take as long as an answer."""


class Unreachable(Exception):
    """No server answers."""


class Refused(Exception):
    """The server answers with an error, whose message this is."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@contextlib.contextmanager
def asked_of(url: str) -> Iterator[Remote]:
    """The server at `url`. What it refuses, and that it does not answer, ends the command with a word about it."""
    try:
        yield Remote(url)
    except (Unreachable, Refused) as error:
        stop(clean(str(error)))


def named(remote: Remote, name: str) -> str:
    """The id that is meant: `last` is the newest turn, and `-` the first word of the standard input."""
    if name == "last":
        newest = remote.listed(1)
        if not newest:
            stop("Nothing is stored yet. Say something first: catena chat")
        return newest[0].id
    if name == "-":
        words = sys.stdin.readline().split()
        if not words:
            stop("Expected an id on the standard input, but nothing came.")
        return words[0]
    return name


class _Envelope(msgspec.Struct):
    error: Mapping[str, Any] = {}


class Remote:
    """The server at `url`, which ends in `/v1` or is completed by it. All methods raise Unreachable and Refused."""

    def __init__(self, url: str, key: str | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Unreachable(f"{url} is no address of a server. Expected something like {DEFAULT_URL}.")
        self.url = url
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._path = parts.path.rstrip("/") or "/v1"
        self._key = key if key is not None else os.environ.get("CATENA_API_KEY", "")

    def tree(self, response_id: str) -> tuple[Shape, list[Entry]]:
        """The tree that a turn is in, parents before children."""
        return self._part(response_id, "tree")

    def path(self, response_id: str) -> list[Entry]:
        """The turns from the root to this one."""
        return self._part(response_id, "path")[1]

    def _part(self, response_id: str, part: str) -> tuple[Shape, list[Entry]]:
        path = f"/responses/{_quoted(response_id)}/lineage"
        found: list[Entry] = []
        after: str | None = None
        while True:
            page = self._get(path, Listed, part=part, limit=1000, after=after)
            found += page.data
            if not page.has_more:
                assert page.tree is not None
                return page.tree, found
            after = page.data[-1].id

    def listed(self, limit: int, **query: Any) -> list[Entry]:
        """The newest turns, or trees with `roots="true"`, of as many pages as it takes."""
        found: list[Entry] = []
        after: str | None = None
        while len(found) < limit:
            page = self._get("/responses", Listed, limit=min(100, limit - len(found)), after=after, **query)
            found += page.data
            if not page.has_more:
                break
            after = page.data[-1].id
        return found

    def context(self, response_id: str, *, own: bool = False) -> Context:
        """A turn with what came before it, or alone."""
        query = {"own": "true"} if own else {}
        return self._get(f"/responses/{_quoted(response_id)}/context", Context, **query)

    def response(self, response_id: str) -> dict[str, Any]:
        """A response as the API tells it, with all its settings."""
        return self._get(f"/responses/{_quoted(response_id)}", dict[str, Any])

    def models(self) -> list[str]:
        """The models that can be asked, by name."""
        return [model.id for model in self._get("/models", Models).data]

    def create(self, body: Mapping[str, Any]) -> Response:
        """A new response, whole."""
        return self._decoded(self._ask("POST", "/responses", body), Response)

    def cancel(self, response_id: str) -> Response:
        """End a background response; it as it was left."""
        return self._decoded(self._ask("POST", f"/responses/{_quoted(response_id)}/cancel", {}), Response)

    def forget(self, end_user: str, *, dry_run: bool) -> Forgotten:
        """Remove all that belongs to one end user, or only find it."""
        query = urlencode({"id": end_user, "dry_run": str(dry_run).lower()})
        return self._decoded(self._ask("DELETE", f"/end_users?{query}"), Forgotten)

    def stream(self, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """A new response as its events, as they come."""
        reply = self._ask("POST", "/responses", {**body, "stream": True})
        decoder = Decoder()
        with reply:
            while piece := _alive(lambda: reply.read1(65536)):
                for event in decoder.feed(piece):
                    yield msgspec.json.decode(event.data, type=dict[str, Any])

    def _get(self, path: str, shape: type[R], **query: Any) -> R:
        given = {name: value for name, value in query.items() if value is not None}
        return self._decoded(self._ask("GET", f"{path}?{urlencode(given)}" if given else path), shape)

    def _decoded(self, reply: http.client.HTTPResponse, shape: type[R]) -> R:
        with reply:
            body = _alive(reply.read)
        try:
            return msgspec.json.decode(body, type=shape)
        except msgspec.DecodeError as error:
            raise Unreachable(
                f"What answers at {self.url} is not a Catena server of this version."
            ) from error

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> http.client.HTTPResponse:
        # One request for each connection, which is closed with its reply.
        headers = {"accept": "application/json, text/event-stream", "connection": "close"}
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        content = None if body is None else msgspec.json.encode(body)
        if content is not None:
            headers["content-type"] = "application/json"
        connection = self._connection()
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise Unreachable(
                f"No server answers at {self.url} ({_reason(error)}). Start one with: catena serve\n"
                "Or say where it is: --url, or the environment variable CATENA_URL."
            ) from error
        connection.sock.settimeout(_SILENCE)
        try:
            _alive(lambda: connection.request(method, self._path + path, body=content, headers=headers))
            reply = _alive(connection.getresponse)
        except BaseException:
            connection.close()
            raise
        if reply.status >= 400:
            raise _refusal(reply)
        return reply

    def _connection(self) -> http.client.HTTPConnection:
        if self._secure:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=_CONNECT, context=context)
        return http.client.HTTPConnection(self._host, self._port, timeout=_CONNECT)


def _alive(call: Callable[[], R]) -> R:
    try:
        return call()
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"The server went away while it was asked: {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return "there is no such host"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return str(getattr(error, "strerror", None) or error) or type(error).__name__


def _refusal(reply: http.client.HTTPResponse) -> Refused:
    with reply:
        body = _alive(reply.read)
    try:
        message = str(msgspec.json.decode(body, type=_Envelope).error["message"])
    except (msgspec.DecodeError, KeyError):
        message = f"The server answered with status {reply.status}, and not as a Catena does. Is --url right?"
    if reply.status == 401:
        message += " Set CATENA_API_KEY to a key of this server."
    elif reply.status == 404 and message.startswith("Response with id"):
        message += " What is stored is listed by: catena ls --turns"
    return Refused(reply.status, message)


def _quoted(response_id: str) -> str:
    return quote(response_id, safe="")
