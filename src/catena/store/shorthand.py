"""The fields of a turn in fewer bytes: what nearly every turn says is written as one control character.

Control characters never stand in JSON, not even inside its strings, so one that is found can only be ours, and nothing
that a client writes looks like one. The codes are part of what is on the disk: a phrase may be added under a new code,
but none may be changed. Items are left as they are: a chain is read often, and each phrase costs a search.
"""

from __future__ import annotations

from typing import Final

__all__ = ["expand", "shorten"]

_PHRASES: Final = (
    (b"\x01", b'{"completed_at":'),
    (b"\x02", b',"usage":{"input_tokens":'),
    (b"\x03", b',"output_tokens":'),
    (b"\x04", b',"total_tokens":'),
    (b"\x05", b',"input_tokens_details":{"cached_tokens":'),
    (b"\x06", b',"cache_write_tokens":'),
    (b"\x07", b'},"output_tokens_details":{"reasoning_tokens":'),
)

_MOST: Final = 2048
"""Bytes. To search more would cost more time than it saves room."""


def shorten(fields: bytes) -> bytes:
    """The JSON object `fields`, as `expand` takes it."""
    if len(fields) <= _MOST:
        for code, phrase in _PHRASES:
            fields = fields.replace(phrase, code)
    return fields


def expand(fields: bytes) -> bytes:
    """What `shorten` was given, byte for byte."""
    for code, phrase in _PHRASES:
        fields = fields.replace(code, phrase)
    return fields
