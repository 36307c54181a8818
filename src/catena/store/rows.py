"""Between turns and their rows: keys in place of ids, numbers in place of words, shorthand for fields.

A turn's key is its id without what all ids have in common: 8 bytes of tree and 17 of the rest, whose first one, always
zero in an id, says which door the id is of. Nothing here reads or writes the database.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Final, TypeAlias

import msgspec

from catena.store import Door, Status, Turn
from catena.store.cipher import CLEAR, MARK, Cipher
from catena.store.payloads import Digest, Place, put_back, take_out, take_out_of
from catena.store.shorthand import expand, shorten

__all__ = [
    "DOORS",
    "SEALED",
    "Prepared",
    "decode_places",
    "door_of",
    "encode_places",
    "id_of",
    "is_over",
    "item_in",
    "key_of",
    "prepare",
    "prepare_fields",
    "status_number",
    "status_of",
    "turn_of",
]

Key: TypeAlias = tuple[bytes, bytes]

DOORS: Final = {"resp_": 0, "chatcmpl-": 1, "conv_": 2}
"""What ids of turns begin with, and how their keys tell it."""

SEALED: Final = ("input", "output", "fields", "cuts")
"""The columns of a turn that have what was said in them."""

_PREFIXES: Final = tuple(DOORS)
_DOOR_BYTES: Final = {prefix: bytes((number,)) for prefix, number in DOORS.items()}
_ID: Final = re.compile(f"({'|'.join(DOORS)})([0-9a-f]{{16}}00[0-9a-f]{{32}})")
_LONGEST: Final = max(map(len, DOORS)) + 50
_DOOR_NAMES: Final[Sequence[Door]] = ("responses", "chat", "conversation")
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
_decode_items = msgspec.json.Decoder(list[dict[str, Any]]).decode

decode_places: Final = msgspec.msgpack.Decoder(list[Place]).decode


def key_of(turn_id: str) -> Key | None:
    """Tree and rest of a turn's key; None for what cannot be a turn's id."""
    return _key_of(turn_id) if len(turn_id) <= _LONGEST else None


@lru_cache(maxsize=1024)  # a turn's id comes again with the next turn
def _key_of(turn_id: str) -> Key | None:
    match = _ID.fullmatch(turn_id)
    if match is None:
        return None
    digits = bytes.fromhex(match[2])
    return digits[:8], _DOOR_BYTES[match[1]] + digits[9:]


def id_of(tree: bytes, rest: bytes) -> str:
    """The id that has this key."""
    return f"{_PREFIXES[rest[0]]}{tree.hex()}00{rest[1:].hex()}"


def door_of(number: int) -> Door:
    """The door that has this number."""
    return _DOOR_NAMES[number]


def status_of(number: int) -> Status:
    """The status that has this number."""
    return _STATUSES[number]


def status_number(status: Status) -> int:
    """The number that a status has."""
    return _STATUS_NUMBERS[status]


def is_over(status: int) -> bool:
    """Whether a turn with this status number has ended."""
    return status > _STATUS_NUMBERS["in_progress"]


class Prepared(msgspec.Struct, frozen=True):
    """A turn's columns, as far as they follow from the turn alone, and its large payloads, which go elsewhere."""

    turn: Turn
    columns: Mapping[str, Any]
    contents: Mapping[bytes, bytes]


def prepare(turn: Turn, cipher: Cipher = CLEAR) -> Prepared:
    """Everything about storing a turn that needs no database, so that nobody has to wait for it there."""
    prepared = _prepared(turn, partial(_digest, cipher, turn.tree) if cipher.sealing else cipher.digest)
    return _sealed(prepared, cipher) if cipher.sealing else prepared


def _prepared(turn: Turn, digest: Digest) -> Prepared:
    key = key_of(turn.id)
    if key is None:
        raise ValueError(f"{turn.id!r} cannot be the id of a turn")
    small, places, contents = take_out(turn, digest)
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


def prepare_fields(
    turn_id: str, fields: bytes, cipher: Cipher
) -> tuple[bytes, Sequence[Place], Mapping[bytes, bytes]]:
    """The same for the fields of a turn alone: as they are stored, and the payloads out of them."""
    tree, rest = key_of(turn_id) or (b"", b"")
    small, places, contents = take_out_of("fields", fields, lambda content: cipher.digest(content, tree))
    stored = {digest: cipher.seal(each, "content", tree, digest) for digest, each in contents.items()}
    return cipher.seal(small, "fields", tree, rest), places, stored


def _digest(cipher: Cipher, tree: str, content: bytes) -> bytes:
    return cipher.digest(content, bytes.fromhex(tree))


def _sealed(prepared: Prepared, cipher: Cipher) -> Prepared:
    columns = dict(prepared.columns)
    tree, rest = columns["tree"], columns["id"]
    for name in SEALED:
        if columns[name] is not None:
            columns[name] = cipher.seal(columns[name], name, tree, rest)
    contents = {
        digest: cipher.seal(content, "content", tree, digest) for digest, content in prepared.contents.items()
    }
    return Prepared(prepared.turn, columns, contents)


def turn_of(
    project: str,
    row: Sequence[Any],
    content_of: Callable[[bytes, bytes], bytes],
    *,
    parent: str | None = None,
    cipher: Cipher = CLEAR,
) -> Turn:
    """The turn in a row of the columns that `load` names; `content_of` a tree and a hash is that payload, as stored.

    `parent` is its parent's id, where the row does not tell it. Raises StoreUnavailable for what cannot be opened.
    """
    tree, rest, above, door, status, model, at, listed, deleted, given, output, fields, cuts, places = row
    turn_id = id_of(tree, rest)
    if cipher.sealing or (given or fields or b"[")[0] == MARK[0]:
        given, output, fields, cuts = (
            stored and cipher.open(stored, name, tree, rest)
            for name, stored in zip(SEALED, (given, output, fields, cuts), strict=True)
        )
    turn = Turn(
        project=project,
        id=turn_id,
        tree=turn_id[-50:-34],
        parent=parent if above is None else id_of(tree, above),
        door=_DOOR_NAMES[door],
        status=_STATUSES[status],
        model=model,
        created_at=at,
        listed=bool(listed),
        input=given or b"[]",
        output=output or b"[]",
        fields=expand(fields) if fields else b"{}",
        cuts=cuts or b"",
        deleted=bool(deleted),
    )
    if places is None:
        return turn
    return put_back(
        turn,
        decode_places(places),
        lambda digest: cipher.open(content_of(tree, digest), "content", tree, digest),
    )


def item_in(turn: Turn | None, item_id: str) -> bytes | None:
    """The JSON of the item of a turn that has this id; None if there is none."""
    for column in (turn.input, turn.output) if turn is not None else ():
        if item_id.encode() in column:
            for item in _decode_items(column):
                if item.get("id") == item_id:
                    return msgspec.json.encode(item)
    return None
