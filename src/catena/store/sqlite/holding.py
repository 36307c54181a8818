"""Who may move a conversation: its row, who holds it, and what is appended to it.

Everything here is a part of a transaction that the store's writer has begun, or a read. That a conversation is held is
told by the turn that runs in it, so it is free again when that turn has ended, in whichever way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import apsw

from catena.errors import ConversationLocked, ConversationNotFound
from catena.store import Conversation, Turn
from catena.store.rows import id_of, key_of
from catena.store.sqlite.statements import load_statements

__all__ = ["advance", "conversation_in", "find", "hold", "move", "numbered", "place_of"]

_Q: Final = load_statements()


def place_of(conversation_id: str, project: int) -> dict[str, Any]:
    """By what a conversation is looked up; there is none with a foreign id."""
    tree, rest = key_of(conversation_id) or (b"", b"")
    return {"tree": tree, "id": rest, "project": project}


def find(connection: apsw.Connection, place: Mapping[str, Any]) -> Conversation | None:
    """It as it is now."""
    found = numbered(connection, place)
    return found[1] if found is not None else None


def numbered(connection: apsw.Connection, place: Mapping[str, Any]) -> tuple[int, Conversation] | None:
    """It with the number of its row."""
    for number, *values in connection.execute(_Q["conversation"], place):
        return number, conversation_in(place["tree"], place["id"], values)
    return None


def conversation_in(tree: bytes, rest: bytes, values: Sequence[Any]) -> Conversation:
    """The conversation in a row."""
    created_at, metadata, tip, busy = values
    return Conversation(
        id=id_of(tree, rest), created_at=created_at, metadata=metadata, tip=id_of(tree, tip), busy=bool(busy)
    )


def hold(connection: apsw.Connection, turn: Turn, project: int, number: int) -> None:
    """Let the turn in row `number`, which begins to run, hold its conversation, if it has one."""
    if turn.conversation is not None:
        what = {"conversation": _free(connection, turn, project), "number": number}
        connection.execute(_Q["hold_conversation"], what)


def advance(connection: apsw.Connection, number: int) -> None:
    """Append the turn in row `number`, which has ended, to the conversation that it held."""
    connection.execute(_Q["advance_conversation"], {"number": number})


def move(connection: apsw.Connection, turn: Turn, project: int, number: int) -> None:
    """Append the turn in row `number`, which is no run, to its conversation."""
    connection.execute(_Q["move_conversation"], {"number": _free(connection, turn, project), "tip": number})


def _free(connection: apsw.Connection, turn: Turn, project: int) -> int:
    """The number of the turn's conversation, which nobody holds and nobody has moved since the turn was planned."""
    assert turn.conversation is not None
    found = numbered(connection, place_of(turn.conversation, project))
    if found is None:
        raise ConversationNotFound(turn.conversation)
    number, conversation = found
    if conversation.busy or conversation.tip != turn.parent:
        raise ConversationLocked
    return number
