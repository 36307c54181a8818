"""Engines that speak Chat Completions, which is nearly every one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final, Literal, Unpack
from urllib.parse import urlsplit

from catena.chunks import Chunk
from catena.taps import Tapped
from catena.upstream import Dialect, Prompt
from catena.upstream.chat_stream import ChatStream
from catena.upstream.engine import Access, Engine
from catena.upstream.gauge import Gauge
from catena.upstream.request import request_body

__all__ = ["ChatUpstream"]

_STREAMED: Final = b'"stream":true,"stream_options":{"include_usage":true}'

# Its newer models refuse the old name for the limit, which is the only one that most other engines know.
_NEW_NAMED_LIMIT: Final = "api.openai.com"

_DIALECTS: Final[Mapping[str | None, Dialect]] = {
    None: "chat",
    "reasoning": "chat/reasoning",
    "reasoning_content": "chat/reasoning_content",
}


class ChatUpstream(Engine):
    """A Chat Completions engine.

    With `parse_think`, thoughts that it leaves in its text as `<think>…</think>` are taken out as reasoning.
    `max_tokens_field` is its name for the limit on an answer; by default the one that its host is known to take.
    `reasoning_field` is where its messages take reasoning back; by default it gets none. `context_window`, in tokens,
    is for an engine that does not tell it.
    """

    def __init__(
        self,
        name: str,
        base_urls: Sequence[str],
        *,
        parse_think: bool = True,
        max_tokens_field: str | None = None,
        reasoning_field: Literal["reasoning", "reasoning_content"] | None = None,
        context_window: int | None = None,
        **access: Unpack[Access],
    ) -> None:
        super().__init__(name, base_urls, **access)
        self._normaliser = partial(ChatStream, parse_think=parse_think)
        self._limit = max_tokens_field or _limit_name(base_urls[0])
        self.dialect: Dialect = _DIALECTS[reasoning_field]
        # What it is asked on the side is of others' making.
        counts = urlsplit(base_urls[0]).hostname != _NEW_NAMED_LIMIT
        self._gauge = Gauge(self.inquire, window=context_window, counts=counts)

    def stream(self, prompt: Prompt) -> Tapped[Sequence[Chunk]]:
        """The engine's answer; see `Upstream.stream`."""
        options = prompt.options
        if "max_tokens" in options and self._limit != "max_tokens":
            options = {self._limit if name == "max_tokens" else name: each for name, each in options.items()}
        body = request_body(prompt.model, "messages", prompt.fragments, options, _STREAMED)
        return self._ask("/chat/completions", body, tree=prompt.tree, normaliser=self._normaliser)

    async def window(self, model: str) -> int | None:
        """The model's context window, in tokens; see `Upstream.window`."""
        return await self._gauge.window(model)

    async def count(self, prompt: Prompt) -> int | None:
        """The tokens of a prompt; see `Upstream.count`."""
        messages = b"[" + b",".join(prompt.fragments) + b"]"
        return await self._gauge.count(prompt, messages, prompt.options)


def _limit_name(base_url: str) -> str:
    return "max_completion_tokens" if urlsplit(base_url).hostname == _NEW_NAMED_LIMIT else "max_tokens"
