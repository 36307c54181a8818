"""One client's requests in order, with what came of each: the form in which they are kept beside this file.

Contents are neutral, and what comes again, the tools for instance, is kept once (`{"$shared": 3}`). What a client sent
back of a reply, an id for instance, is said by where it stood: `{"$reply": 2, "at": "/output/0/id"}` in a body,
`{2:/id}` in a path.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import replace

__all__ = ["FOLDER", "Exchange", "Outcome", "Recording", "load", "save"]

FOLDER: Final = Path(__file__).parent / "recordings"


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of a request: the status; the events of a stream, equal neighbours once; what the model said, which
    recites all that it saw; and the types of the items of the output, or of a list."""

    status: int = 200
    events: Sequence[str] = ()
    says: str = ""
    items: Sequence[str] = ()


class Exchange(msgspec.Struct, frozen=True, omit_defaults=True):
    """A request, and what came of it. With a `socket`, it is a message on that connection."""

    outcome: Outcome
    method: str = "POST"
    path: str = ""
    body: Any = None
    socket: int | None = None


class Recording(msgspec.Struct, frozen=True):
    """What one client did; `headers` are those that it sent with every request, or to open a connection."""

    client: str
    headers: Mapping[str, str]
    exchanges: Sequence[Exchange]
    shared: Sequence[Any] = ()


def load(path: Path) -> Recording:
    kept = msgspec.json.decode(path.read_bytes(), type=Recording)
    exchanges = [replace(each, body=_unpacked(each.body, kept.shared)) for each in kept.exchanges]
    return Recording(kept.client, kept.headers, exchanges)


def save(path: Path, recording: Recording) -> None:
    seen = Counter(part for each in recording.exchanges for part in _large_parts(each.body))
    shared = {part: place for place, part in enumerate(part for part, times in seen.items() if times > 1)}
    lines = [
        b'{"client": %b, "headers": %b, "shared": ['
        % (msgspec.json.encode(recording.client), msgspec.json.encode(recording.headers)),
        b",\n".join(
            msgspec.json.encode(_packed_inside(msgspec.json.decode(part), shared)) for part in shared
        ),
        b'], "exchanges": [',
        b",\n".join(
            msgspec.json.encode(replace(each, body=_packed(each.body, shared)))
            for each in recording.exchanges
        ),
        b"]}",
    ]
    path.write_bytes(b"\n".join(lines) + b"\n")


# What comes again is kept once

_LARGE: Final = 200


def _large_parts(value: Any) -> Iterator[bytes]:
    for part in _parts(value):
        encoded = msgspec.json.encode(part)
        if isinstance(part, dict | list) and len(encoded) >= _LARGE:
            yield encoded
            yield from _large_parts(part)


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _packed(value: Any, shared: Mapping[bytes, int]) -> Any:
    place = shared.get(msgspec.json.encode(value))
    return {"$shared": place} if place is not None else _packed_inside(value, shared)


def _packed_inside(value: Any, shared: Mapping[bytes, int]) -> Any:
    if isinstance(value, dict):
        return {name: _packed(each, shared) for name, each in value.items()}
    return [_packed(each, shared) for each in value] if isinstance(value, list) else value


def _unpacked(value: Any, shared: Sequence[Any]) -> Any:
    if isinstance(value, dict):
        if "$shared" in value:
            return _unpacked(shared[value["$shared"]], shared)
        return {name: _unpacked(each, shared) for name, each in value.items()}
    return [_unpacked(each, shared) for each in value] if isinstance(value, list) else value
