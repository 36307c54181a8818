"""Responses fetched from an API that is busy, or lets nobody in."""

from __future__ import annotations

import asyncio

import pytest

from catena.cli.official_api import official_api
from catena.moving.official import NotTaken
from tests.running import LIMIT
from tests.upstream.raw_engine import Engine, Peer, Script, raw_engine


def answering(*statuses: int) -> Script:
    """The script that gives these answers, whatever is asked."""
    left = list(statuses)

    async def script(peer: Peer) -> None:
        while await peer.request():
            status, body = left.pop(0), b'{"id":"it"}'
            head = f"HTTP/1.1 {status} X\r\nretry-after: 0\r\ncontent-length: {len(body)}\r\n\r\n"
            await peer.send(head.encode() + body)

    return script


async def fetched(engine: Engine) -> object:
    async with asyncio.timeout(LIMIT), official_api(f"{engine.url}/v1", "sk-x") as fetch:
        return await fetch("/responses/it?include[]=x")


async def test_an_api_that_is_asked_too_often_is_asked_again() -> None:
    async with raw_engine(answering(429, 503, 200)) as engine:
        assert await fetched(engine) == {"id": "it"}
        assert len(engine.requests) == 3
        assert all(b"authorization: Bearer sk-x" in request for request in engine.requests)


async def test_what_is_not_there_is_not_asked_for_again() -> None:
    async with raw_engine(answering(404)) as engine:
        assert await fetched(engine) is None


@pytest.mark.parametrize(
    ("statuses", "advice"),
    [((401,), "OPENAI_API_KEY"), ((400,), "--base-url"), ((429,) * 8, "Try again later")],
)
async def test_an_api_that_does_not_answer_is_told_with_what_can_be_done(
    statuses: tuple[int, ...], advice: str
) -> None:
    async with raw_engine(answering(*statuses)) as engine:
        with pytest.raises(NotTaken, match=f"answered {statuses[-1]} to GET /responses/it.*{advice}"):
            await fetched(engine)
        assert len(engine.requests) == len(statuses)
