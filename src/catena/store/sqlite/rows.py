"""Between turns and their rows: keys in place of ids, numbers in place of words, shorthand for fields.

A turn's key is its id without what all ids have in common: 8 bytes of tree and 17 of the rest, whose first one, always
zero in an id, says which door the id is of. Nothing here reads or writes the database.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from catena.store import Status, Turn
from catena.store.payloads import Place, put_back, take_out
from catena.store.shorthand import expand, shorten

__all__ = [
    "DOORS",
    "Prepared",
    "decode_places",
    "encode_places",
    "id_of",
    "is_over",
    "key_of",
    "prepare",
    "turn_of",
]

Key: TypeAlias = tuple[bytes, bytes]

DOORS: Final = {"resp_": 0, "chatcmpl-": 1, "conv_": 2}
"""What ids of turns begin with, and how their keys tell it."""

_PREFIXES: Final = tuple(DOORS)
_DOOR_BYTES: Final = {prefix: bytes((number,)) for prefix, number in DOORS.items()}
_ID: Final = re.compile(f"({'|'.join(DOORS)})([0-9a-f]{{16}}00[0-9a-f]{{32}})")
_DOOR_NAMES: Final = ("responses", "chat", "conversation")
_DOOR_NUMBERS: Final = {name: number for number, name in enumerate(_DOOR_NAMES)}
_STATUSES: Final[Sequence[Status]] = (
    "queued",
    "in_progress",
    "completed",
    "incomplete",
    "failed",
    "cancelled",
)
_STATUS_NUMBERS: Final = {name: number for number, name in enumerate(_STATUSES)}

encode_places: Final = msgspec.msgpack.Encoder().encode
decode_places: Final = msgspec.msgpack.Decoder(list[Place]).decode


def key_of(turn_id: str) -> Key | None:
    """Tree and rest of a turn's key; None for what cannot be a turn's id."""
    match = _ID.fullmatch(turn_id)
    if match is None:
        return None
    digits = bytes.fromhex(match[2])
    return digits[:8], _DOOR_BYTES[match[1]] + digits[9:]


def id_of(tree: bytes, rest: bytes) -> str:
    """The id that has this key."""
    return f"{_PREFIXES[rest[0]]}{tree.hex()}00{rest[1:].hex()}"


def is_over(status: int) -> bool:
    """Whether a turn with this status number has ended."""
    return status > _STATUS_NUMBERS["in_progress"]


class Prepared(msgspec.Struct, frozen=True):
    """A turn's columns, as far as they follow from the turn alone, and its large payloads, which go elsewhere."""

    turn: Turn
    columns: Mapping[str, Any]
    contents: Mapping[bytes, bytes]


def prepare(turn: Turn) -> Prepared:
    """Everything about storing a turn that needs no database, so that nobody has to wait for it there."""
    key = key_of(turn.id)
    if key is None:
        raise ValueError(f"{turn.id!r} cannot be the id of a turn")
    small, places, contents = take_out(turn)
    columns = {
        "tree": key[0],
        "id": key[1],
        "door": _DOOR_NUMBERS[turn.door],
        "status": _STATUS_NUMBERS[turn.status],
        "model": turn.model,
        "created_at": turn.created_at,
        "listed": turn.listed,
        "input": small.input,
        "output": small.output,
        # The fields of what can be listed are looked into in the database.
        "fields": small.fields if turn.listed else shorten(small.fields),
        "cuts": turn.cuts or None,
        "payloads": encode_places(places) if places else None,
    }
    return Prepared(turn, columns, contents)


def turn_of(
    project: str,
    row: Sequence[Any],
    content_of: Callable[[bytes, bytes], bytes],
    *,
    parent: str | None = None,
) -> Turn:
    """The turn in a row of the columns that `load` names; `content_of` a tree and a hash is that payload.

    `parent` is its parent's id, where the row does not tell it.
    """
    (
        tree,
        rest,
        above,
        door,
        status,
        model,
        created_at,
        listed,
        deleted,
        given,
        output,
        fields,
        cuts,
        places,
    ) = row
    turn_id = id_of(tree, rest)
    turn = Turn(
        project=project,
        id=turn_id,
        tree=turn_id[-50:-34],
        parent=parent if above is None else id_of(tree, above),
        door=_DOOR_NAMES[door],
        status=_STATUSES[status],
        model=model,
        created_at=created_at,
        listed=bool(listed),
        input=given or b"[]",
        output=output or b"[]",
        fields=expand(fields) if fields else b"{}",
        cuts=cuts or b"",
        deleted=bool(deleted),
    )
    if places is None:
        return turn
    return put_back(turn, decode_places(places), lambda digest: content_of(tree, digest))
