"""What the embedded engine accepts, and how it refuses the rest."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from catena.embedded.request import ChatRequest, parse
from catena.errors import BadRequest


def ask(**fields: Any) -> ChatRequest:
    return parse(msgspec.json.encode({"messages": [{"role": "user", "content": "Hello"}], **fields}))


def tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "narrator", "content": "Once"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content"),
        ({"temperature": "hot"}, "temperature"),
        ({"n": 2}, "n"),
        ({"tools": [{"type": "custom", "custom": {"name": "shell"}}]}, "tools[0]"),
        ({"tools": [tool("none")]}, "tools[0].function.name"),
        ({"tools": [tool("a")], "tool_choice": "sometimes"}, "tool_choice"),
        ({"tools": [tool("a")], "tool_choice": tool("b")}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_place(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        ask(**fields)
    assert refusal.value.param == param
    assert "$" not in refusal.value.message


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"messages": "\xff"}'])
def test_a_body_that_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        parse(body)


def test_parameters_without_a_meaning_here_are_passed_over() -> None:
    assert (
        ask(store=True, metadata={"a": "b"}, parallel_tool_calls=False, reasoning_effort="low").sampling == {}
    )


def test_only_the_sampling_options_that_were_given_are_passed_on() -> None:
    request = ask(temperature=0.5, seed=7, stop="\n", logprobs=True, top_logprobs=2, top_p=None)
    assert request.sampling == {
        "temperature": 0.5,
        "seed": 7,
        "stop": "\n",
        "logprobs": True,
        "top_logprobs": 2,
    }


def test_the_newer_name_of_the_limit_goes_first() -> None:
    assert ask(max_tokens=5).limit == 5
    assert ask(max_tokens=5, max_completion_tokens=3).limit == 3


@pytest.mark.parametrize(
    ("choice", "names", "mode"),
    [
        (None, ["a", "b"], "auto"),
        ("auto", ["a", "b"], "auto"),
        ("none", [], "auto"),
        ("required", ["a", "b"], "required"),
        (tool("b"), ["b"], "required"),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [tool("a")]}}, ["a"], "auto"),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [tool("a")]}},
            ["a"],
            "required",
        ),
    ],
)
def test_the_tool_choice_says_what_may_be_called(choice: Any, names: list[str], mode: str) -> None:
    functions, found = ask(tools=[tool("a"), tool("b")], tool_choice=choice).offered()
    assert ([function.name for function in functions], found) == (names, mode)


def test_the_text_of_a_message_is_all_of_its_parts() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "refusal", "refusal": "two"}]
    assert ask(messages=[{"role": "assistant", "content": parts}]).messages[0].text == "one\ntwo"
