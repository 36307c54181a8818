"""An answer that is nothing but text, as a whole: what most plain requests get, and the fold has a short way for.

Of a plain request nobody hears a thing before the end. So its chunks may be kept until then, and where they are only
text, the message is put together once, without the events that would have told how it came to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from catena.chunks import Chunk, Finish, TextDelta, UsageReport

__all__ = ["WholeText", "whole_text"]


class WholeText(msgspec.Struct, frozen=True, gc=False):
    """The content of one message, why the engine stopped, and what it counted."""

    content: dict[str, Any]
    reason: str
    usage: UsageReport | None


def whole_text(chunks: Sequence[Chunk]) -> WholeText | None:
    """What these chunks are, all of one answer; None if there is no text in them, or anything else."""
    pieces: list[str] = []
    logprobs: list[dict[str, Any]] = []
    reason = ""
    usage: UsageReport | None = None
    for chunk in chunks:
        if type(chunk) is TextDelta:
            pieces.append(chunk.text)
            if chunk.logprobs:
                logprobs += chunk.logprobs
        elif type(chunk) is UsageReport:
            usage = chunk
        elif type(chunk) is Finish:
            reason = chunk.reason
        else:
            return None
    text = "".join(pieces)
    if not text and not logprobs:
        return None
    content = {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}
    return WholeText(content, reason, usage)
