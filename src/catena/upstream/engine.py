"""What the adapters of all dialects share: an engine behind HTTP, at one base URL or at several equal ones.

Which base URL is asked, and whether again, is decided elsewhere (`balance`, `retry`), and so is what a failure
means (`faults`); here these decisions meet the network. An answer of which a chunk was told is never asked for
again.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any, Final, TypedDict, TypeVar, Unpack

import msgspec

from catena.chunks import Chunk
from catena.errors import UpstreamError
from catena.taps import Tapped
from catena.traceparent import passed_on
from catena.upstream import ModelInfo
from catena.upstream.answer import Answer, Normaliser
from catena.upstream.balance import Replica, Replicas
from catena.upstream.faults import Faults, wait_asked_for
from catena.upstream.http import HttpClient, HttpError, Reply, Timeouts
from catena.upstream.http.head import request_head
from catena.upstream.listing import listed_models
from catena.upstream.retry import GiveUp, RetryPolicy, next_step

__all__ = ["Access", "Engine"]

log = logging.getLogger("catena.upstream")

T = TypeVar("T")

_EVENT_LIMIT: Final = 32 * 1024 * 1024
_REPLY_LIMIT: Final = 64 * 1024 * 1024
_ERROR_LIMIT: Final = 256 * 1024
_LISTING: Final = Timeouts(connect=5.0, first=10.0, between=10.0)
_LISTING_FRESH: Final = 5.0


class Access(TypedDict, total=False):
    """How an engine is reached.

    `key` goes along as a bearer token. Without a `client`, the engine gets one of its own. No event of a stream may
    have more than `event_limit` bytes.
    """

    key: str | None
    client: HttpClient
    timeouts: Timeouts
    retry: RetryPolicy
    event_limit: int


class Engine:
    """An engine at `base_urls`. Raises ValueError for a URL or a key that cannot be sent."""

    def __init__(self, name: str, base_urls: Sequence[str], **access: Unpack[Access]) -> None:
        key = access.get("key")
        self.name = name
        self._replicas = Replicas(base_urls)
        self.errors: Counter[str] = Counter()
        """Tries that failed, by the code of the error."""
        self._faults = Faults(name, secret=key or "")
        self._headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)
        if key:
            self._headers += (("authorization", f"Bearer {key}"),)
        client = access.get("client")
        self._client = client or HttpClient()
        self._owns_client = client is None
        self._timeouts = access.get("timeouts", Timeouts())
        self._policy = access.get("retry", RetryPolicy())
        self._event_limit = access.get("event_limit", _EVENT_LIMIT)
        self._models: Sequence[ModelInfo] = ()
        self._models_until = 0.0
        for url in base_urls:
            request_head("POST", _address(url, "/models"), self._headers)

    async def models(self) -> Sequence[ModelInfo]:
        """What the engine serves, as it was a few seconds ago at most. Raises UpstreamError."""
        now = asyncio.get_running_loop().time()
        if now >= self._models_until:
            self._models = await self._persist(self._list)
            self._models_until = now + _LISTING_FRESH
        return self._models

    async def forward(self, path: str, body: bytes) -> tuple[int, str, bytes]:
        """POST `body` to `path` below the base URL as it is: status, content type and body of the reply.

        Raises UpstreamError where the engine cannot be reached, cannot serve, or does not let this server in.
        """

        async def post(replica: Replica) -> tuple[int, str, bytes]:
            reply = await self._request("POST", replica, path, (body,))
            async with reply:
                content = await self._read(reply)
            if reply.status in (401, 403, 429) or reply.status >= 500:
                raise self._refusal(reply, content)
            return reply.status, reply.headers.get("content-type", "application/json"), content

        return await self._persist(post)

    async def inquire(
        self, method: str, path: str, body: bytes = b"", *, root: bool = False, tree: str = ""
    ) -> Any:
        """The answer to a side question, decoded; None if there is none. It is asked once, and no failure counts.

        With `root` the path is beside the `/v1` of the base URL.
        """
        url = self._replicas.order(tree)[0].url
        try:
            reply = await self._client.request(
                method,
                _address(_rooted(url) if root else url, path),
                headers=self._headers,
                body=(body,) if body else (),
                timeouts=_LISTING,
            )
            async with reply:
                content = await reply.read(_REPLY_LIMIT)
            return msgspec.json.decode(content) if reply.status == 200 else None
        except (HttpError, ValueError, RecursionError):
            return None

    async def close(self) -> None:
        """Give the connections back, if they are this engine's own."""
        if self._owns_client:
            await self._client.close()

    async def _ask(
        self, path: str, body: Sequence[bytes], *, tree: str, normaliser: Callable[[Faults], Normaliser]
    ) -> Tapped[Sequence[Chunk]]:
        """POST `body` and tell the answer, one batch of chunks for each read of the network."""
        tries = _Tries(self.name, self._replicas.order(tree), self._policy, self.errors)
        while True:
            told = False
            tap = None
            answer = None
            with tries.replica as replica:
                try:
                    answer = await self._answer(replica, path, body, normaliser(self._faults))
                    while batch := await answer.batch(tap):
                        if not told:
                            told = True
                            replica.succeeded()
                        tap = yield batch
                    return
                except UpstreamError as error:
                    if told:
                        error.retryable = False
                    delay = tries.after(error)
                finally:
                    if answer is not None:
                        answer.close()
            await asyncio.sleep(delay)

    async def _answer(
        self, replica: Replica, path: str, body: Sequence[bytes], normaliser: Normaliser
    ) -> Answer:
        reply = await self._request("POST", replica, path, body)
        if reply.status != 200:
            async with reply:
                raise self._refusal(reply, await self._read_error(reply))
        return Answer(reply, normaliser, self._faults, limit=self._event_limit)

    async def _persist(self, ask: Callable[[Replica], Awaitable[T]]) -> T:
        """What `ask` gets from the first base URL that gives it."""
        tries = _Tries(self.name, self._replicas.order(""), self._policy, self.errors)
        while True:
            with tries.replica as replica:
                try:
                    got = await ask(replica)
                except UpstreamError as error:
                    delay = tries.after(error)
                else:
                    replica.succeeded()
                    return got
            await asyncio.sleep(delay)

    async def _list(self, replica: Replica) -> Sequence[ModelInfo]:
        reply = await self._request("GET", replica, "/models", (), _LISTING)
        async with reply:
            if reply.status != 200:
                raise self._refusal(reply, await self._read_error(reply))
            body = await self._read(reply)
        try:
            return listed_models(body)
        except ValueError:
            raise self._faults.garbage("sent what is not a list of models") from None

    async def _request(
        self,
        method: str,
        replica: Replica,
        path: str,
        body: Sequence[bytes],
        timeouts: Timeouts | None = None,
    ) -> Reply:
        trace = passed_on.get()
        try:
            return await self._client.request(
                method,
                _address(replica.url, path),
                headers=self._headers if trace is None else (*self._headers, ("traceparent", trace)),
                body=body,
                timeouts=timeouts or self._timeouts,
            )
        except HttpError as error:
            raise self._faults.of_connection(error) from error

    async def _read(self, reply: Reply) -> bytes:
        try:
            return await reply.read(_REPLY_LIMIT)
        except HttpError as error:
            raise self._faults.of_connection(error) from error

    async def _read_error(self, reply: Reply) -> bytes:
        """The body of a refusal, or nothing if it cannot be had: the status says enough."""
        try:
            return await reply.read(_ERROR_LIMIT)
        except HttpError:
            return b""

    def _refusal(self, reply: Reply, body: bytes) -> UpstreamError:
        return self._faults.refusal(reply.status, body, retry_after=wait_asked_for(reply.headers))


