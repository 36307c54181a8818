"""Reasoning that a client is to keep for an engine that seals nothing itself: sealed here, as its item ends.

A client with `store: false` sends the items back, and their text is opened again; nobody else can read or change it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from catena.chunks import (
    Boundary,
    Chunk,
    Finish,
    Offered,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from catena.taps import Tapped

__all__ = ["sealing"]


async def sealing(answer: Tapped[Sequence[Chunk]], seal: Callable[[str], str]) -> Tapped[Sequence[Chunk]]:
    """The answer with its raw reasoning sealed besides, where each piece of it ends."""
    mind = _Mind(seal)
    async with contextlib.aclosing(answer):
        async for chunks in answer:
            yield [each for chunk in chunks for each in mind.told(chunk)]


class _Mind:
    def __init__(self, seal: Callable[[str], str]) -> None:
        self._seal = seal
        self._thought: list[str] = []
        self._calling = False

    def told(self, chunk: Chunk) -> Sequence[Chunk]:
        """The chunk, and before it the end of the reasoning that it ends."""
        if isinstance(chunk, ReasoningDelta):
            self._thought.append(chunk.text)
        elif isinstance(chunk, Boundary):
            ending = self._ended()
            self._calling = False
            if ending and chunk.encrypted_content is None:
                return [Boundary(phase=chunk.phase, encrypted_content=ending)]
        elif self._ends(chunk):
            # A boundary would cut off calls that are under way: what is thought between their pieces is not sealed.
            ending = "" if self._calling else self._ended()
            self._calling = self._calling or isinstance(chunk, ToolCallDelta)
            if ending:
                return [Boundary(encrypted_content=ending), chunk]
        return [chunk]

    def _ends(self, chunk: Chunk) -> bool:
        if isinstance(chunk, TextDelta):
            return bool(chunk.text)
        if isinstance(chunk, Finish):
            return chunk.reason in ("stop", "tool_calls")
        return not isinstance(chunk, UsageReport | Offered)

    def _ended(self) -> str:
        thought = "".join(self._thought)
        self._thought.clear()
        return self._seal(thought) if thought else ""
