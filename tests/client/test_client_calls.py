"""What a call of the drop-in sends: the SDK's request, with `previous_response_id` in its body."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from catena import AsyncOpenAI, OpenAI
from tests.client.recording_server import RecordingServer

ASKED: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}
PARENT = "chatcmpl-parent"


class Answer(BaseModel):
    number: int


@pytest.fixture
def client(server: RecordingServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=server.base_url, api_key="key") as client:
        yield client


@pytest.fixture
async def async_client(server: RecordingServer) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=server.base_url, api_key="key") as client:
        yield client


def only(server: RecordingServer) -> dict[str, Any]:
    (body,) = server.bodies
    return body


def test_create(client: OpenAI, server: RecordingServer) -> None:
    completion = client.chat.completions.create(**ASKED, previous_response_id=PARENT, temperature=0.5)

    assert only(server) == {**ASKED, "temperature": 0.5, "previous_response_id": PARENT}
    assert completion.previous_response_id == PARENT
    assert type(completion) is openai.types.chat.ChatCompletion


def test_create_with_a_stream(client: OpenAI, server: RecordingServer) -> None:
    chunks = list(client.chat.completions.create(**ASKED, previous_response_id=PARENT, stream=True))

    assert only(server) == {**ASKED, "stream": True, "previous_response_id": PARENT}
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["about", " Why?", None]


def test_with_raw_response(client: OpenAI, server: RecordingServer) -> None:
    raw = client.chat.completions.with_raw_response.create(**ASKED, previous_response_id=PARENT)

    assert only(server)["previous_response_id"] == PARENT
    assert raw.headers["content-type"] == "application/json"
    assert raw.parse().previous_response_id == PARENT


def test_with_streaming_response(client: OpenAI, server: RecordingServer) -> None:
    with client.chat.completions.with_streaming_response.create(
        **ASKED, previous_response_id=PARENT
    ) as reply:
        assert reply.parse().previous_response_id == PARENT

    assert only(server)["previous_response_id"] == PARENT


@pytest.mark.parametrize("prefix", ["with_raw_response", "with_streaming_response"])
def test_raw_and_streaming_forms_can_be_chosen_on_the_client_too(
    prefix: str, client: OpenAI, server: RecordingServer
) -> None:
    completions = getattr(client, prefix).chat.completions
    reply = completions.create(**ASKED, previous_response_id=PARENT)
    if prefix == "with_streaming_response":
        with reply:
            pass

    assert only(server)["previous_response_id"] == PARENT


@pytest.mark.parametrize("path", ["chat", "beta"])
def test_parse(path: str, client: OpenAI, server: RecordingServer) -> None:
    completions = client.chat.completions if path == "chat" else client.beta.chat.completions

    completion = completions.parse(**ASKED, previous_response_id=PARENT, response_format=Answer)

    assert only(server)["previous_response_id"] == PARENT
    assert completion.choices[0].message.parsed == Answer(number=42)


@pytest.mark.parametrize("path", ["chat", "beta"])
def test_the_stream_helper(path: str, client: OpenAI, server: RecordingServer) -> None:
    completions = client.chat.completions if path == "chat" else client.beta.chat.completions

    with completions.stream(**ASKED, previous_response_id=PARENT) as stream:
        stream.until_done()
        assert stream.get_final_completion().choices[0].message.content == "about Why?"

    assert only(server) == {**ASKED, "stream": True, "previous_response_id": PARENT}


@pytest.mark.parametrize("method", ["copy", "with_options"])
def test_a_copy_is_a_drop_in_too(method: str, client: OpenAI, server: RecordingServer) -> None:
    copy = getattr(client, method)(default_headers={"x-copy": "yes"})
    copy.chat.completions.create(**ASKED, previous_response_id=PARENT)

    assert type(copy) is OpenAI
    assert only(server)["previous_response_id"] == PARENT
    assert server.requests[0].headers["x-copy"] == "yes"
    assert server.requests[0].headers["authorization"] == "Bearer key"


@pytest.mark.parametrize("name", ["create", "acreate"])
async def test_create_and_acreate_of_the_asynchronous_client(
    name: str, async_client: AsyncOpenAI, server: RecordingServer
) -> None:
    ask = getattr(async_client.chat.completions, name)

    completion = await ask(**ASKED, previous_response_id=PARENT)
    chunks = [chunk async for chunk in await ask(**ASKED, previous_response_id=PARENT, stream=True)]

    assert completion.previous_response_id == PARENT
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["about", " Why?", None]
    assert [body["previous_response_id"] for body in server.bodies] == [PARENT, PARENT]


async def test_the_other_forms_of_the_asynchronous_client(
    async_client: AsyncOpenAI, server: RecordingServer
) -> None:
    completions = async_client.chat.completions
    ours: Any = {**ASKED, "previous_response_id": PARENT}

    assert (await completions.with_raw_response.create(**ours)).parse().previous_response_id == PARENT
    async with completions.with_streaming_response.create(**ours) as reply:
        assert (await reply.parse()).previous_response_id == PARENT
    for resource in (completions, async_client.beta.chat.completions):
        parsed = await resource.parse(**ours, response_format=Answer)
        assert parsed.choices[0].message.parsed == Answer(number=42)
        async with resource.stream(**ours) as stream:
            await stream.until_done()
    assert type(async_client.with_options(timeout=5)) is AsyncOpenAI

    assert [body["previous_response_id"] for body in server.bodies] == [PARENT] * 6


@pytest.mark.parametrize("nothing", [None, openai.NOT_GIVEN, openai.omit])
def test_none_and_not_given_are_not_sent(nothing: Any, client: OpenAI, server: RecordingServer) -> None:
    for own in ({"top_k": 4}, {"previous_response_id": PARENT}):
        client.chat.completions.create(**ASKED, previous_response_id=nothing, extra_body=own)

    assert server.bodies == [{**ASKED, "top_k": 4}, {**ASKED, "previous_response_id": PARENT}]


def test_an_empty_id_is_sent_for_the_server_to_refuse(client: OpenAI, server: RecordingServer) -> None:
    client.chat.completions.create(**ASKED, previous_response_id="")

    assert only(server)["previous_response_id"] == ""


def test_the_callers_own_extra_body_is_kept_and_left_alone(client: OpenAI, server: RecordingServer) -> None:
    own = {"top_k": 4}

    client.chat.completions.create(**ASKED, previous_response_id=PARENT, extra_body=own)

    assert only(server) == {**ASKED, "top_k": 4, "previous_response_id": PARENT}
    assert own == {"top_k": 4}


def test_the_id_may_come_in_extra_body_as_with_the_sdk(client: OpenAI, server: RecordingServer) -> None:
    client.chat.completions.create(**ASKED, extra_body={"previous_response_id": PARENT})
    client.chat.completions.create(
        **ASKED, previous_response_id=PARENT, extra_body={"previous_response_id": PARENT}
    )

    assert [body["previous_response_id"] for body in server.bodies] == [PARENT, PARENT]


def test_two_different_ids_are_refused_before_anything_is_sent(
    client: OpenAI, server: RecordingServer
) -> None:
    with pytest.raises(TypeError) as refusal:
        client.chat.completions.create(
            **ASKED, previous_response_id="a", extra_body={"previous_response_id": "b"}
        )

    assert str(refusal.value) == (
        "got two values for previous_response_id: 'a' as a keyword, 'b' in extra_body"
    )
    assert server.requests == []


def test_an_extra_body_that_is_no_mapping_is_refused(client: OpenAI, server: RecordingServer) -> None:
    with pytest.raises(TypeError, match="extra_body must be a mapping, not list"):
        client.chat.completions.create(**ASKED, previous_response_id=PARENT, extra_body=[])

    assert server.requests == []


def test_an_unknown_keyword_is_still_refused_by_the_sdk(client: OpenAI, server: RecordingServer) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'previous_respose_id'"):
        client.chat.completions.create(**ASKED, previous_respose_id=PARENT)  # type: ignore[call-overload]  # the point

    assert server.requests == []


@pytest.mark.parametrize("name", ["create", "parse", "stream"])
def test_help_shows_the_keyword_beside_those_of_the_sdk(name: str, client: OpenAI) -> None:
    parameters = inspect.signature(getattr(client.chat.completions, name)).parameters

    assert {"model", "messages", "previous_response_id", "extra_body"} < set(parameters)
    assert parameters["previous_response_id"].default is None
