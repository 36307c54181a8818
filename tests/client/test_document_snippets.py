"""The two programs of the how-to that people come with, where only the import line differs.

The drop-in exists because the SDK refuses both; what it says is pinned here and, for its other versions, in
`matrix_script`.
"""

from __future__ import annotations

import asyncio
import os

import openai
import pytest

from catena import OpenAI
from tests.client.recording_server import RecordingServer
from tests.conformance.proves import proves


@pytest.fixture(autouse=True)
def _set_up(server: RecordingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-reader")
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)


@proves("11.4.c")
def test_the_second_completion_continues_the_first(server: RecordingServer) -> None:
    client = OpenAI(api_key=os.environ["OPENAI_API_KEY"])
    response1 = client.chat.completions.create(
        model="gpt-4o",
        messages=[{"role": "user", "content": "What are the key features of Python?"}],
    )
    response2 = client.chat.completions.create(
        model="gpt-4o",
        previous_response_id=response1.id,
        messages=[{"role": "user", "content": "Can you give more details about the second one?"}],
    )

    assert response2.choices[0].message.content == "about Can you give more details about the second one?"
    assert response1.previous_response_id is None
    assert response2.previous_response_id == response1.id
    assert [body.get("previous_response_id") for body in server.bodies] == [None, response1.id]
    assert "previous_response_id" not in server.bodies[0]
    assert server.requests[1].headers["authorization"] == "Bearer sk-of-the-reader"
    client.close()


@proves("11.4.c")
def test_acreate_is_awaited_on_the_plain_client(server: RecordingServer) -> None:
    client = OpenAI(api_key=os.environ["OPENAI_API_KEY"])

    async def main() -> tuple[str, list[str | None]]:
        first = await client.chat.completions.acreate(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": "Name three programming languages."}],
        )
        follow_ups = await asyncio.gather(
            *(
                client.chat.completions.acreate(
                    model="gpt-4o-mini",
                    previous_response_id=first.id,
                    messages=[{"role": "user", "content": question}],
                )
                for question in ("Which is the oldest?", "Which is the fastest?")
            )
        )
        return first.id, [response.choices[0].message.content for response in follow_ups]

    first_id, answers = asyncio.run(main())

    assert answers == ["about Which is the oldest?", "about Which is the fastest?"]
    assert [body.get("previous_response_id") for body in server.bodies] == [None, first_id, first_id]
    assert all(request.headers["authorization"] == "Bearer sk-of-the-reader" for request in server.requests)
    client.close()


@proves("11.signature")
@pytest.mark.parametrize("flavour", [openai.OpenAI, openai.AsyncOpenAI])
async def test_the_sdk_itself_refuses_the_keyword_before_it_sends_anything(
    flavour: type[openai.OpenAI | openai.AsyncOpenAI], server: RecordingServer
) -> None:
    completions = flavour().chat.completions

    with pytest.raises(TypeError) as refusal:
        await completions.create(model="gpt-4o", messages=[], previous_response_id="x")  # type: ignore[call-overload]  # the point

    name = type(completions).__name__
    assert str(refusal.value) == f"{name}.create() got an unexpected keyword argument 'previous_response_id'"
    assert server.requests == []


@proves("11.acreate")
@pytest.mark.parametrize("flavour", [openai.OpenAI, openai.AsyncOpenAI])
def test_the_sdk_itself_has_no_acreate(flavour: type[openai.OpenAI | openai.AsyncOpenAI]) -> None:
    completions = flavour().chat.completions

    with pytest.raises(AttributeError) as lack:
        completions.acreate  # type: ignore[union-attr]  # noqa: B018  # the point

    assert str(lack.value) == f"'{type(completions).__name__}' object has no attribute 'acreate'"


@proves("11.extra_body", "11.extra_field")
def test_the_sdk_itself_sends_what_is_in_extra_body(server: RecordingServer) -> None:
    with openai.OpenAI() as client:
        completion = client.chat.completions.create(
            model="gpt-4o",
            messages=[{"role": "user", "content": "More, please."}],
            extra_body={"previous_response_id": "chatcmpl-1"},
        )

    assert server.bodies[0]["previous_response_id"] == "chatcmpl-1"
    assert completion.model_extra == {"previous_response_id": "chatcmpl-1"}
