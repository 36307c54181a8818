"""`acreate` on the plain client: truly asynchronous, and at home in every event loop that awaits it."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from openai.types.chat import ChatCompletionChunk

from catena import OpenAI
from tests.client.recording_server import RecordingServer

ASKED: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}


@pytest.fixture
def client(server: RecordingServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=server.base_url, max_retries=0) as client:
        yield client


def connections(server: RecordingServer) -> list[tuple[str, int]]:
    return [request.connection for request in server.requests]


async def test_two_calls_are_under_way_at_once(client: OpenAI, server: RecordingServer) -> None:
    server.meeting = threading.Barrier(2, timeout=5)

    async with asyncio.timeout(5):
        await asyncio.gather(*(client.chat.completions.acreate(**ASKED) for _ in range(2)))

    assert len(server.requests) == 2


def test_one_client_serves_one_event_loop_after_the_other(client: OpenAI, server: RecordingServer) -> None:
    async def twice() -> None:
        await client.chat.completions.acreate(**ASKED)
        await client.chat.completions.acreate(**ASKED)

    asyncio.run(twice())
    asyncio.run(twice())

    first, second, third, fourth = connections(server)
    assert first == second != third == fourth, "a loop has one connection, and takes over none"


def test_a_loop_may_end_in_the_middle_of_a_stream(client: OpenAI, server: RecordingServer) -> None:
    async def first_chunk() -> str | None:
        stream = await client.chat.completions.acreate(**ASKED, stream=True)
        chunk: ChatCompletionChunk = await anext(aiter(stream))
        return chunk.choices[0].delta.content

    assert [asyncio.run(first_chunk()) for _ in range(2)] == ["about", "about"]


async def test_a_copy_shares_the_connections(client: OpenAI, server: RecordingServer) -> None:
    await client.chat.completions.acreate(**ASKED)
    await client.with_options(timeout=5).chat.completions.acreate(**ASKED)

    first, second = connections(server)
    assert first == second


def test_connections_are_closed_with_their_loop(client: OpenAI, server: RecordingServer) -> None:
    async def call() -> None:
        await client.chat.completions.acreate(**ASKED)

    asyncio.run(call())

    assert server.closed.get(timeout=5) == connections(server)[0]


async def test_connections_of_a_client_that_is_gone_are_closed_while_the_loop_goes_on(
    server: RecordingServer,
) -> None:
    with OpenAI(base_url=server.base_url) as client:
        await client.chat.completions.acreate(**ASKED)
    del client
    gc.collect()

    assert await asyncio.to_thread(server.closed.get, timeout=5) == connections(server)[0]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the program's own leak
def test_a_loop_that_is_closed_by_hand_is_forgotten(client: OpenAI, server: RecordingServer) -> None:
    async def call() -> None:
        await client.chat.completions.acreate(**ASKED)

    by_hand = asyncio.new_event_loop()
    by_hand.run_until_complete(call())
    by_hand.close()
    of_by_hand = weakref.ref(by_hand)
    del by_hand
    asyncio.run(call())
    gc.collect()

    assert len(server.requests) == 2
    assert of_by_hand() is None


def test_outside_of_asyncio_it_says_so(client: OpenAI, server: RecordingServer) -> None:
    awaitable = client.chat.completions.acreate(**ASKED)

    with pytest.raises(RuntimeError, match="no running event loop"):
        awaitable.send(None)

    assert server.requests == []
