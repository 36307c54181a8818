"""Every form of a call, once, with the SDK of the environment that runs this: see `test_sdk_versions`.

Each request carries the name of its form as its question. The names of the forms are printed at the end.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import openai
from openai.resources.chat import completions as sdk
from pydantic import BaseModel

from catena import AsyncOpenAI, OpenAI, __version__

PARENT = "chatcmpl-parent"
CHAT_PARSES = hasattr(sdk.Completions, "parse")

forms: list[str] = []


class Answer(BaseModel):
    number: int


def asking(form: str) -> dict[str, Any]:
    forms.append(form)
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": form}]}


def turn(form: str) -> dict[str, Any]:
    return {**asking(form), "previous_response_id": PARENT}


def text(chunks: Any) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def synchronous(client: Any) -> None:
    completions = client.chat.completions
    assert completions.create(**turn("create")).previous_response_id == PARENT
    assert text(completions.create(**turn("create stream"), stream=True)) == "about create stream"
    raw = completions.with_raw_response.create(**turn("create raw"))
    assert raw.status_code == 200
    assert raw.parse().previous_response_id == PARENT
    raw = client.with_raw_response.chat.completions.create(**turn("client raw"))
    assert raw.parse().previous_response_id == PARENT
    with completions.with_streaming_response.create(**turn("create streaming")) as streaming:
        assert streaming.parse().previous_response_id == PARENT
    with client.with_streaming_response.chat.completions.create(**turn("client streaming")) as streaming:
        assert streaming.parse().previous_response_id == PARENT
    shorter = client.with_options(timeout=30)
    assert type(shorter) is OpenAI
    assert shorter.chat.completions.create(**turn("copy")).previous_response_id == PARENT
    helpers = {"beta": client.beta.chat.completions}
    if CHAT_PARSES:
        helpers["chat"] = completions
    for name, resource in helpers.items():
        parsed = resource.parse(**turn(f"{name} parse"), response_format=Answer)
        assert parsed.choices[0].message.parsed == Answer(number=42)
        parsed = resource.with_raw_response.parse(**turn(f"{name} parse raw"), response_format=Answer).parse()
        assert parsed.choices[0].message.parsed == Answer(number=42)
        with resource.stream(**turn(f"{name} stream")) as stream:
            stream.until_done()
            assert stream.get_final_completion().choices[0].message.content == f"about {name} stream"


async def asynchronous(client: Any) -> None:
    completions = client.chat.completions
    assert (await completions.create(**turn("async create"))).previous_response_id == PARENT
    assert (await completions.acreate(**turn("async acreate"))).previous_response_id == PARENT
    chunks = [chunk async for chunk in await completions.create(**turn("async create stream"), stream=True)]
    assert text(chunks) == "about async create stream"
    raw = await completions.with_raw_response.create(**turn("async create raw"))
    assert raw.parse().previous_response_id == PARENT
    async with completions.with_streaming_response.create(**turn("async create streaming")) as streaming:
        assert (await streaming.parse()).previous_response_id == PARENT
    shorter = client.with_options(timeout=30)
    assert type(shorter) is AsyncOpenAI
    assert (await shorter.chat.completions.create(**turn("async copy"))).previous_response_id == PARENT
    helpers = {"async beta": client.beta.chat.completions}
    if CHAT_PARSES:
        helpers["async chat"] = completions
    for name, resource in helpers.items():
        parsed = await resource.parse(**turn(f"{name} parse"), response_format=Answer)
        assert parsed.choices[0].message.parsed == Answer(number=42)
        async with resource.stream(**turn(f"{name} stream")) as stream:
            await stream.until_done()
            final = await stream.get_final_completion()
            assert final.choices[0].message.content == f"about {name} stream"


async def awaited_on_the_plain_client(client: Any, run: int) -> None:
    acreate = client.chat.completions.acreate
    first, second = await asyncio.gather(
        acreate(**turn(f"gather {run} a")), acreate(**turn(f"gather {run} b"))
    )
    assert first.previous_response_id == second.previous_response_id == PARENT
    chunks = [chunk async for chunk in await acreate(**turn(f"acreate {run} stream"), stream=True)]
    assert text(chunks) == f"about acreate {run} stream"


def refusal(call: Callable[[], object]) -> str:
    try:
        call()
    except (AttributeError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    return "accepted"


def stock() -> None:
    """What the SDK itself says: the reason for all this."""
    with openai.OpenAI() as client:
        completions: Any = client.chat.completions
        async_completions: Any = openai.AsyncOpenAI().chat.completions
        assert refusal(lambda: completions.create(model="m", messages=[], previous_response_id=PARENT)) == (
            "TypeError: Completions.create() got an unexpected keyword argument 'previous_response_id'"
        )
        assert refusal(lambda: async_completions.acreate) == (
            "AttributeError: 'AsyncCompletions' object has no attribute 'acreate'"
        )
        assert refusal(lambda: completions.acreate) == (
            "AttributeError: 'Completions' object has no attribute 'acreate'"
        )
        completion = completions.create(**asking("stock"), extra_body={"previous_response_id": PARENT})
        assert completion.previous_response_id == PARENT


async def all_asynchronous() -> None:
    async with AsyncOpenAI() as client:
        await asynchronous(client)


stock()
with OpenAI() as plain:
    synchronous(plain)
    for run in (1, 2):
        asyncio.run(awaited_on_the_plain_client(plain, run))
asyncio.run(all_asynchronous())

ours = {name for name in sys.modules if name.split(".")[0] == "catena"}
assert all(name == "catena" or name.startswith("catena.client") for name in ours), ours
print(json.dumps({"openai": openai.__version__, "catena": __version__, "forms": forms}))
