"""Between turns and their rows in PostgreSQL: what `catena.store.rows` makes of a turn, as the statements take it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from catena.errors import PreviousResponseNotFound
from catena.store import Turn
from catena.store.cipher import Cipher
from catena.store.payloads import Place
from catena.store.postgres.database import Row
from catena.store.postgres.periods import whole_days
from catena.store.rows import Prepared, decode_places, key_of, turn_of

__all__ = [
    "keys_of",
    "labels_in",
    "labels_of",
    "place_of",
    "placed",
    "sealed_labels",
    "stored_labels",
    "those",
    "turn_in",
    "turns_in",
    "values_of",
]

_HASH: Final = 16
"""Bytes of a payload's hash, which stand before it."""

_FOUND: Final = (
    "tree",
    "id",
    "parent",
    "door",
    "status",
    "model",
    "created_at",
    "listed",
    "deleted",
    "input",
    "output",
    "fields",
    "cuts",
    "payloads",
)
"""The columns of a turn, in the order in which `turn_of` takes them."""

_encode = msgspec.json.Encoder().encode


class _Labelled(msgspec.Struct):
    metadata: Any = None
    conversation: Any = None


_decode_labelled = msgspec.json.Decoder(_Labelled).decode


def labels_of(metadata: Mapping[str, Any] | None, conversation: str | None = None) -> list[bytes]:
    """Each pair as one value, so that pairs can be looked for; and a conversation, which looks like no pair."""
    labels = [_encode(pair) for pair in (metadata or {}).items()]
    return labels if conversation is None else [*labels, _encode(conversation)]


def labels_in(fields: bytes) -> list[bytes] | None:
    """What a turn with these fields is looked for by; None if there is nothing."""
    found = _decode_labelled(fields)
    metadata = found.metadata if isinstance(found.metadata, dict) else None
    inside = found.conversation.get("id") if isinstance(found.conversation, dict) else None
    return labels_of(metadata, inside) or None


def sealed_labels(labels: Sequence[bytes] | None, project: str, cipher: Cipher) -> list[bytes] | None:
    """The labels as they stand where contents are sealed: to be compared, and not to be read. None where they are not
    sealed."""
    if labels is None or not cipher.sealing:
        return None
    return [cipher.digest(label, b"label", project.encode()) for label in labels]


def stored_labels(labels: list[bytes] | None, project: str, cipher: Cipher) -> list[bytes] | None:
    """The labels as they are stored."""
    return sealed_labels(labels, project, cipher) if cipher.sealing else labels


def values_of(prepared: Prepared, cipher: Cipher) -> dict[str, Any]:
    """A turn as the statements that store it take it. Raises PreviousResponseNotFound if its parent is in no tree, or
    in another."""
    turn, columns = prepared.turn, prepared.columns
    in_items = placed(columns["payloads"], ("input", "output"))
    hashes = sorted(prepared.contents)
    key = turn.key
    return {
        **columns,
        "parent": _parent_of(turn),
        "model": turn.model.encode(),
        "project": turn.project,
        "fence": turn.fence,
        "labels": stored_labels(labels_in(turn.fields), turn.project, cipher),
        "hashes": hashes,
        "contents": [prepared.contents[each] for each in hashes],
        "in_items": [each in in_items for each in hashes],
        "foreign_ids": [each.encode() for each in turn.foreign_ids],
        "key_name": key.name if key is not None else None,
        "key_body": cipher.seal(key.body, "body", key.name) if key is not None else None,
        "searched": False,
        "subject": turn.id,
    }


def place_of(project: str, turn_id: str) -> dict[str, Any] | None:
    """By what a turn is looked up; None for an id that cannot be one of ours."""
    key = key_of(turn_id)
    return None if key is None else {"tree": key[0], "id": key[1], "project": project}


def keys_of(turn_ids: Iterable[str]) -> dict[str, Any]:
    """By what several turns are looked up, but for ids that cannot be ours."""
    return those([key for turn_id in turn_ids if (key := key_of(turn_id)) is not None])


def those(keys: Sequence[tuple[bytes, bytes]]) -> dict[str, Any]:
    """By what the turns with these keys are looked up, and between which keys their trees are."""
    trees = [tree for tree, _ in keys]
    first, last = whole_days(trees)
    return {"trees": trees, "ids": [rest for _, rest in keys], "first_tree": first, "last_tree": last}


def placed(payloads: bytes | None, columns: Sequence[str]) -> set[bytes]:
    """The hashes of the payloads that belong into these columns."""
    places: Sequence[Place] = decode_places(payloads) if payloads else ()
    return {place.hash for place in places if place.column in columns}


def _parent_of(turn: Turn) -> bytes | None:
    if turn.parent is None:
        return None
    key = key_of(turn.parent)
    if key is None or key[0].hex() != turn.tree:
        raise PreviousResponseNotFound(turn.parent)
    return key[1]


def turn_in(project: str, row: Row, cipher: Cipher) -> Turn:
    """The turn in a row."""
    values = [row[name] for name in _FOUND]
    values[5] = row["model"].decode()
    return turn_of(project, values, _content(row["pieces"]), cipher=cipher)


def turns_in(project: str, rows: Sequence[Row], cipher: Cipher) -> list[Turn]:
    """The turns in rows, parents before their children."""
    return [turn_in(project, row, cipher) for row in sorted(rows, key=lambda row: row["number"])]


def _content(pieces: Sequence[bytes] | None) -> Callable[[bytes, bytes], bytes]:
    by_hash = {piece[:_HASH]: piece[_HASH:] for piece in pieces or ()}
    return lambda _, digest: by_hash[digest]
