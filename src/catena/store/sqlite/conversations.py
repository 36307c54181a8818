"""Conversations in SQLite: names for the ends of chains, and who may move them.

Everything here is a part of a transaction that the store's writer has begun, or a read. That a conversation is held is
told by the turn that runs in it, so it is free again when that turn has ended, in whichever way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import apsw

from catena.errors import ConversationLocked, ConversationNotFound
from catena.store import Conversation, Page, Turn
from catena.store.rows import id_of, key_of
from catena.store.sqlite import belongings
from catena.store.sqlite.statements import load_statements

__all__ = ["add", "advance", "drop", "find", "hold", "listed", "move", "place_of", "set_metadata"]

_Q: Final = load_statements()
_BEYOND_ALL: Final = 2**62


def place_of(conversation_id: str, project: int) -> dict[str, Any]:
    """By what a conversation is looked up; there is none with a foreign id."""
    tree, rest = key_of(conversation_id) or (b"", b"")
    return {"tree": tree, "id": rest, "project": project}


def find(connection: apsw.Connection, place: Mapping[str, Any]) -> Conversation | None:
    """It as it is now."""
    found = _numbered(connection, place)
    return found[1] if found is not None else None


def _numbered(connection: apsw.Connection, place: Mapping[str, Any]) -> tuple[int, Conversation] | None:
    for number, *values in connection.execute(_Q["conversation"], place):
        return number, _conversation(place["tree"], place["id"], values)
    return None


def _conversation(tree: bytes, rest: bytes, values: Sequence[Any]) -> Conversation:
    created_at, metadata, tip, busy = values
    return Conversation(
        id=id_of(tree, rest), created_at=created_at, metadata=metadata, tip=id_of(tree, tip), busy=bool(busy)
    )


def add(connection: apsw.Connection, conversation: Conversation, project: int, tip: int) -> None:
    """A new one, which ends with the turn in row `tip`."""
    place = place_of(conversation.id, project)
    what = {"created_at": conversation.created_at, "metadata": conversation.metadata, "tip": tip}
    connection.execute(_Q["add_conversation"], {**place, **what})


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
    found = _numbered(connection, place_of(turn.conversation, project))
    if found is None:
        raise ConversationNotFound(turn.conversation)
    number, conversation = found
    if conversation.busy or conversation.tip != turn.parent:
        raise ConversationLocked
    return number


def set_metadata(connection: apsw.Connection, place: Mapping[str, Any], metadata: bytes) -> bool:
    """Replace the metadata; False if there is none."""
    return bool(list(connection.execute(_Q["set_conversation_metadata"], {**place, "metadata": metadata})))


def drop(connection: apsw.Connection, place: Mapping[str, Any]) -> bool:
    """Forget the name of its chain, and what no response has seen; False if there is none."""
    if not list(connection.execute(_Q["drop_conversation"], place)):
        return False
    tree = {"tree": place["tree"], "project": place["project"]}
    for (number,) in list(connection.execute(_Q["outside_all_contexts"], tree)):
        belongings.drop(connection, number)
        connection.execute(_Q["erase"], {"number": number})
    return True


def listed(
    connection: apsw.Connection, project: int, page: Page, after: Mapping[str, Any] | None, wanted: bytes
) -> list[Conversation]:
    """A page of those of a project, and one more if there is more; `after` is the place of the last one before."""
    number = 0 if page.ascending else _BEYOND_ALL
    if after is not None:
        found = _numbered(connection, after)
        if found is None:
            raise ConversationNotFound(page.after or "")
        number, _ = found
    order = {"beyond": ">", "direction": "ASC"} if page.ascending else {"beyond": "<", "direction": "DESC"}
    what = {"project": project, "after": number, "metadata": wanted.decode(), "limit": page.limit + 1}
    rows = connection.execute(_Q["list_conversations"].format(**order), what)
    return [_conversation(tree, rest, values) for tree, rest, *values in rows]
