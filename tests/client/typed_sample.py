"""What a user's type checker is asked to accept, and to refuse: read by `test_client_typing`, never run."""

import asyncio
import os
from typing import Any, assert_type

from openai import AsyncStream, Stream
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel

from catena import AsyncOpenAI, OpenAI, __version__

assert_type(__version__, str)

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
assert_type(response2.choices[0].message.content, str | None)
assert_type(response2.previous_response_id, str | None)


async def main() -> None:
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
    assert_type([response.choices[0].message.content for response in follow_ups], list[str | None])


asyncio.run(main())


class Answer(BaseModel):
    number: int


def other_forms(options: dict[str, Any], streamed: bool) -> None:
    completions = client.with_options(timeout=5).chat.completions
    completions.create(model="m", messages=[], previous_response_id=None, extra_body={"top_k": 4}, timeout=5)
    completions.create(model="m", messages=[], **options)
    assert_type(
        completions.create(model="m", messages=[], previous_response_id="x", stream=True),
        Stream[ChatCompletionChunk],
    )
    either = completions.create(model="m", messages=[], previous_response_id="x", stream=streamed)
    if not isinstance(either, Stream):
        assert_type(either.previous_response_id, str | None)
    raw = completions.with_raw_response.create(model="m", messages=[], previous_response_id="x")
    assert_type(raw.parse().previous_response_id, str | None)
    with completions.with_streaming_response.create(
        model="m", messages=[], previous_response_id="x"
    ) as reply:
        assert_type(reply.parse().previous_response_id, str | None)
    for resource in (completions, client.beta.chat.completions):
        parsed = resource.parse(model="m", messages=[], previous_response_id="x", response_format=Answer)
        assert_type(parsed.choices[0].message.parsed, Answer | None)
        with resource.stream(model="m", messages=[], previous_response_id="x") as stream:
            stream.until_done()


async def other_asynchronous_forms(client: AsyncOpenAI) -> None:
    completions = client.with_options(timeout=5).chat.completions
    for ask in (completions.create, completions.acreate):
        completion = await ask(model="m", messages=[], previous_response_id="x")
        assert_type(completion.previous_response_id, str | None)
        chunks = await ask(model="m", messages=[], previous_response_id="x", stream=True)
        assert_type(chunks, AsyncStream[ChatCompletionChunk])
    raw = await completions.with_raw_response.create(model="m", messages=[], previous_response_id="x")
    assert_type(raw.parse().previous_response_id, str | None)
    async with completions.with_streaming_response.create(
        model="m", messages=[], previous_response_id="x"
    ) as reply:
        assert_type((await reply.parse()).previous_response_id, str | None)
    parsed = await completions.parse(model="m", messages=[], previous_response_id="x", response_format=Answer)
    assert_type(parsed.choices[0].message.parsed, Answer | None)


def refused() -> None:
    """A line that is accepted after all makes its suppression superfluous, which is an error too."""
    client.chat.completions.create(model="m", messages=[], previous_response_id=1)  # type: ignore[call-overload]
    client.chat.completions.create(model="m", messages=[], previous_respose_id="x")  # type: ignore[call-overload]
    client.chat.completions.create(messages=[], previous_response_id="x")  # type: ignore[call-overload]
    client.chat.completions.create(model="m", messages=[], temperature="hot")  # type: ignore[call-overload]
    OpenAI(timeout="soon")  # type: ignore[arg-type]
