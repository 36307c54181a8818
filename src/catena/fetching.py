"""What clients name by a URL, fetched for them: past the guard, within bounds of size and time."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import unquote, urljoin, urlsplit

import msgspec

from catena.guard import Guard, Refused
from catena.upstream.http import HttpClient, HttpError, Reply

__all__ = ["FetchFailed", "Fetched", "Fetcher"]

_REDIRECTS: Final = 3
_HEADERS: Final = (("accept", "*/*"), ("accept-encoding", "identity"), ("user-agent", "catena"))


class FetchFailed(Exception):
    """It could not be fetched; the message says why, in words that follow "could not be fetched: "."""


class Fetched(msgspec.Struct, frozen=True):
    """What was there. `filename` is the last part of the path."""

    content: bytes
    filename: str


class Fetcher:
    """Fetches at most `max_bytes` within `seconds`. `client` must connect only where `guard` lets it."""

    def __init__(self, client: HttpClient, guard: Guard, *, max_bytes: int, seconds: float) -> None:
        self._client = client
        self._guard = guard
        self._max_bytes = max_bytes
        self._seconds = seconds

    async def fetch(self, url: str) -> Fetched:
        """What is at `url`, also where it leads somewhere else. Raises FetchFailed."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._follow(url)
        except TimeoutError:
            raise FetchFailed(f"that took longer than {self._seconds:g} seconds.") from None
        except (HttpError, Refused) as error:
            raise FetchFailed(f"{error}") from error
        except ValueError:
            raise FetchFailed("it is not a valid URL.") from None

    async def close(self) -> None:
        """Give connections back."""
        await self._client.close()

    async def _follow(self, url: str) -> Fetched:
        for _ in range(_REDIRECTS + 1):
            await self._guard.check(url)
            reply = await self._client.request("GET", url, headers=_HEADERS)
            async with reply:
                leads_to = reply.headers.get("location")
                if reply.status not in (301, 302, 303, 307, 308) or not leads_to:
                    return await self._read(reply, url)
            url = urljoin(url, leads_to)
        raise FetchFailed(f"it leads on more than {_REDIRECTS} times.")

    async def _read(self, reply: Reply, url: str) -> Fetched:
        if reply.status != 200:
            raise FetchFailed(f"the answer was {reply.status}.")
        told = reply.headers.get("content-length", "")
        if told.isdigit() and int(told) > self._max_bytes:
            raise self._too_large()
        content = bytearray()
        async for piece in reply:
            content += piece
            if len(content) > self._max_bytes:
                raise self._too_large()
        return Fetched(bytes(content), unquote(urlsplit(url).path.rpartition("/")[2]))

    def _too_large(self) -> FetchFailed:
        return FetchFailed(f"it is larger than {self._max_bytes} bytes.")
