"""From a request to its answer: ask the model once, or first for a tool and its arguments.

What comes out are the same few events however many questions it took. Only the last question shows, in the text
as well as in the usage. Nothing here knows how the events travel.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, TypeAlias

import msgspec

from catena.embedded import tools
from catena.embedded.decoder import Accepted, Decoded, Decoder, Done, Piece
from catena.embedded.dialogue import in_plain_words
from catena.embedded.request import ChatRequest, Function, ToolMode

__all__ = ["Arguments", "Called", "Event", "answer"]


class Called(msgspec.Struct, frozen=True):
    """The model calls a tool; its arguments follow."""

    id: str
    name: str


class Arguments(msgspec.Struct, frozen=True):
    """More of the arguments."""

    text: str


Event: TypeAlias = Accepted | Piece | Called | Arguments | Done

Question: TypeAlias = Sequence[Mapping[str, str]]

# Greedy unless the caller says otherwise: of 20 facts the default model recalls 20 so, 19 at temperature 0.7.
_GREEDY: Final[Mapping[str, Any]] = {"temperature": 0.0}

_LIMIT: Final = 2048
"""Tokens of an answer to a caller who sets no limit: a small model that begins to repeat itself finds no end."""

_NAME_LIMIT: Final = 200
"""Tokens in which a tool is named; its name has at most 64 letters."""

_MEANT_FOR_TEXT: Final = ("stop", "logprobs", "top_logprobs")


async def answer(request: ChatRequest, decoder: Decoder) -> AsyncGenerator[Event, None]:
    """The events of the answer, `Done` last. Closing the iterator stops the model.

    Raises BadRequest where the prompt is too long or a schema cannot be followed.
    """
    functions, mode = request.offered()
    if functions:
        question = tools.choice_messages(request.messages, functions)
        function = await _choose(question, functions, mode, decoder)
    else:
        question, function = [], None
    if function is None:
        events = _say(request, decoder)
    elif mode == "auto" and (made := tools.calls_since_asked(function, request.messages)):
        events = _call_anew(function, question, made, request, decoder)
    else:
        events = _call(function, question, request, decoder)
    async with aclosing(events):
        async for event in events:
            yield event


async def _say(request: ChatRequest, decoder: Decoder) -> AsyncGenerator[Event, None]:
    """The model's own words."""
    options = _options(request)
    if request.response_format is not None:
        options["response_format"] = request.response_format
    async with aclosing(decoder.decode(in_plain_words(request.messages), options)) as pieces:
        async for piece in pieces:
            yield piece


async def _choose(
    question: Question, functions: Sequence[Function], mode: ToolMode, decoder: Decoder
) -> Function | None:
    """The function that the model needs now, or None."""
    if mode == "required" and len(functions) == 1:
        return functions[0]
    schema = tools.choice_schema(functions, mode)
    options = {**_GREEDY, "max_tokens": _NAME_LIMIT, **_constrained_to("choice", schema)}
    said = [event.text async for event in decoder.decode(question, options) if isinstance(event, Piece)]
    return tools.chosen("".join(said), functions)


async def _call(
    function: Function, question: Question, request: ChatRequest, decoder: Decoder
) -> AsyncGenerator[Event, None]:
    """A call of `function`, its arguments as the model writes them."""
    options = {name: value for name, value in _options(request).items() if name not in _MEANT_FOR_TEXT}
    options |= _constrained_to(function.name, tools.argument_schema(function))
    call: Called | None = None
    async with aclosing(decoder.decode(tools.argument_messages(question, function), options)) as pieces:
        async for piece in pieces:
            if call is None:
                call = Called("call_" + secrets.token_hex(12), function.name)
                yield call
            yield _as_arguments(piece)


async def _call_anew(
    function: Function, question: Question, made: Sequence[str], request: ChatRequest, decoder: Decoder
) -> AsyncGenerator[Event, None]:
    """A call of `function` that differs from those `made` already, or else the model's own words."""
    call = [event async for event in _call(function, question, request, decoder)]
    if tools.is_repeated("".join(event.text for event in call if isinstance(event, Arguments)), made):
        async with aclosing(_say(request, decoder)) as words:
            async for event in words:
                yield event
    else:
        for event in call:
            yield event


def _as_arguments(event: Decoded) -> Event:
    match event:
        case Piece(text=text):
            return Arguments(text)
        case Done(reason="stop"):
            return msgspec.structs.replace(event, reason="tool_calls")
        case _:
            return event


def _options(request: ChatRequest) -> dict[str, Any]:
    limit = _LIMIT if request.limit is None else request.limit
    return {**_GREEDY, **request.sampling, "max_tokens": limit}


def _constrained_to(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": name, "schema": schema}}}
