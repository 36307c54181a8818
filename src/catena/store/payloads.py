"""Large payloads out of a turn's JSON and back in, so that each is stored once for each tree and content.

Images and files inside items, and the tools and instructions that agents send again with every turn. What was taken
out is remembered by its place, never by a mark in the JSON: a mark could be forged. The inside of a string or list is
cut out and put back as it was, byte for byte; what is left is JSON as well.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from catena.store import Turn

__all__ = ["Column", "Digest", "Place", "put_back", "take_out", "take_out_of"]

Column: TypeAlias = Literal["input", "output", "fields"]
Digest: TypeAlias = Callable[[bytes], bytes]
"""The 16 bytes that a payload is known by."""
Span: TypeAlias = tuple[int, int]

_IN_ITEMS: Final = re.compile(rb'"(?:data|file_data|image_url|result)":"')
_ITEM_LEAST: Final = 2048
_IN_FIELDS: Final = (b"tools", b"instructions")
_FIELD_LEAST: Final = 512
_COLUMNS: Final[Mapping[Column, int]] = {"input": _ITEM_LEAST, "output": _ITEM_LEAST, "fields": _FIELD_LEAST}
"""The columns that payloads are looked for in, from what length on."""

_values_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where in a turn a payload belongs: the column, how far into what is left of it, and the payload's hash."""

    column: Column
    at: int
    hash: bytes


def _plain(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def take_out(turn: Turn, digest_of: Digest = _plain) -> tuple[Turn, Sequence[Place], Mapping[bytes, bytes]]:
    """The turn without its large payloads, where they belong, and the payloads by their hashes."""
    if max(len(turn.input), len(turn.output)) < _ITEM_LEAST and len(turn.fields) < _FIELD_LEAST:
        return turn, (), {}
    rest: dict[str, bytes] = {}
    places: list[Place] = []
    contents: dict[bytes, bytes] = {}
    for column, least in _COLUMNS.items():
        text = getattr(turn, column)
        if len(text) < least:
            continue
        rest[column], found, taken = take_out_of(column, text, digest_of)
        places += found
        contents |= taken
    return (msgspec.structs.replace(turn, **rest), places, contents) if places else (turn, (), {})


def take_out_of(
    column: Column, text: bytes, digest_of: Digest = _plain
) -> tuple[bytes, Sequence[Place], Mapping[bytes, bytes]]:
    """The same for one column."""
    spans = sorted(_in_fields(text) if column == "fields" else _in_items(text))
    places: list[Place] = []
    contents: dict[bytes, bytes] = {}
    rest: list[bytes] = []
    length = end = 0
    for begin, behind in spans:
        if begin < end:  # inside of what was taken out already
            continue
        content = text[begin:behind]
        digest = digest_of(content)
        contents[digest] = content
        rest.append(text[end:begin])
        length += begin - end
        places.append(Place(column, length, digest))
        end = behind
    return b"".join((*rest, text[end:])), places, contents


def put_back(turn: Turn, places: Sequence[Place], content_of: Callable[[bytes], bytes]) -> Turn:
    """The turn as it was before `take_out`, as far as its columns were loaded."""
    whole: dict[str, bytes] = {}
    for column in _COLUMNS:
        text: bytes = getattr(turn, column)
        own = [place for place in places if place.column == column]
        if not own or text in (b"[]", b"{}"):
            continue
        pieces: list[bytes] = []
        end = 0
        for place in own:
            pieces += (text[end : place.at], content_of(place.hash))
            end = place.at
        whole[column] = b"".join((*pieces, text[end:]))
    return msgspec.structs.replace(turn, **whole) if whole else turn


def _in_items(text: bytes) -> Iterator[Span]:
    """Long strings under the keys that have contents of files. Base64 has nothing in it that JSON escapes."""
    for key in _IN_ITEMS.finditer(text):
        begin = key.end()
        behind = text.find(b'"', begin)
        if behind - begin >= _ITEM_LEAST and text.find(b"\\", begin, behind) < 0:
            yield begin, behind


def _in_fields(text: bytes) -> Iterator[Span]:
    values = _values_of(text)
    for key in _IN_FIELDS:
        value = bytes(values.get(key.decode(), b""))
        if len(value) < _FIELD_LEAST:
            continue
        # The same may stand elsewhere as well: then it is as good to take it from there.
        found = text.find(b'"%b":%b' % (key, value))
        if found >= 0:
            begin = found + len(key) + 4
            yield begin, begin + len(value) - 2