class _Tries:
    """The tries of one request to the engine `name`. `replica` is the one whose turn it is."""

    def __init__(
        self, name: str, order: Sequence[Replica], policy: RetryPolicy, errors: Counter[str]
    ) -> None:
        self._name = name
        self._errors = errors
        self._order = order
        self._policy = policy
        self._attempt = 1
        self._began = time.monotonic()

    @property
    def replica(self) -> Replica:
        return self._order[(self._attempt - 1) % len(self._order)]

    def after(self, error: UpstreamError) -> float:
        """How long to wait before the next try. Raises `error` if there is none."""
        self._errors[error.code or "upstream_error"] += 1
        if _is_to_blame(error):
            self.replica.failed()
        step = next_step(
            error,
            attempt=self._attempt,
            replicas_left=max(0, len(self._order) - self._attempt),
            spent=time.monotonic() - self._began,
            jitter=random.random(),  # noqa: S311 - spreads load, keeps no secret
            policy=self._policy,
        )
        blamed = error.upstream_status >= 500
        # The cause names the address, which is the operator's to know, and nothing that was said.
        log.log(
            logging.WARNING if blamed else logging.INFO,
            "engine %s, try %d: %s (%s)",
            self._name,
            self._attempt,
            error.code,
            error.__cause__ or error.upstream_status,
        )
        if isinstance(step, GiveUp):
            raise error
        self._attempt += 1
        return step.delay


def _is_to_blame(error: UpstreamError) -> bool:
    """Whether others should be asked before this base URL for a while."""
    return error.upstream_status >= 500 and error.code != "upstream_authentication_error"


def _rooted(base_url: str) -> str:
    base, mark, query = base_url.partition("?")
    return base.rstrip("/").removesuffix("/v1") + mark + query


@lru_cache(maxsize=512)
def _address(base_url: str, path: str) -> str:
    """The URL of `path` below `base_url`, whose query, if it has one, stays at the end."""
    base, mark, query = base_url.partition("?")
    return f"{base.rstrip('/')}{path}{mark}{query}"
