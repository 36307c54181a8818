"""Push in place of pull, where it can be: how a piece gets through without waking a task at each step.

What is streamed here is pulled: an async generator gives the next piece to who asks for it. Who asks may leave a *tap*
(with `asend`). While they wait, what comes is then pushed into the tap, from within whatever brought it, and the
generator gives what the tap did not take. So a piece goes from the socket of an engine to that of a client in one go,
as long as nothing stands in the way, and the old way, with all its patience, when something does: a client that does
not keep up, the end, an error.

A tap takes a piece and returns True, or leaves it and returns False. It never waits. It is not asked again before who
left it has asked again: order is kept. What it raises is for who left it, and for nobody else. A generator that knows
nothing of taps need not care.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import TypeAlias, TypeVar

__all__ = ["Tap", "Tapped", "drawn"]

T = TypeVar("T")

Tap: TypeAlias = Callable[[T], bool]
"""Takes a piece, or says that it does not."""

Tapped: TypeAlias = AsyncGenerator[T, Tap[T] | None]
"""Gives what was not taken by the tap that was left with it."""


async def drawn(source: Tapped[T], tap: Tap[T] | None = None) -> T | None:
    """The next piece that `tap` does not take; None at the end. For the first piece there can be no tap yet."""
    try:
        return await source.asend(tap)
    except StopAsyncIteration:
        return None
