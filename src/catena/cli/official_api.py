"""The official API as `catena import --from-openai` reads it: with patience, as one may not ask as often as one likes.

A call that fails has taken nothing, and has to be made again from its beginning: so it does not fail for what passes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from catena.moving.official import Fetch, NotTaken
from catena.upstream.faults import wait_asked_for
from catena.upstream.http import HttpClient

__all__ = ["official_api"]

_PAUSES: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0)
"""Seconds until a request is tried again, where the API does not say how long it wants."""

_PASSING: Final = {408, 429, 500, 502, 503, 504}
"""Statuses that may be another the next time."""

_REFUSED: Final = {401, 403}


@contextlib.asynccontextmanager
async def official_api(base_url: str, key: str) -> AsyncIterator[Fetch]:
    """How to fetch from the API at `base_url`, for as long as the context lasts."""
    client = HttpClient()

    async def ask(path: str) -> tuple[int, bytes, float | None]:
        reply = await client.request("GET", base_url + path, headers=[("authorization", f"Bearer {key}")])
        return reply.status, await reply.read(), wait_asked_for(reply.headers)

    async def fetch(path: str) -> dict[str, Any] | None:
        status, body, asked = await ask(path)
        for pause in _PAUSES:
            if status not in _PASSING:
                break
            await asyncio.sleep(pause if asked is None else asked)
            status, body, asked = await ask(path)
        if status == 404:
            return None
        if status != 200:
            raise NotTaken(f"{base_url} answered {status} to GET {path.partition('?')[0]}. {_advice(status)}")
        found: dict[str, Any] = msgspec.json.decode(body)
        return found

    try:
        yield fetch
    finally:
        await client.close()


def _advice(status: int) -> str:
    if status in _REFUSED:
        return "Does OPENAI_API_KEY belong to the project that has the responses, and may it read them?"
    if status in _PASSING:
        return "Nothing was taken. Try again later, or with fewer ids at a time."
    return "Nothing was taken. Is --base-url the base of the API, up to /v1?"
