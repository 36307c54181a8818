"""The body of a request to an engine, put together from what is rendered already, which is not copied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

__all__ = ["request_body"]

_encode: Final = msgspec.json.Encoder().encode


def request_body(
    model: str, list_name: str, fragments: Sequence[bytes], options: Mapping[str, Any], ending: bytes
) -> list[bytes]:
    """The pieces of a JSON object: the model, `fragments` as a list, `options`, and the members in `ending`."""
    body = [b'{"model":%b,"%b":[' % (_encode(model), list_name.encode())]
    for fragment in fragments:
        body += (fragment, b",")
    if fragments:
        body.pop()
    members = _encode(options)[1:-1]
    body.append(b"],%b,%b}" % (members, ending) if members else b"],%b}" % ending)
    return body
