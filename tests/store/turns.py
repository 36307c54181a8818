"""Turns to store: as the server would store them, with texts of the test's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from catena.ids import TurnIds, new_tree
from catena.store import Turn
from catena.wire.response import Response, Usage, stored_fields

NOW = 1_760_000_000


def message(item_id: str, text: str, role: str = "user") -> dict[str, Any]:
    part: dict[str, Any] = {"type": "input_text", "text": text}
    if role == "assistant":
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"id": item_id, "type": "message", "status": "completed", "role": role, "content": [part]}


def a_turn(parent: Turn | None = None, text: str = "hello", **changes: Any) -> Turn:
    """A finished turn below `parent`, which says `text` and hears it."""
    created_at = changes.pop("created_at", NOW)
    ids = TurnIds.new(parent.tree if parent else new_tree(created_at), created_at)
    turn = Turn(
        project=parent.project if parent else "default",
        id=ids.turn("resp_"),
        tree=ids.tree,
        parent=parent.id if parent else None,
        status="completed",
        model="small-model",
        created_at=created_at,
        input=items(message(ids.item("msg_"), text)),
        output=items(message(ids.item("msg_"), text, "assistant")),
        fields=msgspec.json.encode({"usage": {"input_tokens": 12, "output_tokens": 34, "total_tokens": 46}}),
        cuts=b"\x01\x02\x03",
    )
    return replace(turn, **changes)


def usual_turn(
    number: int, parent: Turn | None, *, asked: str, answered: str, created_at: int, cuts: bytes = b""
) -> Turn:
    """What a server stores of one question and its answer, after so many others."""
    ids = TurnIds.new(parent.tree if parent else new_tree(created_at), created_at)
    response = Response(
        id=ids.turn("resp_"),
        created_at=created_at,
        status="completed",
        model="gpt-4o-mini",
        completed_at=created_at + 5,
        usage=Usage(input_tokens=150 * number + 60, output_tokens=180, total_tokens=150 * number + 240),
    )
    return Turn(
        project="default",
        id=response.id,
        tree=ids.tree,
        parent=parent.id if parent else None,
        status=response.status,
        model=response.model,
        created_at=created_at,
        input=items(message(ids.item("msg_"), asked)),
        output=items(message(ids.item("msg_"), answered, "assistant")),
        fields=stored_fields(response),
        cuts=cuts,
    )


def running(parent: Turn | None = None, **changes: Any) -> Turn:
    """A turn whose run has only begun."""
    return replace(a_turn(parent, **changes), status="in_progress", output=b"[]", cuts=b"")


def items(*each: dict[str, Any]) -> bytes:
    return msgspec.json.encode(each)


def replace(turn: Turn, **changes: Any) -> Turn:
    return msgspec.structs.replace(turn, **changes)


def item_ids(turn: Turn) -> list[str]:
    return [item["id"] for item in msgspec.json.decode(turn.input) + msgspec.json.decode(turn.output)]


def ids_of(turns: Sequence[Turn]) -> list[str]:
    return [turn.id for turn in turns]


def in_chain(turn: Turn) -> Turn:
    """What a chain has at least of a turn."""
    return replace(turn, fields=b"{}", cuts=b"")
