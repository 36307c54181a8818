"""A Chat Completions request, as far as the embedded engine reads one.

Parameters that this engine has no use for are passed over, as most engines do; what it cannot honour and must not
ignore (images, several choices, tools that are not functions) is refused here, before the model is asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, Literal, TypeAlias

import msgspec

from catena.errors import BadRequest

__all__ = ["ChatRequest", "Function", "Message", "ToolCall", "ToolMode", "parse"]

Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool"]
ToolMode: TypeAlias = Literal["auto", "required"]

NO_TOOL: Final = "none"
"""What the model answers where it needs no tool; so no tool can have this name."""


class _Part(msgspec.Struct, frozen=True):
    type: str
    text: str = ""
    refusal: str = ""


class _CalledFunction(msgspec.Struct, frozen=True):
    name: str
    arguments: str = "{}"


class ToolCall(msgspec.Struct, frozen=True):
    """A call that an earlier assistant message made."""

    function: _CalledFunction
    id: str = ""


class Message(msgspec.Struct, frozen=True):
    """A message of the history."""

    role: Role
    content: str | list[_Part] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str = ""

    @property
    def text(self) -> str:
        """All that is said in it."""
        if isinstance(self.content, list):
            return "\n".join(part.text or part.refusal for part in self.content)
        return self.content or ""


class Function(msgspec.Struct, frozen=True):
    """A function that the model may call."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Tool(msgspec.Struct, frozen=True):
    type: str
    function: Function | None = None


class _NamedFunction(msgspec.Struct, frozen=True):
    name: str


class _ChosenTool(msgspec.Struct, frozen=True):
    """`tool_choice` in one of its object forms: one function by name, or a set to choose from."""

    type: str
    function: _NamedFunction | None = None
    allowed_tools: dict[str, Any] | None = None


class _StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool = False


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of the model."""

    messages: list[Message]
    model: str = ""
    stream: bool = False
    stream_options: _StreamOptions | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | _ChosenTool | None = None
    response_format: dict[str, Any] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: dict[str, float] | None = None
    n: int | None = None

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with a chunk that tells the usage."""
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def sampling(self) -> dict[str, Any]:
        """The options that steer how each token is drawn, those that were given."""
        given = {name: getattr(self, name) for name in _SAMPLING}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def limit(self) -> int | None:
        """How many tokens may be generated, if the caller says so."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    def offered(self) -> tuple[Sequence[Function], ToolMode]:
        """The functions that may be called now, and whether one has to be. None if there are none."""
        functions = [tool.function for tool in self.tools or () if tool.function is not None]
        match self.tool_choice:
            case None | "auto":
                return functions, "auto"
            case "none":
                return (), "auto"
            case "required":
                return functions, "required"
            case _ChosenTool(function=_NamedFunction(name=name)):
                return _named(functions, [name]), "required"
            case _ChosenTool(allowed_tools={"tools": list(tools), **rest}):
                names = [tool.get("function", {}).get("name") for tool in tools if isinstance(tool, dict)]
                return _named(functions, names), "required" if rest.get("mode") == "required" else "auto"
            case _:
                raise BadRequest(
                    f"Invalid value for 'tool_choice': {self.tool_choice!r}.", param="tool_choice"
                )


_SAMPLING: Final = (
    "temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "stop", "logprobs", "top_logprobs",
    "logit_bias",
)  # fmt: skip

_decoder: Final = msgspec.json.Decoder(ChatRequest)
_PLACE: Final = re.compile(r" - at `\$\.?(.*)`$")


def parse(body: bytes) -> ChatRequest:
    """The request in `body`, fit to be answered. Raises BadRequest that names the parameter at fault."""
    try:
        request = _decoder.decode(body)
    except msgspec.ValidationError as error:
        message = str(error)
        place = _PLACE.search(message)
        param = place[1] if place else None
        raise BadRequest(_PLACE.sub(f" at '{param}'", message) + ".", param=param) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest("We could not parse the JSON body of your request.") from error
    _refuse_what_cannot_be_done(request)
    return request


def _refuse_what_cannot_be_done(request: ChatRequest) -> None:
    if not request.messages:
        raise BadRequest(
            "Invalid 'messages': there must be at least one.", param="messages", code="empty_array"
        )
    if request.n not in (None, 1):
        raise BadRequest("This engine gives one choice: 'n' must be 1.", param="n", code="unsupported_value")
    for at, message in enumerate(request.messages):
        for part in message.content if isinstance(message.content, list) else ():
            if part.type not in ("text", "refusal"):
                place = f"messages[{at}].content"
                raise BadRequest(f"This model reads text only, not '{part.type}'.", param=place)
    for at, tool in enumerate(request.tools or ()):
        if tool.type != "function" or tool.function is None:
            raise BadRequest(
                f"This engine knows function tools only, not '{tool.type}'.", param=f"tools[{at}]"
            )
        if tool.function.name == NO_TOOL:
            raise BadRequest(f"A tool cannot be named '{NO_TOOL}' here.", param=f"tools[{at}].function.name")
    functions, mode = request.offered()
    if mode == "required" and not functions:
        raise BadRequest("'tool_choice' asks for a tool that 'tools' does not have.", param="tool_choice")


def _named(functions: Sequence[Function], names: Sequence[str | None]) -> Sequence[Function]:
    return [function for function in functions if function.name in names]
