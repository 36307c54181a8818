"""The body of a request to an engine, put together from what is rendered already.

Where that is a few pieces, which may be large, they are not copied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

__all__ = ["request_body"]

_encode: Final = msgspec.json.Encoder().encode

_MANY: Final = 6
"""Fragments that are cheaper to copy than to hand on one by one."""


def request_body(
    model: str, list_name: str, fragments: Sequence[bytes], options: Mapping[str, Any], ending: bytes
) -> list[bytes]:
    """The pieces of a JSON object: the model, `fragments` as a list, `options`, and the members in `ending`."""
    head = b'{"model":%b,"%b":[' % (_encode(model), list_name.encode())
    members = _encode(options)[1:-1]
    tail = b"],%b,%b}" % (members, ending) if members else b"],%b}" % ending
    if len(fragments) > _MANY:
        return [head, b",".join(fragments), tail]
    separated = [piece for fragment in fragments for piece in (b",", fragment)]
    return [head, *separated[1:], tail]
