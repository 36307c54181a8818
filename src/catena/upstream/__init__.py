"""The engines behind us: one protocol, one file for each dialect.

An adapter takes a prompt that is already in its dialect (`context` rendered it), asks its engine, always as a
stream, and yields the engine's answer as chunks. It decides nothing about responses, chains or stores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Protocol, TypeAlias

import msgspec

from catena.chunks import Chunk
from catena.taps import Tapped

__all__ = ["CHAT_DIALECTS", "Dialect", "ModelInfo", "Prompt", "Upstream"]

Dialect: TypeAlias = Literal["chat", "chat/reasoning", "chat/reasoning_content", "responses"]
"""How a context is written down. What follows a slash is the field of a chat message that takes reasoning back."""

CHAT_DIALECTS: Final = ("chat", "chat/reasoning", "chat/reasoning_content")


class Prompt(msgspec.Struct, frozen=True):
    """What an engine is asked, in its own dialect.

    `fragments` are runs of JSON objects (one or more, joined by commas, without brackets), oldest first:
    messages for `chat`, items for `responses`. `options` is the rest of the request body in the dialect's own
    names; it has no `model`, no `stream` and no `messages` or `input`. `tree` keeps the requests of one tree on
    one base URL, so that the engine's prefix cache stays warm.
    """

    model: str
    fragments: Sequence[bytes]
    options: Mapping[str, Any]
    tree: str = ""


class ModelInfo(msgspec.Struct, frozen=True):
    """A model as an engine lists it. `created` is in unix seconds, `context_window` in tokens, if it is told."""

    id: str
    created: int = 0
    owned_by: str = "system"
    context_window: int | None = None


class Upstream(Protocol):
    """An engine, or several equal ones behind one name."""

    @property
    def name(self) -> str:
        """What the configuration calls it."""
        ...

    @property
    def dialect(self) -> Dialect:
        """Which rendering of the context it takes."""
        ...

    def stream(self, prompt: Prompt) -> Tapped[Sequence[Chunk]]:
        """The engine's answer: at each step, the chunks that arrived together.

        Closing the iterator closes the connection, so that the engine stops. Raises UpstreamError, before the
        first step or at any later one; a stream that ends without a `Finish` was cut and raises too.
        """
        ...

    async def models(self) -> Sequence[ModelInfo]:
        """What the engine serves. Raises UpstreamError."""
        ...

    async def window(self, model: str) -> int | None:
        """How many tokens the context of a model may have, its answer included; None if the engine does not tell."""
        ...

    async def count(self, prompt: Prompt) -> int | None:
        """How many tokens the engine would read; None if it does not tell."""
        ...

    async def forward(self, path: str, body: bytes) -> tuple[int, str, bytes]:
        """POST `body` to `path` below the base URL as it is: status, content type and body of the reply.

        Raises UpstreamError where the engine cannot be reached.
        """
        ...

    async def close(self) -> None:
        """Give connections and child processes back."""
        ...
