"""Which tool calls wait for their outputs, over a whole context (spec §3.4).

A call and its output are two items that name the same `call_id`. A model may only be asked to go on when every call
has its output and every output its call; the API's own messages tell which one is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from catena.errors import BadRequest
from catena.tool_shapes import SHAPES, is_call, is_output
from catena.wire.response import Item

__all__ = [
    "LATE",
    "NOTHING_OPEN",
    "OUTPUT_OF",
    "OpenCalls",
    "answering",
    "call_id_of",
    "check_input",
    "check_outputs",
    "due",
    "is_late",
    "is_notice",
    "open_after",
    "without_bare_reasoning",
    "without_orphans",
]

OpenCalls: TypeAlias = Mapping[str, str]
"""The `call_id` of each call that waits for its output, with the type of the call item; `due` are those that must not
wait any longer."""

NOTHING_OPEN: Final[OpenCalls] = {}

OUTPUT_OF: Final = {shape.call: shape.output for shape in SHAPES.values()}
"""The item type that answers each type of call that a client runs."""

# Goes before the type of a call that may be answered at any later time (spec §3.4.46).
_ASYNC: Final = "async "

LATE: Final = "late"
"""Marks, on the way to an engine, an output that comes after others may have spoken (`context.view`)."""

_CALL_OF: Final = {output: call for call, output in OUTPUT_OF.items()}

# How the API names each kind of call in its messages.
_SPOKEN: Final = {
    call: call.removesuffix("_call").replace("_", " ") + " call"
    for call in OUTPUT_OF
    if call != "custom_tool_call"
} | {"custom_tool_call": "custom tool call"}


def call_id_of(item: Item) -> str:
    """What a call and its output name each other by."""
    # The legacy local shell names its call by `id` on the output (spec appendix A.2).
    found = item.get("call_id")
    if found is None and item.get("type") == "local_shell_call_output":
        found = item.get("id")
    return str(found)


def is_notice(item: Item) -> bool:
    """Whether the item is an output that answers no call: it has a name instead."""
    return item.get("type") == "function_call_output" and item.get("call_id") is None


def _opens(item: Item) -> bool:
    """Whether the item is a call that waits for an output. A call that was cut off in the middle is not one:
    nobody could run it."""
    return is_call(item) and item.get("status") != "incomplete"


def _waiting_as(item: Item) -> str:
    return f"{_ASYNC}{item['type']}" if item.get("async") else str(item["type"])


def is_late(kind: str) -> bool:
    """Whether a call that waits as `kind` may be answered at any later time."""
    return kind.startswith(_ASYNC)


def due(calls: OpenCalls) -> OpenCalls:
    """The calls that must have their outputs before the model goes on."""
    return {call_id: kind for call_id, kind in calls.items() if not is_late(kind)}


def open_after(before: OpenCalls, items: Iterable[Item]) -> OpenCalls:
    """The calls that wait after `items`, which were checked when they came in."""
    waiting: dict[str, str] | None = None
    for item in items:
        if item.get("type") == "message":
            continue
        if _opens(item):
            waiting = dict(before) if waiting is None else waiting
            waiting[call_id_of(item)] = _waiting_as(item)
        elif is_output(item):
            waiting = dict(before) if waiting is None else waiting
            waiting.pop(call_id_of(item), None)
    return before if waiting is None else waiting


def answering(before: OpenCalls, items: Sequence[Item]) -> Sequence[Item]:
    """`items` from chat messages, their outputs in the kind of the calls of the chain that they answer.

    A chat message does not tell that kind. One with the role `function` does not tell the call either: there is only
    one that it can mean.
    """
    return [_answering(before, item) if item.get("type") in _CALL_OF else item for item in items]


def _answering(before: OpenCalls, item: Item) -> Item:
    call_id = item.get("call_id")
    if call_id is None and len(before) == 1:
        call_id = next(iter(before))
        item = {name: value for name, value in item.items() if name != "name"}
    kind = before.get(str(call_id), "").removeprefix(_ASYNC)
    return {**item, "type": OUTPUT_OF[kind], "call_id": call_id} if kind else item


def check_input(before: OpenCalls, items: Sequence[Item]) -> None:
    """Raise BadRequest unless every call, of the chain and of `items`, has exactly its output."""
    for call_id, kind in due(check_outputs(before, items)).items():
        raise BadRequest(f"No tool output found for {_SPOKEN[kind]} {call_id}.", param="input")
    _check_reasoning(items)


def check_outputs(before: OpenCalls, items: Sequence[Item]) -> OpenCalls:
    """The calls that wait after `items`. Raises BadRequest for an output whose call does not wait for it."""
    waiting = dict(before)
    for item in items:
        kind = item.get("type")
        if kind == "message":
            continue
        if is_call(item):
            if _opens(item):
                waiting[call_id_of(item)] = _waiting_as(item)
        elif is_output(item) and not (kind == "function_call_output" and item.get("call_id") is None):
            call_id = call_id_of(item)
            if waiting.pop(call_id, None) is None:
                spoken = _SPOKEN[_CALL_OF[str(kind)]].replace("function call", "tool call")
                output = _SPOKEN[_CALL_OF[str(kind)]] + " output"
                raise BadRequest(f"No {spoken} found for {output} with call_id {call_id}.", param="input")
    return waiting


def _check_reasoning(items: Sequence[Item]) -> None:
    for place, item in enumerate(items, start=1):
        if item.get("type") != "reasoning" or "id" not in item:
            continue
        follower = items[place] if place < len(items) else None
        if follower is None or follower.get("role") in ("user", "system", "developer"):
            raise BadRequest(
                f"Item '{item['id']}' of type 'reasoning' was provided without its required following item.",
                param="input",
            )


def without_orphans(before: OpenCalls, items: Sequence[Item], answered: Iterable[str]) -> Sequence[Item]:
    """`items` of a stored turn next to a deleted one, without the halves of pairs whose other half is gone.

    An output goes when its call is not there; a call goes when it is among `answered`, the calls whose outputs went
    with the deleted turn.
    """
    gone = set(answered)
    waiting = set(before)
    kept: list[Item] = []
    for item in items:
        if is_call(item):
            if call_id_of(item) in gone:
                continue
            waiting.add(call_id_of(item))
        elif is_output(item) and not is_notice(item):
            if call_id_of(item) not in waiting:
                continue
            waiting.discard(call_id_of(item))
        kept.append(item)
    return without_bare_reasoning(kept) if len(kept) < len(items) else items


def without_bare_reasoning(items: Sequence[Item]) -> Sequence[Item]:
    """Reasoning that led only to what is gone goes with it: engines refuse it alone."""
    kept: list[Item] = []
    for item in reversed(items):
        follower = kept[-1] if kept else None
        bare = item.get("type") == "reasoning" and (follower is None or follower.get("role") == "user")
        if not bare:
            kept.append(item)
    return kept[::-1]
