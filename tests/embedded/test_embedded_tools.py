"""The questions that a model is asked which cannot call tools, and the reading of its answers."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from catena.embedded.dialogue import in_plain_words
from catena.embedded.request import Function, Message
from catena.embedded.tools import (
    argument_messages,
    argument_schema,
    calls_since_asked,
    choice_messages,
    choice_schema,
    chosen,
    is_repeated,
)

WEATHER = Function(
    "get_weather", "Get the weather.", {"type": "object", "properties": {"city": {"type": "string"}}}
)
TIMER = Function("set_timer")


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def call(name: str, arguments: str, call_id: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"role": "assistant", "tool_calls": [{"id": call_id, "type": "function", "function": function}]}


def result(call_id: str, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def history(*messages: dict[str, Any]) -> list[Message]:
    return msgspec.convert(messages, list[Message])


ASKED = [user("How is the weather in Oslo?")]
ANSWERED = [*ASKED, call("get_weather", '{"city": "Oslo"}', "c1"), result("c1", "rain")]


def test_without_instructions_the_model_gets_those_that_make_it_remember() -> None:
    system, said = in_plain_words(history(user("My name is Ada.")))
    assert system["role"] == "system"
    assert "Facts the user tells you are about the user" in system["content"]
    assert said == user("My name is Ada.")


def test_instructions_of_the_caller_replace_ours_and_go_first() -> None:
    messages = history(
        {"role": "system", "content": "Be brief."}, user("Hi"), {"role": "developer", "content": "Rhyme."}
    )
    assert in_plain_words(messages) == [{"role": "system", "content": "Be brief.\n\nRhyme."}, user("Hi")]


def test_messages_always_alternate() -> None:
    said = in_plain_words(history(user("One."), user("Two."), assistant("Three."), assistant("Four.")))
    assert said[1:] == [user("One.\n\nTwo."), assistant("Three.\n\nFour.")]


def test_a_result_that_waits_for_its_answer_is_a_note_with_a_request() -> None:
    (_, said) = in_plain_words(history(*ANSWERED))
    assert said == user(
        "How is the weather in Oslo?\n\n"
        '[get_weather({"city": "Oslo"}) was done. It returned: rain]\n\n'
        "Tell me in a sentence or two."
    )


def test_a_result_that_was_answered_is_a_note_only_and_what_came_before_stays_the_same() -> None:
    waiting = in_plain_words(history(*ANSWERED))[1]["content"]
    said = in_plain_words(history(*ANSWERED, assistant("It rains."), user("Thanks")))[1:]
    assert said[1:] == [assistant("It rains."), user("Thanks")]
    assert waiting.startswith(said[0]["content"])


def test_calls_without_results_and_results_without_calls_are_left_out() -> None:
    messages = history(*ASKED, call("get_weather", "{}", "c1"), result("c2", "lost"), user("Hello?"))
    assert in_plain_words(messages)[1:] == [user("How is the weather in Oslo?\n\nHello?")]


def test_parallel_calls_stand_beside_their_results() -> None:
    both = call("get_weather", '{"city": "Oslo"}', "c1")
    both["tool_calls"] += call("get_weather", '{"city": "Rome"}', "c2")["tool_calls"]
    (_, said) = in_plain_words(history(*ASKED, both, result("c2", "sun"), result("c1", "rain")))
    notes = [line for line in said["content"].splitlines() if line.startswith("[")]
    assert notes == [
        '[get_weather({"city": "Oslo"}) was done. It returned: rain]',
        '[get_weather({"city": "Rome"}) was done. It returned: sun]',
    ]


def test_the_choice_is_asked_after_examples_that_need_no_tool() -> None:
    system, *turns = choice_messages(history({"role": "system", "content": "Be brief."}, *ASKED), [WEATHER])
    assert '- get_weather: Get the weather. Arguments: {"city": {"type": "string"}}' in system["content"]
    assert system["content"].endswith("The assistant's instructions: Be brief.")
    assert [turn["content"] for turn in turns[1:6:2]] == ['{"tool": "none"}'] * 3
    assert turns[6:] == ASKED


def test_after_a_result_the_choice_is_about_the_rest() -> None:
    turns = choice_messages(history(*ANSWERED), [WEATHER])
    assert turns[-4:-1] == [
        assistant('{"tool": "get_weather"}'),
        user("Arguments for get_weather, as JSON?"),
        assistant('{"city": "Oslo"}'),
    ]
    assert turns[-1]["content"].startswith("Result of get_weather: rain\n\nWhich tool does the rest")


def test_none_can_be_chosen_unless_a_tool_is_required() -> None:
    def names(schema: dict[str, Any]) -> Any:
        return schema["properties"]["tool"]["enum"]

    assert names(choice_schema([WEATHER, TIMER], "auto")) == ["get_weather", "set_timer", "none"]
    assert names(choice_schema([WEATHER, TIMER], "required")) == ["get_weather", "set_timer"]


def test_the_choice_is_read_from_the_answer() -> None:
    assert chosen('{ "tool": "set_timer" }', [WEATHER, TIMER]) == TIMER
    assert chosen('{"tool": "none"}', [WEATHER, TIMER]) is None
    assert chosen('{"tool": "set_t', [WEATHER, TIMER]) is None


def test_the_question_for_arguments_continues_the_first_question() -> None:
    question = choice_messages(history(*ASKED), [WEATHER])
    assert argument_messages(question, WEATHER) == [
        *question,
        assistant('{"tool": "get_weather"}'),
        user("Arguments for get_weather, as JSON?"),
    ]


def test_arguments_are_an_object_with_the_named_properties_only() -> None:
    assert argument_schema(TIMER) == {"type": "object", "properties": {}, "additionalProperties": False}
    assert argument_schema(WEATHER)["properties"] == {"city": {"type": "string"}}
    assert argument_schema(WEATHER)["additionalProperties"] is False
    free = Function("f", parameters={"type": "object", "additionalProperties": True})
    assert argument_schema(free)["additionalProperties"] is True


def test_a_call_is_repeated_if_it_was_answered_since_the_user_spoke() -> None:
    made = calls_since_asked(WEATHER, history(*ANSWERED))
    assert is_repeated('{"city":"Oslo"}', made)
    assert not is_repeated('{"city":"Rome"}', made)
    assert calls_since_asked(TIMER, history(*ANSWERED)) == []
    assert calls_since_asked(WEATHER, history(*ANSWERED, user("And now?"))) == []


def test_arguments_that_are_not_json_are_compared_as_they_are() -> None:
    assert is_repeated("city Oslo", ["city Oslo"])
    assert not is_repeated("city Oslo", [json.dumps({"city": "Oslo"})])
