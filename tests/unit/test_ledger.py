"""What the API says when calls and outputs do not match (spec §3.4)."""

from typing import Any

import pytest

from catena.context.ledger import NOTHING_OPEN, answering, check_input, open_after, without_orphans
from catena.errors import BadRequest
from tests.conformance.proves import proves

USER = {"type": "message", "role": "user", "content": "go on"}


def call(call_id: str, **more: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": "{}", **more}


def output(call_id: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": "1"}


def refused(before: dict[str, str], *items: dict[str, Any]) -> str:
    with pytest.raises(BadRequest) as refusal:
        check_input(before, items)
    assert (refusal.value.status, refusal.value.param, refusal.value.code) == (400, "input", None)
    return refusal.value.message


@proves("3.4.function_call")
def test_a_call_without_its_output_is_named() -> None:
    assert refused({"call_1": "function_call"}, USER) == "No tool output found for function call call_1."


@proves("3.4.46")
def test_every_one_of_parallel_calls_needs_its_output_in_any_order() -> None:
    waiting = open_after(NOTHING_OPEN, [call("call_1"), call("call_2")])
    check_input(waiting, [output("call_2"), output("call_1")])
    assert refused(dict(waiting), output("call_2")) == "No tool output found for function call call_1."


@proves("3.4.output")
def test_an_output_without_its_call_is_named() -> None:
    expected = "No tool call found for function call output with call_id call_9."
    assert refused({}, output("call_9")) == expected


def test_an_output_cannot_come_twice() -> None:
    assert "No tool call found" in refused({"call_1": "function_call"}, output("call_1"), output("call_1"))


def test_a_replayed_pair_within_the_input_is_whole() -> None:
    check_input(NOTHING_OPEN, [USER, call("call_1"), output("call_1"), USER])


@proves("3.4.shell_call")
def test_other_kinds_of_calls_are_named_as_the_api_names_them() -> None:
    assert refused({"c": "shell_call"}, USER) == "No tool output found for shell call c."
    assert refused({"c": "custom_tool_call"}, USER) == "No tool output found for custom tool call c."
    lonely = {"type": "shell_call_output", "call_id": "c", "output": []}
    assert refused({}, lonely) == "No shell call found for shell call output with call_id c."


def test_a_call_that_was_cut_off_waits_for_nothing() -> None:
    assert not open_after(NOTHING_OPEN, [call("call_1", status="incomplete")])


@proves("3.4.46.async")
def test_an_asynchronous_call_may_be_answered_later() -> None:
    waiting = open_after(NOTHING_OPEN, [call("call_1", **{"async": True})])
    check_input(waiting, [USER])
    later = open_after(waiting, [USER])
    check_input(later, [output("call_1")])
    assert not open_after(later, [output("call_1")])
    assert "No tool call found" in refused({}, output("call_1"))


@proves("3.4.reasoning")
def test_reasoning_needs_what_followed_it() -> None:
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": []}
    expected = "Item 'rs_1' of type 'reasoning' was provided without its required following item."
    assert refused({}, reasoning) == expected
    assert refused({}, reasoning, USER) == expected
    check_input(NOTHING_OPEN, [reasoning, {"type": "message", "role": "assistant", "content": "so"}, USER])


def test_orphans_go_with_a_deleted_neighbour() -> None:
    kept = without_orphans(NOTHING_OPEN, [output("call_1"), USER], answered=())
    assert kept == [USER]
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": []}
    kept = without_orphans(NOTHING_OPEN, [USER, reasoning, call("call_1")], answered={"call_1"})
    assert kept == [USER]


def test_an_output_that_answers_no_call_outlives_its_deleted_neighbours() -> None:
    notice = {"type": "function_call_output", "name": "f", "output": "1"}
    assert without_orphans(NOTHING_OPEN, [notice, USER], answered=()) == [notice, USER]


def test_an_output_from_a_chat_message_takes_the_kind_of_its_call() -> None:
    told = [output("call_1"), output("call_2"), USER]
    kept = answering({"call_1": "custom_tool_call", "call_2": "function_call"}, told)
    assert kept == [{**output("call_1"), "type": "custom_tool_call_output"}, output("call_2"), USER]


def test_an_output_without_the_id_of_its_call_answers_the_only_one_there_is() -> None:
    nameless = {"type": "function_call_output", "name": "f", "output": "1"}
    assert answering({"call_1": "function_call"}, [nameless]) == [output("call_1")]
    assert answering({"call_1": "function_call", "call_2": "function_call"}, [nameless]) == [nameless]
