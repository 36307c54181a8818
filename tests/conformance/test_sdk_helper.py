"""What the official SDK's own reader of streams needs of a server (spec §4.4)."""

from __future__ import annotations

from typing import Any

import pytest
from openai import APIError

from catena.chunks import Finish, TextDelta
from catena.errors import UpstreamError
from tests.conformance.answers import ANSWERS, ENDINGS, HOSTED, TOOLS, engine
from tests.conformance.proves import proves
from tests.running import StartServer


@proves("4.4.first", "4.4.parts", "4.4.identity", "4.4.output")
@pytest.mark.parametrize("answer", [*ANSWERS.values(), *HOSTED.values()])
async def test_the_helper_puts_every_shape_of_output_together(start_server: StartServer, answer: Any) -> None:
    async with start_server(engine=engine([*answer, Finish("stop")], dialect="responses")) as server:
        async with server.client.responses.stream(model="m", input="?", tools=TOOLS) as helped:
            events = [event async for event in helped]
            final = await helped.get_final_response()
        stored = await server.client.responses.retrieve(final.id)
        assert ids_of(final) == ids_of(stored)
        assert final.output_text == stored.output_text
        snapshots = [event.snapshot for event in events if event.type == "response.output_text.delta"]
        assert not snapshots or stored.output_text.endswith(snapshots[-1])


def ids_of(response: Any) -> list[str]:
    return [item.id for item in response.output]


@proves("4.5.32")
async def test_the_helper_takes_up_a_stream_by_its_id(start_server: StartServer) -> None:
    async with start_server(engine=engine(ANSWERS["text"])) as server:
        stream = await server.client.responses.create(model="m", input="?", stream=True)
        numbers = [event.sequence_number async for event in stream]
        response_id = event_id = ""
        again = await server.client.responses.create(model="m", input="?", stream=True)
        async for event in again:
            if event.type == "response.created":
                response_id = event.response.id
        async with server.client.responses.stream(response_id=response_id, starting_after=4) as helped:
            later = [event.sequence_number async for event in helped]
            event_id = (await helped.get_final_response()).id
        assert event_id == response_id
        assert later == numbers[5:]


@proves("4.4.error", "4.3.28")
async def test_an_error_is_raised_with_its_message(start_server: StartServer) -> None:
    trouble = UpstreamError("The engine went away.", code="upstream_disconnected")
    async with start_server(engine=engine([TextDelta("half"), trouble])) as server:
        stream = await server.client.responses.create(model="m", input="?", stream=True)
        with pytest.raises(APIError, match=r"The engine went away\.") as raised:
            [event async for event in stream]
        assert (raised.value.code, raised.value.type) == ("upstream_disconnected", "upstream_error")
        with pytest.raises(APIError, match=r"The engine went away\."):
            async with server.client.responses.stream(model="m", input="?") as helped:
                [event async for event in helped]


@proves("4.4.unfinished")
async def test_a_stream_that_does_not_complete_just_ends(start_server: StartServer) -> None:
    async with start_server(engine=engine(ENDINGS["length"])) as server:
        stream = await server.client.responses.create(model="m", input="?", stream=True)
        assert [event.type async for event in stream][-1] == "response.incomplete"
        async with server.client.responses.stream(model="m", input="?") as helped:
            with pytest.raises(RuntimeError, match=r"response\.completed"):
                await helped.get_final_response()
