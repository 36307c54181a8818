"""The official SDK over WebSocket: plain, asynchronous, in lanes, and with a connection that breaks and comes back."""

import asyncio
import os
from typing import Any

from openai import AsyncOpenAI, OpenAI
from openai.lib.responses_websocket import (
    AsyncResponsesWebSocketSession,
    ResponsesWebSocketLimits,
    ResponsesWebSocketSession,
)
from openai.resources.responses.responses import AsyncResponsesConnection
from openai.types.responses import Response
from openai.types.websocket_reconnection import ReconnectingEvent

BASE_URL = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1")
API_KEY = os.environ.get("OPENAI_API_KEY", "not needed on this machine")

LIMITS = ResponsesWebSocketLimits(
    max_lanes=8, max_events_per_lane=1000, max_events=4000, max_bytes_per_lane=2**22, max_bytes=2**24
)
WEATHER = '@call weather {"city": "Oslo"}'
TOOL = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def check(response: Response, *needed: str) -> None:
    """The answer recites what the model saw."""
    print("   ", response.output_text)
    missing = [each for each in needed if each not in response.output_text]
    assert not missing, f"the model did not see {missing}"


def outputs(response: Response) -> list[Any]:
    return [
        {"type": "function_call_output", "call_id": item.call_id, "output": "It is sunny in Oslo."}
        for item in response.output
        if item.type == "function_call"
    ]


def synchronous() -> None:
    with (
        OpenAI(base_url=BASE_URL, api_key=API_KEY) as client,
        client.responses.connect() as connection,
        ResponsesWebSocketSession(connection, limits=LIMITS) as session,
    ):
        lane = session.default

        def turn(**request: Any) -> Response:
            lane.send({"type": "response.create", "model": "gpt-4o", "store": False, **request})
            return lane.get_final_response(timeout=30)

        calling = turn(input=f"My name is Ada.\n{WEATHER}", tools=[TOOL])
        first = turn(input=outputs(calling), previous_response_id=calling.id)
        check(first, "My name is Ada", "It is sunny in Oslo")
        second = turn(input="What is my name?", previous_response_id=first.id)
        check(second, "My name is Ada", "It is sunny in Oslo", "What is my name?")


async def in_lanes() -> None:
    async with (
        AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY) as client,
        client.responses.connect() as connection,
        AsyncResponsesWebSocketSession(connection, limits=LIMITS) as session,
    ):

        async def chain(name: str) -> None:
            lane = session.lane(name)
            parent: dict[str, str] = {}
            for number in range(5):
                request: Any = {"model": "gpt-4o", "input": f"{name} {number}", "stream_id": name, **parent}
                await lane.send({"type": "response.create", **request})
                last = await lane.get_final_response()
                parent = {"previous_response_id": last.id}
            check(last, *(f"{name} {number}" for number in range(5)))

        await asyncio.gather(*(chain(name) for name in ("plum", "pear", "fig")))


async def reconnecting() -> None:
    relay = await Relay.to(BASE_URL)
    cut_with: list[int] = []
    lost = asyncio.Event()

    def on_reconnecting(event: ReconnectingEvent) -> None:
        cut_with.append(event.close_code)
        lost.set()

    async def go_on(connection: AsyncResponsesConnection, parent: str) -> None:
        await lost.wait()  # what is sent from now on waits for the connection to be back
        await connection.response.create(model="gpt-4o", input="Where?", previous_response_id=parent)

    async with (
        AsyncOpenAI(base_url=relay.base_url, api_key=API_KEY) as client,
        client.responses.connect(on_reconnecting=on_reconnecting) as connection,
    ):
        await connection.response.create(model="gpt-4o", input="I live in Oslo.")
        async for event in connection:
            if event.type == "response.completed" and not cut_with:
                going_on = asyncio.create_task(go_on(connection, event.response.id))
                relay.cut()
            elif event.type == "response.completed":
                check(event.response, "I live in Oslo", "Where?")
                break
    await going_on
    print("    reconnected after the close codes", cut_with)
    relay.close()


class Relay:
    """A way to the server that can be cut."""

    def __init__(self, host: str, port: int, path: str) -> None:
        self._target = (host, port)
        self._path = path
        self._writers: list[asyncio.StreamWriter] = []

    @classmethod
    async def to(cls, base_url: str) -> "Relay":
        place, _, path = base_url.removeprefix("http://").partition("/")
        host, _, port = place.partition(":")
        relay = cls(host, int(port), path)
        relay._server = await asyncio.start_server(relay._connected, "127.0.0.1", 0)
        return relay

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/{self._path}"

    def cut(self) -> None:
        """Break every connection without a word."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def close(self) -> None:
        self.cut()
        self._server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ours, theirs = await asyncio.open_connection(*self._target)
        self._writers += [writer, theirs]
        await asyncio.gather(self._pass_on(reader, theirs), self._pass_on(ours, writer))

    @staticmethod
    async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()


print("synchronous")
synchronous()
print("in lanes")
asyncio.run(in_lanes())
print("reconnecting")
asyncio.run(reconnecting())
