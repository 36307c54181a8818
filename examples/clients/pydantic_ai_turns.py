"""Pydantic AI on the Responses API: `openai_previous_response_id` sends only what is new; tools are called on the way.

Also with the whole history sent by the client, streamed, and for an object.
"""

import asyncio
import os

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.openai import OpenAIResponsesModel, OpenAIResponsesModelSettings
from pydantic_ai.providers.openai import OpenAIProvider

provider = OpenAIProvider(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "not needed on this machine"),
)

CALLS = '@call weather {"city": "Oslo"}\n@also weather {"city": "Rome"}'


class Person(BaseModel):
    """Somebody."""

    name: str


def weather(city: str) -> str:
    """The weather in a city."""
    return f"It is sunny in {city}."


def agent(**settings: object) -> Agent:
    chosen = OpenAIResponsesModelSettings(**settings)
    return Agent(OpenAIResponsesModel("gpt-4o", provider=provider, settings=chosen), tools=[weather])


def check(answer: str, *needed: str) -> None:
    """The answer recites what the model saw."""
    print("   ", answer)
    missing = [each for each in needed if each not in answer]
    assert not missing, f"the model did not see {missing}"


async def two_turns(**settings: object) -> None:
    host = agent(**settings)
    first = await host.run(f"My name is Ada.\n{CALLS}")
    check(first.output, "My name is Ada", "It is sunny in Oslo", "It is sunny in Rome")
    async with host.run_stream("What is my name?", message_history=first.all_messages()) as second:
        check(await second.get_output(), "My name is Ada", "It is sunny in Rome", "What is my name?")


async def main() -> None:
    print("by previous response id")
    await two_turns(openai_previous_response_id="auto")
    print("the whole history")
    await two_turns()
    print("with nothing stored")
    await two_turns(openai_store=False)
    print("an object")
    model = OpenAIResponsesModel("gpt-4o", provider=provider)
    result = await Agent(model, output_type=NativeOutput(Person)).run('@say {"name": "Ada"}')
    assert result.output == Person(name="Ada")


asyncio.run(main())
