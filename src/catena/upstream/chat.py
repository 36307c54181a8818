"""Engines that speak Chat Completions, which is nearly every one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import partial
from typing import Any, Final, Unpack
from urllib.parse import urlsplit

from catena.chunks import Chunk
from catena.upstream import Dialect, Prompt
from catena.upstream.chat_stream import ChatStream
from catena.upstream.engine import Access, Engine
from catena.upstream.request import request_body

__all__ = ["ChatUpstream"]

_STREAMED: Final = b'"stream":true,"stream_options":{"include_usage":true}'

# Its newer models refuse the old name for the limit, which is the only one that most other engines know.
_NEW_NAMED_LIMIT: Final = "api.openai.com"


class ChatUpstream(Engine):
    """A Chat Completions engine.

    With `parse_think`, thoughts that it leaves in its text as `<think>…</think>` are taken out as reasoning.
    `max_tokens_field` is its name for the limit on an answer; by default the one that its host is known to take.
    `extra_body` is sent along wherever a request does not set the same itself.
    """

    dialect: Dialect = "chat"

    def __init__(
        self,
        name: str,
        base_urls: Sequence[str],
        *,
        parse_think: bool = True,
        max_tokens_field: str | None = None,
        extra_body: Mapping[str, Any] | None = None,
        **access: Unpack[Access],
    ) -> None:
        super().__init__(name, base_urls, **access)
        self._normaliser = partial(ChatStream, parse_think=parse_think)
        self._limit = max_tokens_field or _limit_name(base_urls[0])
        self._extra = dict(extra_body or {})

    def stream(self, prompt: Prompt) -> AsyncGenerator[Sequence[Chunk], None]:
        """The engine's answer; see `Upstream.stream`."""
        options = {**self._extra, **prompt.options}
        if "max_tokens" in options and self._limit != "max_tokens":
            options[self._limit] = options.pop("max_tokens")
        body = request_body(prompt.model, "messages", prompt.fragments, options, _STREAMED)
        return self._ask("/chat/completions", body, tree=prompt.tree, normaliser=self._normaliser)


def _limit_name(base_url: str) -> str:
    return "max_completion_tokens" if urlsplit(base_url).hostname == _NEW_NAMED_LIMIT else "max_tokens"
