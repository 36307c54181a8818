"""Tool calls from a model that cannot make them: two questions whose answers are constrained.

Asked in its own template's way, the default model writes about tools instead of calling them. So it is asked first
which tool it needs, where it can only name one of them or "none", and then for the arguments, where it can only
write what the tool's schema allows. With three examples of messages that need no tool it chooses rightly in 39 of
40 trials, half of which need one. The second question continues the first, so that nearly all of it is in the
engine's cache already.

Everything here is a pure function of the request; asking is somebody else's work.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from catena.embedded.dialogue import Round, Transcript, instructions, rounds
from catena.embedded.request import NO_TOOL, Function, Message, ToolMode

__all__ = [
    "argument_messages",
    "argument_schema",
    "calls_since_asked",
    "choice_messages",
    "choice_schema",
    "chosen",
    "is_repeated",
]

_NEED_NO_TOOL: Final = ("Hello!", "Tell me about the Moon.", "Write a short poem.")

# What is asked after a result decides between two faults: to go on calling, or to stop too early. With this wording
# none of 11 finished requests got a needless call, while of 8 that needed two calls 4 got both: a second *kind* of
# tool is asked for, a second call of the same tool rarely.
_WHAT_ELSE: Final = (
    f'Which tool does the rest of my request need? {{"tool": "{NO_TOOL}"}} if nothing is left to do.'
)


def choice_messages(history: Sequence[Message], functions: Sequence[Function]) -> list[dict[str, str]]:
    """The question which tool the last message of the history needs."""
    transcript = Transcript(_introduction(functions, instructions(history)))
    for example in _NEED_NO_TOOL:
        transcript.add("user", example)
        transcript.add("assistant", _naming(NO_TOOL))
    last: Round | Message | None = None
    for last in rounds(history):
        if isinstance(last, Round):
            _add_call(transcript, last.name, last.arguments)
            transcript.add("user", f"Result of {last.name}: {last.result}")
        else:
            transcript.add(last.role, last.text)
    if isinstance(last, Round):
        transcript.add("user", _WHAT_ELSE)
    return transcript.messages


def choice_schema(functions: Sequence[Function], mode: ToolMode) -> dict[str, Any]:
    """The answers that the first question allows."""
    names = [function.name for function in functions]
    return _object({"tool": {"enum": names if mode == "required" else [*names, NO_TOOL]}})


def chosen(answer: str, functions: Sequence[Function]) -> Function | None:
    """The tool that the answer to the first question names; None for "none"."""
    try:
        name = json.loads(answer)["tool"]
    except ValueError:  # cut by the end of the context
        return None
    return next((function for function in functions if function.name == name), None)


def argument_messages(choice: Sequence[Mapping[str, str]], function: Function) -> list[Mapping[str, str]]:
    """The question for the arguments of `function`, which continues the first one."""
    return [
        *choice,
        {"role": "assistant", "content": _naming(function.name)},
        {"role": "user", "content": _asking(function.name)},
    ]


def argument_schema(function: Function) -> dict[str, Any]:
    """The arguments that `function` takes; where its schema leaves it open, no others than it names."""
    schema = function.parameters or {}
    return {"type": "object", "properties": {}, "additionalProperties": False, **schema}


def calls_since_asked(function: Function, history: Sequence[Message]) -> Sequence[str]:
    """The arguments of the answered calls of `function` since the user spoke last.

    A model that makes one of them again would make it for ever.
    """
    made: list[str] = []
    for step in rounds(history):
        if not isinstance(step, Round):
            made.clear()
        elif step.name == function.name:
            made.append(step.arguments)
    return made


def is_repeated(arguments: str, made: Sequence[str]) -> bool:
    """Whether a call with these arguments is among those that were made."""
    return any(_same(arguments, earlier) for earlier in made)


def _introduction(functions: Sequence[Function], instructions: str) -> str:
    described = "\n".join(
        f"- {function.name}: {function.description or ''} Arguments: {json.dumps(_properties(function))}"
        for function in functions
    )
    asked = (
        "You decide which tool an assistant needs next to answer the user's last message. The tools are:\n"
        f"{described}\n- {NO_TOOL}: no tool is needed; the assistant answers by itself.\n"
        "If several are needed, name the one that must come first. "
        f"Reply with JSON, for example {_naming(NO_TOOL)}."
    )
    return f"{asked}\n\nThe assistant's instructions: {instructions}" if instructions else asked


def _add_call(transcript: Transcript, name: str, arguments: str) -> None:
    transcript.add("assistant", _naming(name))
    transcript.add("user", _asking(name))
    transcript.add("assistant", arguments)


def _properties(function: Function) -> Any:
    return (function.parameters or {}).get("properties", {})


def _naming(name: str) -> str:
    return json.dumps({"tool": name})


def _asking(name: str) -> str:
    return f"Arguments for {name}, as JSON?"


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    required = list(properties)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _same(one: str, other: str) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return one == other
