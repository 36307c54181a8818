"""What the server and its child process say to each other before the first request.

The server hands the key over in the environment, where others on the machine cannot read it as they can a command
line. The child writes one line to its standard output: that it answers now, or why it never will.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

__all__ = ["KEY_VARIABLE", "Failed", "Ready", "Word", "read", "write"]

KEY_VARIABLE: Final = "CATENA_ENGINE_KEY"


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The child answers at `base_url`."""

    base_url: str


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The child gives up; `reason` is a sentence for the user."""

    reason: str


Word: TypeAlias = Ready | Failed

_decoder: Final[msgspec.json.Decoder[Word]] = msgspec.json.Decoder(Word)


def write(word: Word) -> bytes:
    """The line that says `word`."""
    return msgspec.json.encode(word) + b"\n"


def read(line: bytes) -> Word:
    """What the line says. Raises ValueError if it says nothing."""
    return _decoder.decode(line)
