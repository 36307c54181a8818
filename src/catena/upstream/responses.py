"""Engines that speak the Responses API themselves: OpenAI, vLLM and others.

They are used without their memory: this server keeps the state and sends the whole input each time.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Unpack

from catena.chunks import Chunk
from catena.upstream import Dialect, Prompt
from catena.upstream.engine import Access, Engine
from catena.upstream.request import request_body
from catena.upstream.responses_stream import ResponsesStream

__all__ = ["ResponsesUpstream"]


class ResponsesUpstream(Engine):
    """A Responses server. `extra_body` is sent along wherever a request does not set the same itself."""

    dialect: Dialect = "responses"

    def __init__(
        self,
        name: str,
        base_urls: Sequence[str],
        *,
        extra_body: Mapping[str, Any] | None = None,
        **access: Unpack[Access],
    ) -> None:
        super().__init__(name, base_urls, **access)
        self._extra = dict(extra_body or {})

    def stream(self, prompt: Prompt) -> AsyncGenerator[Sequence[Chunk], None]:
        """The engine's answer; see `Upstream.stream`."""
        options = {**self._extra, **prompt.options}
        body = request_body(prompt.model, "input", prompt.fragments, options, b'"stream":true')
        return self._ask("/responses", body, tree=prompt.tree, normaliser=ResponsesStream)
