"""What clients were told, as they heard it: one line for each thing, only ever appended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import msgspec

from tests.crash.engine import History

__all__ = [
    "TERMINAL",
    "Asked",
    "Deleted",
    "Doubted",
    "Ended",
    "Heard",
    "Line",
    "Named",
    "Notebook",
    "Refused",
    "Settled",
    "Silent",
    "answer_of",
]

TERMINAL: Final = ("completed", "incomplete", "failed", "cancelled")


class _Line(msgspec.Struct, frozen=True, tag=True):
    """`text` is the words that a client made up for one request, unlike all others: what the request is known by."""


class Asked(_Line, frozen=True, kw_only=True):
    """A client is about to send a request that adds `messages` to the chain of `parent`.

    In a `conversation`, that is its end as far as the client knows.
    """

    text: str
    messages: History
    parent: str | None
    door: Literal["responses", "chat"] = "responses"
    stored: bool = True
    listed: bool = False
    streamed: bool = False
    background: bool = False
    conversation: str | None = None


class Named(_Line, frozen=True):
    """It was told an id."""

    text: str
    id: str


class Heard(_Line, frozen=True):
    """It was told an event of a stream by the server at this URL; the event is as it was on the wire."""

    id: str
    number: int
    event: msgspec.Raw
    server: str


class Ended(_Line, frozen=True, kw_only=True):
    """It was told how a turn ended: by a terminal event, a reply, a poll or a `[DONE]`.

    `response` is the whole response, where it was told (a chat stream tells only words).
    """

    text: str
    id: str
    status: str
    answer: str
    response: dict[str, Any] | None = None


class Deleted(_Line, frozen=True):
    """It was told that this turn is deleted."""

    text: str
    id: str


class Refused(_Line, frozen=True):
    """It was told an error."""

    text: str
    status: int
    body: str


class Silent(_Line, frozen=True):
    """A stream of this id ended properly, but told no end."""

    id: str
    after: int


class Doubted(_Line, frozen=True):
    """From now on the server at this URL tells what nobody else may ever know: two things happen to it at once."""

    server: str


class Settled(_Line, frozen=True):
    """That is over. Only streams that it has told something of until now may still go on in doubt."""

    server: str


Line: TypeAlias = Asked | Named | Heard | Ended | Deleted | Refused | Silent | Doubted | Settled

_decode: Final = msgspec.json.Decoder(Line).decode
_encode: Final = msgspec.json.Encoder().encode


class Notebook:
    """A file of lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab")

    def note(self, line: Line) -> None:
        self._file.write(_encode(line) + b"\n")

    def read(self) -> Iterator[Line]:
        """All that was noted, in its order."""
        self._file.flush()
        with self.path.open("rb") as lines:
            for line in lines:
                yield _decode(line)

    def close(self) -> None:
        self._file.close()


def answer_of(response: dict[str, Any]) -> str:
    """The text of a response."""
    return "".join(
        part.get("text", "")
        for item in response["output"]
        if item["type"] == "message"
        for part in item["content"]
    )
