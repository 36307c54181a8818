"""Engines that speak the Responses API themselves: OpenAI, vLLM and others.

They are used without their memory: this server keeps the state and sends the whole input each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Unpack

import msgspec

from catena.chunks import Chunk
from catena.taps import Tapped
from catena.upstream import Dialect, Prompt
from catena.upstream.engine import Access, Engine
from catena.upstream.gauge import Gauge
from catena.upstream.loose import object_in
from catena.upstream.request import request_body
from catena.upstream.responses_stream import ResponsesStream

__all__ = ["ResponsesUpstream"]

_COUNTED: Final = (
    "instructions",
    "parallel_tool_calls",
    "reasoning",
    "text",
    "tool_choice",
    "tools",
    "truncation",
)
"""What besides the input its own count looks at."""


class ResponsesUpstream(Engine):
    """A Responses server. `context_window`, in tokens, is for one that does not tell it."""

    dialect: Dialect = "responses"

    def __init__(
        self,
        name: str,
        base_urls: Sequence[str],
        *,
        context_window: int | None = None,
        **access: Unpack[Access],
    ) -> None:
        super().__init__(name, base_urls, **access)
        self._gauge = Gauge(self.inquire, window=context_window, counts=False)

    def stream(self, prompt: Prompt) -> Tapped[Sequence[Chunk]]:
        """The engine's answer; see `Upstream.stream`."""
        body = request_body(prompt.model, "input", prompt.fragments, prompt.options, b'"stream":true')
        return self._ask("/responses", body, tree=prompt.tree, normaliser=ResponsesStream)

    async def window(self, model: str) -> int | None:
        """The model's context window, in tokens; see `Upstream.window`."""
        return await self._gauge.window(model)

    async def count(self, prompt: Prompt) -> int | None:
        """The tokens of a prompt; see `Upstream.count`."""
        given = prompt.options
        options = {name: given[name] for name in _COUNTED if given.get(name) is not None}
        items = msgspec.Raw(b"[" + b",".join(prompt.fragments) + b"]")
        body = msgspec.json.encode({"model": prompt.model, "input": items, **options})
        told = await self.inquire("POST", "/responses/input_tokens", body, tree=prompt.tree)
        count = object_in(told).get("input_tokens")
        return count if isinstance(count, int) else None
