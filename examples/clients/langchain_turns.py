"""LangChain on the Responses API: `use_previous_response_id` sends only what is new, and a tool is called on the way.

Asked step by step, streamed, as an agent, with nothing stored, for an object, and through Chat Completions.
"""

import asyncio
import os

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

SERVER = {
    "base_url": os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1"),
    "api_key": os.environ.get("OPENAI_API_KEY", "not needed on this machine"),
}
model = ChatOpenAI(model="gpt-4o", use_responses_api=True, use_previous_response_id=True, **SERVER)

WEATHER = '@call weather {"city": "Oslo"}'


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"It is sunny in {city}."


def check(answer: AIMessage, *needed: str) -> None:
    """The answer recites what the model saw."""
    text = answer.text
    print("   ", text)
    missing = [each for each in needed if each not in text]
    assert not missing, f"the model did not see {missing}"


def step_by_step() -> None:
    asking = model.bind_tools([weather])
    said: list[BaseMessage] = [HumanMessage(f"My name is Ada.\n{WEATHER}")]
    calling = asking.invoke(said)
    (call,) = calling.tool_calls
    said += [calling, ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"])]
    answer = asking.invoke(said)
    check(answer, "My name is Ada", "It is sunny in Oslo")
    said += [answer, HumanMessage("What is my name?")]
    second = asking.invoke(said)
    check(second, "My name is Ada", "It is sunny in Oslo", "What is my name?")
    assert second.response_metadata["id"].startswith("resp_")
    assert second.usage_metadata["output_tokens"]


def streamed() -> None:
    said: list[BaseMessage] = [HumanMessage("I like plums.")]
    chunks = list(model.stream(said))
    assert len(chunks) > 2
    whole = sum(chunks[1:], chunks[0])
    check(AIMessage(whole.content), "I like plums")
    said += [
        AIMessage(whole.content, response_metadata=whole.response_metadata),
        HumanMessage("What do I like?"),
    ]
    check(model.invoke(said), "I like plums", "answered", "What do I like?")


async def as_an_agent() -> None:
    agent = create_agent(model, [weather], system_prompt="Be brief.")
    state = await agent.ainvoke({"messages": [HumanMessage(f"I live in Oslo.\n{WEATHER}\n{WEATHER}")]})
    check(state["messages"][-1], "I live in Oslo", "It is sunny in Oslo")
    state = await agent.ainvoke({"messages": [*state["messages"], HumanMessage("Where?")]})
    check(state["messages"][-1], "I live in Oslo", "It is sunny in Oslo", "Where?")


def with_nothing_stored() -> None:
    thinking = {"reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}
    forgetful = ChatOpenAI(model="gpt-4o", use_responses_api=True, store=False, **thinking, **SERVER)
    asking = forgetful.bind_tools([weather])
    said: list[BaseMessage] = [HumanMessage(f"I am tall.\n{WEATHER}")]
    said.append(asking.invoke(said))
    said += [
        ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"]) for call in said[-1].tool_calls
    ]
    said.append(asking.invoke(said))
    check(
        asking.invoke([*said, HumanMessage("Am I?")]), "I am tall", "It is sunny in Oslo", "answered", "Am I?"
    )


class Person(BaseModel):
    """Somebody."""

    name: str


def an_object() -> None:
    assert model.with_structured_output(Person).invoke('@say {"name": "Ada"}') == Person(name="Ada")


def through_chat_completions() -> None:
    chat = ChatOpenAI(model="gpt-4o", use_responses_api=False, **SERVER).bind_tools([weather])
    said: list[BaseMessage] = [HumanMessage(f"I am seven.\n{WEATHER}")]
    calling = chat.invoke(said)
    (call,) = calling.tool_calls
    said += [calling, ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"])]
    check(chat.invoke(said), "I am seven", "It is sunny in Oslo")


for part in (
    step_by_step,
    streamed,
    as_an_agent,
    with_nothing_stored,
    an_object,
    through_chat_completions,
):
    print(part.__name__.replace("_", " "))
    result = part()
    if result is not None:
        asyncio.run(result)
