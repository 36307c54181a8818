"""The OpenAI Agents SDK: an agent with a tool that hands over to another, its history kept by the server.

Along `previous_response_id`, in a conversation, from sessions, streamed, over a WebSocket; then with tools of its other
kinds.
"""

import asyncio
import os

from agents import (
    Agent,
    ApplyPatchTool,
    CustomTool,
    LocalShellTool,
    ModelSettings,
    OpenAIConversationsSession,
    OpenAIResponsesModel,
    Runner,
    ShellTool,
    SQLiteSession,
    ToolSearchTool,
    function_tool,
    set_default_openai_client,
    set_tracing_disabled,
)
from agents.editor import ApplyPatchOperation, ApplyPatchResult
from agents.models.openai_responses import OpenAIResponsesWSModel
from openai import AsyncOpenAI

client = AsyncOpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "not needed on this machine"),
)
set_default_openai_client(client)
set_tracing_disabled(True)


@function_tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"It is sunny in {city}."


model = OpenAIResponsesModel("gpt-4o", client)
poet = Agent(name="Poet", instructions="You write verse.", model=model, tools=[weather])
host = Agent(name="Host", instructions="You welcome guests.", model=model, tools=[weather], handoffs=[poet])

WEATHER = '@call weather {"city": "Oslo"}'
HANDOFF = "@call transfer_to_poet {}"


def check(answer: str, *needed: str) -> None:
    """The answer recites what the model saw."""
    print("   ", answer)
    missing = [each for each in needed if each not in answer]
    assert not missing, f"the model did not see {missing}"


async def by_previous_response_id() -> None:
    first = await Runner.run(host, f"My name is Ada.\n{WEATHER}\n{HANDOFF}", auto_previous_response_id=True)
    check(first.final_output, "My name is Ada", "It is sunny in Oslo", "called transfer_to_poet")
    assert first.last_agent is poet
    second = await Runner.run(
        first.last_agent, "What is my name?", previous_response_id=first.last_response_id
    )
    check(second.final_output, "My name is Ada", "It is sunny in Oslo", "What is my name?")


async def by_conversation() -> None:
    conversation = await client.conversations.create()
    first = await Runner.run(host, f"I live in Oslo.\n{WEATHER}", conversation_id=conversation.id)
    check(first.final_output, "I live in Oslo", "It is sunny in Oslo")
    second = await Runner.run(host, f"Where?\n{HANDOFF}", conversation_id=conversation.id)
    check(second.final_output, "I live in Oslo", "It is sunny in Oslo", "Where?", "called transfer_to_poet")


async def by_session() -> None:
    for session in (OpenAIConversationsSession(openai_client=client), SQLiteSession("mine")):
        first = await Runner.run(host, f"I like plums.\n{WEATHER}\n{HANDOFF}", session=session)
        check(first.final_output, "I like plums", "It is sunny in Oslo")
        second = await Runner.run(host, "What do I like?", session=session)
        check(second.final_output, "I like plums", "It is sunny in Oslo", "What do I like?")
        print("    items of the session:", [item.get("type") for item in await session.get_items()])


async def streamed() -> None:
    first = Runner.run_streamed(host, f"Count.\n{WEATHER}\n{HANDOFF}", auto_previous_response_id=True)
    kinds = [event.type async for event in first.stream_events()]
    assert {"raw_response_event", "run_item_stream_event", "agent_updated_stream_event"} <= set(kinds)
    check(first.final_output, "Count.", "It is sunny in Oslo")
    second = Runner.run_streamed(poet, "And?", previous_response_id=first.last_response_id)
    async for _ in second.stream_events():
        pass
    check(second.final_output, "Count.", "And?")


async def over_websocket() -> None:
    socket = OpenAIResponsesWSModel("gpt-4o", client)
    agent = Agent(name="Host", model=socket, tools=[weather], model_settings=ModelSettings(store=True))
    rome = '@also weather {"city": "Rome"}'
    first = await Runner.run(agent, f"I am seven.\n{WEATHER}\n{rome}", auto_previous_response_id=True)
    check(first.final_output, "I am seven", "It is sunny in Oslo", "It is sunny in Rome")
    second = await Runner.run(agent, "How old?", previous_response_id=first.last_response_id)
    check(second.final_output, "I am seven", "It is sunny in Rome", "How old?")
    await socket.close()


@function_tool(defer_loading=True)
def forecast(city: str) -> str:
    """The weather tomorrow."""
    return f"It will rain in {city}."


class Editor:
    """Applies no patch, but says so."""

    def create_file(self, operation: ApplyPatchOperation) -> ApplyPatchResult:
        return ApplyPatchResult(output=f"Created {operation.path}.")

    update_file = delete_file = create_file


async def run_code(context: object, code: str) -> str:
    return f"Ran {code}."


async def with_other_tools() -> None:
    patch = '{"type": "create_file", "path": "a.txt", "diff": "+plum"}'
    for tools, call, needed in (
        ([ShellTool(executor=lambda request: "plum")], '@call shell {"commands": ["cat fruit"]}', "plum"),
        ([LocalShellTool(executor=lambda request: "plum")], '@call local_shell {"command": ["ls"]}', "plum"),
        ([ApplyPatchTool(editor=Editor())], f"@call apply_patch {patch}", "Created a.txt"),
        (
            [CustomTool(name="code", description="Runs code.", on_invoke_tool=run_code)],
            '@call code {"input": "1 + 1"}',
            "Ran 1 + 1",
        ),
        ([forecast, ToolSearchTool()], '@call forecast {"city": "Oslo"}', "It will rain in Oslo"),
    ):
        agent = Agent(name="Worker", model=model, tools=tools)
        result = await Runner.run(agent, f"Go on.\n{call}")
        check(result.final_output, needed)


async def main() -> None:
    for part in (
        by_previous_response_id,
        by_conversation,
        by_session,
        streamed,
        over_websocket,
        with_other_tools,
    ):
        print(part.__name__.replace("_", " "))
        await part()


asyncio.run(main())
