"""The embedded model as an upstream: a chat engine like any other, which is started when it is first needed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Sequence

from catena.chunks import Chunk
from catena.embedded import EmbeddedEngine
from catena.errors import UpstreamError
from catena.taps import Tapped
from catena.upstream import Dialect, ModelInfo, Prompt
from catena.upstream.chat import ChatUpstream

__all__ = ["EmbeddedUpstream"]

log = logging.getLogger("catena.upstream")


class EmbeddedUpstream:
    """Any model name is answered for by the one model that there is."""

    dialect: Dialect = "chat"

    def __init__(self, name: str, engine: EmbeddedEngine) -> None:
        self.name = name
        self._engine = engine
        self._warming: asyncio.Task[None] | None = None
        self._chat = ChatUpstream(name, [engine.base_url], key=engine.key, parse_think=False)

    @property
    def errors(self) -> Counter[str]:
        """Tries that failed, by the code of the error."""
        return self._chat.errors

    def warm_up(self) -> None:
        """Have the model loaded before it is asked. That it cannot be loaded is told to who asks."""
        self._warming = asyncio.create_task(self._warm_up())

    async def _warm_up(self) -> None:
        await self._engine.fetched()
        try:
            await self._engine.start()
        except UpstreamError as error:
            log.warning("%s", error.message)

    async def stream(self, prompt: Prompt) -> Tapped[Sequence[Chunk]]:
        """The model's answer; see `Upstream.stream`. Raises UpstreamError where the engine cannot run here."""
        await self._engine.start()
        async with contextlib.aclosing(self._chat.stream(prompt)) as answer:
            async for chunks in answer:
                yield chunks

    async def models(self) -> Sequence[ModelInfo]:
        """The one model, whether it runs already or not. Raises UpstreamError while it is being fetched."""
        self._engine.check_fetched()
        return [ModelInfo(self._engine.name, owned_by="catena", context_window=self._engine.context)]

    async def window(self, model: str) -> int | None:
        """The context window that the engine was given, in tokens."""
        return self._engine.context

    async def count(self, prompt: Prompt) -> int | None:
        """The tokens of a prompt. Raises UpstreamError where the engine cannot run here."""
        await self._engine.start()
        return await self._chat.count(prompt)

    async def forward(self, path: str, body: bytes) -> tuple[int, str, bytes]:
        """What the engine answers to `path`; it has few others than chat."""
        await self._engine.start()
        return await self._chat.forward(path, body)

    async def close(self) -> None:
        """End the engine's process."""
        if self._warming is not None:
            self._warming.cancel()
        await self._chat.close()
        await self._engine.close()
