"""Large payloads out of JSON and back in, so that each is stored once for each tree and content.

Images and files inside items, and the tools and instructions that agents send again with every turn. What was taken
out is remembered by its place, never by a mark in the JSON: a mark could be forged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from catena.store import Turn

__all__ = ["Place", "put_back", "take_out"]

Path: TypeAlias = list[str | int]

_ITEM_KEYS: Final = frozenset({"image_url", "file_data", "data"})
_ITEM_LEAST: Final = 2048
_FIELD_KEYS: Final = ("tools", "instructions")
_FIELD_LEAST: Final = 512

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where in a turn a payload belongs: the column, the way into its JSON, and the payload's hash."""

    column: str
    path: Path
    hash: bytes


def take_out(turn: Turn) -> tuple[Turn, Sequence[Place], dict[bytes, bytes]]:
    """The turn without its large payloads, where they belong, and the payloads by their hashes."""
    places: list[Place] = []
    contents: dict[bytes, bytes] = {}
    changed: dict[str, bytes] = {}
    for column, least, find in _COLUMNS:
        text: bytes = getattr(turn, column)
        if len(text) < least:
            continue
        document = _decode(text)
        found = list(find(document))
        for path, value in found:
            content = _encode(value)
            digest = hashlib.blake2b(content, digest_size=16).digest()
            contents[digest] = content
            places.append(Place(column, path, digest))
            _set(document, path, None)
        if found:
            changed[column] = _encode(document)
    if not places:
        return turn, (), {}
    return msgspec.structs.replace(turn, **changed), places, contents


def put_back(turn: Turn, places: Sequence[Place], content_of: Callable[[bytes], bytes]) -> Turn:
    """The turn as it was before `take_out`, as far as its columns were loaded."""
    documents: dict[str, Any] = {}
    for place in places:
        text: bytes = getattr(turn, place.column)
        if text in (b"", b"[]", b"{}"):
            continue
        document = documents.setdefault(place.column, _decode(text))
        _set(document, place.path, _decode(content_of(place.hash)))
    return msgspec.structs.replace(turn, **{column: _encode(each) for column, each in documents.items()})


def _in_items(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    pairs: Iterator[tuple[str | int, Any]]
    if isinstance(value, dict):
        pairs = iter(value.items())
    elif isinstance(value, list):
        pairs = iter(enumerate(value))
    else:
        return
    for key, inner in pairs:
        if isinstance(inner, str):
            if key in _ITEM_KEYS and len(inner) >= _ITEM_LEAST:
                yield [*path, key], inner
        else:
            yield from _in_items(inner, [*path, key])


def _in_fields(fields: Any) -> Iterator[tuple[Path, Any]]:
    for key in _FIELD_KEYS:
        if key in fields and len(_encode(fields[key])) >= _FIELD_LEAST:
            yield [key], fields[key]


_COLUMNS: Final[Sequence[tuple[str, int, Callable[[Any], Iterator[tuple[Path, Any]]]]]] = (
    ("input", _ITEM_LEAST, lambda items: _in_items(items, [])),
    ("output", _ITEM_LEAST, lambda items: _in_items(items, [])),
    ("fields", _FIELD_LEAST, _in_fields),
)


def _set(document: Any, path: Path, value: Any) -> None:
    for key in path[:-1]:
        document = document[key]
    document[path[-1]] = value
