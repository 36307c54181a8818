"""Items and requests in the dialect of the Responses API itself, for an engine that speaks it.

We keep the state, so the engine is sent the whole input with `store: false`. Item ids are ours and unknown to it,
so they are left out; encrypted reasoning travels whole.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any, Final

import msgspec

from catena.chunks import Offered
from catena.context.ledger import LATE
from catena.context.media import drafted
from catena.context.offer import NOTHING, Offer
from catena.wire.items import ROLES
from catena.wire.request import CreateRequest
from catena.wire.response import Item
from catena.wire.tools import Tool

__all__ = ["lead", "offer", "options", "render", "withheld"]

_encode = msgspec.json.Encoder().encode

# Handled here, not there: state, delivery and what belongs to this server's own clients.
_OURS: Final = frozenset(
    {
        "background",
        "client_metadata",
        "conversation",
        "input",
        "metadata",
        "model",
        "previous_response_id",
        "store",
        "stream",
        "stream_options",
    }
)

# An approval names its request by id, and a legacy shell's output bears the id of its call.
_NAMED_BY_ID: Final = frozenset({"mcp_approval_request", "local_shell_call_output"})


def render(items: Sequence[Item]) -> bytes:
    """The fragment of these items, as the engine takes them: without ids and names of speakers, and without calls that
    were cut off."""
    last = len(items) - 1
    sent = [
        item for place, item in enumerate(items) if not _cut_off(item) and not _spent(item, place == last)
    ]
    return drafted([_stateless(item) for item in sent])


def withheld(items: Sequence[Item]) -> Sequence[str]:
    """The ids of the reasoning items that are not shown."""
    return [
        item["id"] for item in items if item.get("type") == "reasoning" and "id" in item and _cut_off(item)
    ]


def lead(request: CreateRequest) -> list[bytes]:
    """Nothing goes before the history: instructions are a setting of their own in this dialect."""
    return []


def _cut_off(item: Item) -> bool:
    kind = item.get("type", "")
    if kind == "reasoning":
        # An engine that keeps no state can only take back reasoning that it sealed itself.
        return not item.get("encrypted_content") and not item.get("content")
    return bool(kind.endswith("_call")) and item.get("status") == "incomplete"


def _spent(item: Item, last: bool) -> bool:
    # What asks for a compaction has to come last, and did its work in the turn that it came with (spec §8.6).
    return not last and item.get("type") == "compaction_trigger"


def _stateless(item: Item) -> Item:
    kind = item.get("type")
    if kind in _NAMED_BY_ID:
        return item
    # A speaker's name is of the chat dialect; this one does not take it.
    ours = ("id", "name") if kind == "message" else ("id", LATE)
    sent = {name: value for name, value in item.items() if name not in ours}
    return _told(sent) if kind == "message" and item["role"] not in ROLES else sent


def _told(message: Item) -> Item:
    """A message of a conversation by somebody whom no request can have: as one that can be sent."""
    role = "developer" if message["role"] in ("critic", "discriminator") else "user"
    return {**message, "role": role, "content": [_input_part(part) for part in message["content"]]}


def _input_part(part: dict[str, Any]) -> dict[str, Any]:
    if part["type"] == "computer_screenshot":
        return {**part, "type": "input_image"}
    said = part.get("text") or part.get("refusal")
    return part if said is None else {"type": "input_text", "text": said}


def offer(request: CreateRequest, added: Sequence[Tool], omit: Set[str]) -> Offer:
    """The engine has the tools as they are, and those that were added in their items.

    One that does not know custom tools may call them as functions of one `input`, as chat engines do.
    """
    forms: dict[str, tuple[str, str, str | None]] = {
        tool["name"]: ("custom", tool["name"], None)
        for tool in request.tools or ()
        if tool["type"] == "custom"
    }
    told = Offered(forms, parallel=request.parallel_tool_calls is not False)
    return NOTHING if told == Offered() else Offer(chunks=(told,))


def options(request: CreateRequest, offer: Offer = NOTHING) -> dict[str, Any]:
    """The request's settings as they were given, but for those that are this server's business."""
    given = {
        name: msgspec.to_builtins(value)
        for name in CreateRequest.__struct_fields__
        if name not in _OURS and (value := getattr(request, name)) is not None
    }
    include = list(given.get("include", ()))
    if "reasoning.encrypted_content" not in include:
        include.append("reasoning.encrypted_content")
    return {**given, "include": include, "store": False}
