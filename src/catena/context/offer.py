"""Which tools a chat engine is offered: those of a request and those that its context has added (spec §9).

A chat engine knows functions only. Tools that clients run are offered as functions (`tool_shapes`); tools that run on
the side of the engine cannot be offered: they are refused, or left out where the settings say so. What the fold must
know to tell the calls as what they are goes with the answer's chunks, as `Offered`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any, Final, TypeAlias

import msgspec

from catena.chunks import Chunk, Offered
from catena.errors import BadRequest
from catena.tool_shapes import SHAPES, engine_name
from catena.wire import wording
from catena.wire.request import CreateRequest
from catena.wire.response import Item
from catena.wire.tools import Tool, undated

__all__ = ["HOSTED", "NOTHING", "Offer", "added_tools", "chat_offer"]

HOSTED: Final = ("web_search", "file_search", "code_interpreter", "image_generation", "mcp")
"""The tools that run on the side of an engine, and that a chat engine does not have."""

_Form: TypeAlias = tuple[str, str, str | None]


class Offer(msgspec.Struct, frozen=True):
    """What an engine is offered: functions, and which of them it must call, in the chat dialect's words.

    `chunks` come before those of the engine's answer. `omitted` are the types of the tools that were left out.
    """

    functions: Sequence[dict[str, Any]] = ()
    choice: Any = None
    chunks: Sequence[Chunk] = ()
    omitted: Sequence[str] = ()


NOTHING: Final = Offer()


# What a context adds


def added_tools(items: Iterable[Item]) -> list[Tool]:
    """The tools that these items add to those of a request: given along the way, or found by a search."""
    added: list[Tool] = []
    for item in items:
        kind = item.get("type")
        if kind == "additional_tools":
            added += item["tools"]
        elif kind == "tool_search_output":
            added += [_loaded(tool) for tool in item.get("tools", ())]
    return added


def _loaded(tool: Tool) -> Tool:
    """The tool as one that is not looked for any more."""
    if tool["type"] == "namespace":
        return {**tool, "tools": [{**inner, "defer_loading": False} for inner in tool["tools"]]}
    if not tool.get("defer_loading"):
        return tool
    return {"type": "namespace", "name": tool["name"], "tools": [{**tool, "defer_loading": False}]}


# What is offered


def chat_offer(request: CreateRequest, added: Sequence[Tool], omit: Set[str]) -> Offer:
    """What a chat engine is offered of the request's tools and those that its context has `added`.

    Hosted tools of the kinds in `omit` are left out. Raises BadRequest for any other tool that such an engine cannot
    have, for two tools that it would know by the same name, and for a choice that it cannot be held to.
    """
    if not request.tools and not added:
        return NOTHING
    counter = _Counter(omit)
    for index, tool in enumerate(request.tools or ()):
        counter.add(tool, f"tools[{index}]")
    for tool in added:
        counter.add(tool, "input")
    offered = counter.offered()
    allowed, choice = _chosen(request.tool_choice, offered)
    functions = [
        {"type": "function", "function": function}
        for name, (_, function) in offered.items()
        if allowed is None or name in allowed or choice == "none"
    ]
    forms = {
        name: form for name, (form, _) in offered.items() if form[0] != "function" or form[2] is not None
    }
    parallel = request.parallel_tool_calls is not False
    late = [name for name, tool in counter.tools.items() if tool.get("async")]
    told = Offered(forms, allowed, parallel, late)
    return Offer(functions, choice, () if told == Offered() else (told,), counter.omitted)


class _Counter:
    """Where tools are laid out, one after the other."""

    def __init__(self, omit: Set[str]) -> None:
        self.omitted: list[str] = []
        self._omit = omit
        self._laid: dict[str, tuple[_Form, Tool]] = {}
        self._searching = False

    def add(self, tool: Tool, path: str) -> None:
        kind = tool["type"]
        if kind == "namespace":
            for inner in tool["tools"]:
                self._lay(inner, tool["name"], path)
        elif kind == "tool_search" and tool.get("execution") != "client":
            # Nobody searches here; what was to be found is offered from the start.
            return
        elif kind in SHAPES:
            _check_local(tool, path)
            self._searching |= kind == "tool_search"
            # A call of a tool that was deferred names it as its namespace, too; clients look for it there.
            self._lay(tool, tool["name"] if tool.get("defer_loading") else None, path)
        else:
            self._leave_out(kind, path)

    def _leave_out(self, kind: str, path: str) -> None:
        family = _family(kind)
        if family not in HOSTED or family not in self._omit:
            raise _not_runnable(kind, path)
        if kind not in self.omitted:
            self.omitted.append(kind)

    def _lay(self, tool: Tool, namespace: str | None, path: str) -> None:
        kind = tool["type"]
        own = SHAPES[kind].name or tool["name"]
        name = engine_name(own, namespace)
        form = (kind, own, namespace)
        before = self._laid.get(name)
        # The same tool again is its newer version.
        if before is not None and not _is_one(before[0], form):
            raise BadRequest(
                f"Invalid '{path}': a chat engine would know two of the tools by the name '{name}'.",
                param=path,
                code="invalid_value",
            )
        self._laid[name] = (form, tool)

    @property
    def tools(self) -> dict[str, Tool]:
        """The tools by the names that the engine knows them by."""
        return {name: tool for name, (_, tool) in self._laid.items()}

    def offered(self) -> dict[str, tuple[_Form, dict[str, Any]]]:
        """The functions by name, without those that the engine has to look for first."""
        return {
            name: (form, {**SHAPES[form[0]].offer(tool), "name": name})
            for name, (form, tool) in self._laid.items()
            if not (self._searching and tool.get("defer_loading"))
        }


def _is_one(form: _Form, other: _Form) -> bool:
    """Whether these are one tool, which may have been deferred once and not another time."""
    (kind, own, _), namespaces = form, {form[2], other[2]}
    return other[:2] == (kind, own) and (len(namespaces) == 1 or namespaces == {None, own})


def _check_local(tool: Tool, path: str) -> None:
    environment = tool.get("environment") or {}
    if tool["type"] == "shell" and environment.get("type", "local") != "local":
        raise BadRequest(
            f"A shell in an environment of type '{environment['type']}' is not supported with this model: it is served "
            "by a Chat Completions engine, for which the client runs the commands. Use an environment of type 'local'.",
            param=f"{path}.environment",
            code="unsupported_value",
        )


def _family(kind: str) -> str:
    plain = undated(kind)
    return "web_search" if plain.startswith("web_search") else plain


def _not_runnable(kind: str, path: str) -> BadRequest:
    family = _family(kind)
    hint = (
        f' Whoever runs this server can have it left out: tools.{family} = "omit".'
        if family in HOSTED
        else ""
    )
    return BadRequest(
        f"Tool of type '{kind}' is not supported with this model: it is served by a Chat Completions engine, which "
        f"does not have it.{hint}",
        param=path if path == "input" else f"{path}.type",
        code="unsupported_value",
    )


# Which must be called


def _chosen(choice: Any, offered: Mapping[str, tuple[_Form, Any]]) -> tuple[list[str] | None, Any]:
    """The names that may be called, None for any, and what the engine is told of the choice."""
    if choice is None or choice == "auto":
        return None, None
    if choice == "none":
        return [], choice
    if choice == "required":
        if not offered:
            raise wording.choice_without_tools(choice)
        return None, choice
    if choice["type"] == "allowed_tools":
        return _allowed(choice, offered)
    name = next(_named(choice, offered), None)
    if name is None:
        raise _unsupported_choice(choice)
    return None, {"type": "function", "function": {"name": name}}


def _allowed(choice: Mapping[str, Any], offered: Mapping[str, tuple[_Form, Any]]) -> tuple[list[str], Any]:
    # Only these are offered: an engine cannot be held to a part of what it is offered, and a call that had to be
    # dropped would leave an answer of nothing.
    wanted = [name for tool in choice["tools"] for name in _named(tool, offered)]
    allowed = [name for name in offered if name in wanted]
    if choice["mode"] == "auto":
        return allowed, None
    if not allowed:
        raise wording.choice_without_tools("required")
    return allowed, "required"


def _named(choice: Mapping[str, Any], offered: Mapping[str, tuple[_Form, Any]]) -> Iterator[str]:
    """The engine's names of the tools that an object names as a tool choice does."""
    kind = str(choice.get("type"))
    for name, ((form, own, namespace), _) in offered.items():
        if kind == "namespace":
            if namespace is not None and namespace == choice.get("name"):
                yield name
        elif form in ("function", "custom"):
            within = choice.get("namespace")
            if kind == form and own == choice.get("name") and within in (None, namespace):
                yield name
        elif form == kind or (form.startswith("computer") and kind.startswith("computer")):
            yield name


def _unsupported_choice(choice: Mapping[str, Any]) -> BadRequest:
    return BadRequest(
        f"Tool choice of type '{choice['type']}' is not supported with this model: it is served by a Chat Completions "
        "engine, which is not offered such a tool.",
        param="tool_choice.type",
        code="unsupported_value",
    )
