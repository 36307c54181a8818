"""How much an engine can read, and how much a prompt would be: what engines tell of it, each in its own way.

    vLLM, SGLang    `max_model_len` in their list of models; `/tokenize` takes messages and tools
    llama.cpp       `n_ctx` in `/props`; `/apply-template` writes a prompt out, `/tokenize` cuts it up
    others          some name a context length in their list of models; none counts

These are side questions: an engine that has no answer, or fails at it, is no trouble, and is not asked again for a
while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import msgspec

from catena.upstream import Prompt
from catena.upstream.loose import object_in, objects_in

__all__ = ["Gauge", "Inquire"]

Inquire: TypeAlias = Callable[..., Awaitable[Any]]
"""Asks a path, below the base URL or, with `root`, beside its `/v1`: what the reply decodes to, or None."""

_WINDOWS: Final = ("max_model_len", "loaded_context_length", "context_window", "context_length")

_KNOWN_FOR: Final = 300.0
_UNKNOWN_FOR: Final = 60.0

_MOST_WINDOWS: Final = 1000
"""How many are kept at once, as clients may name any model."""

_TOKENIZE: Final = "/tokenize"

_encode = msgspec.json.Encoder().encode

_Counter: TypeAlias = Literal["messages", "template", "none"]


class Gauge:
    """What one engine tells. `window`, if it is given, is what the settings know better."""

    def __init__(self, inquire: Inquire, *, window: int | None = None, counts: bool = True) -> None:
        self._inquire = inquire
        self._window = window
        self._windows: dict[str, tuple[int | None, float]] = {}
        self._counter: _Counter | None = None if counts else "none"
        self._counter_until = 0.0 if counts else float("inf")

    async def window(self, model: str) -> int | None:
        """How many tokens a context of `model` may have; None if nobody tells."""
        if self._window is not None:
            return self._window
        now = asyncio.get_running_loop().time()
        known, until = self._windows.get(model, (None, 0.0))
        if now >= until:
            known = await self._ask_window(model)
            if len(self._windows) >= _MOST_WINDOWS:
                self._windows.clear()
            self._windows[model] = (known, now + (_UNKNOWN_FOR if known is None else _KNOWN_FOR))
        return known

    async def _ask_window(self, model: str) -> int | None:
        listing = object_in(await self._inquire("GET", "/models"))
        entries = list(objects_in(listing.get("data") or listing.get("models")))
        entry = next((each for each in entries if each.get("id") == model), None)
        if entry is None and len(entries) == 1:
            entry = entries[0]  # an engine of one model answers to any name
        if entry is None:
            return None
        told = next((entry[name] for name in _WINDOWS if _is_size(entry.get(name))), None)
        if told is None and entry.get("owned_by") == "llamacpp":
            settings = object_in(await self._inquire("GET", "/props", root=True))
            told = object_in(settings.get("default_generation_settings")).get("n_ctx")
        return told if _is_size(told) else None

    async def count(self, prompt: Prompt, messages: bytes, options: Mapping[str, Any]) -> int | None:
        """The tokens of a prompt whose messages are this JSON array; None if the engine does not count."""
        match await self._how(prompt.model):
            case "messages":
                return await self._count_messages(prompt, messages, options)
            case "template":
                return await self._count_template(prompt, messages, options)
            case _:
                return None

    async def _how(self, model: str) -> _Counter:
        now = asyncio.get_running_loop().time()
        if self._counter is None or now >= self._counter_until:
            # Small, as it goes to engines of which nothing is known yet.
            question = {"prompt": "a", "content": "a", **({"model": model} if model else {})}
            told = object_in(await self._inquire("POST", _TOKENIZE, _encode(question), root=True))
            self._counter = _counter_that_tells(told)
            self._counter_until = now + (_UNKNOWN_FOR if self._counter == "none" else _KNOWN_FOR)
        return self._counter

    async def _count_messages(
        self, prompt: Prompt, messages: bytes, options: Mapping[str, Any]
    ) -> int | None:
        body = _body(prompt.model, messages, _only(options, "tools", "chat_template_kwargs"))
        told = object_in(await self._inquire("POST", _TOKENIZE, body, root=True, tree=prompt.tree))
        return told["count"] if _is_size(told.get("count")) else None

    async def _count_template(
        self, prompt: Prompt, messages: bytes, options: Mapping[str, Any]
    ) -> int | None:
        wanted = _only(options, "tools", "tool_choice", "response_format", "chat_template_kwargs")
        body = _body(prompt.model, messages, wanted)
        written = object_in(await self._inquire("POST", "/apply-template", body, root=True, tree=prompt.tree))
        if not isinstance(written.get("prompt"), str):
            return None
        question = {"content": written["prompt"], "add_special": True, "parse_special": True}
        told = object_in(
            await self._inquire("POST", _TOKENIZE, _encode(question), root=True, tree=prompt.tree)
        )
        tokens = told.get("tokens")
        return len(tokens) if isinstance(tokens, Sequence) else None


def _counter_that_tells(told: Mapping[str, Any]) -> _Counter:
    if _is_size(told.get("count")):
        return "messages"
    return "template" if isinstance(told.get("tokens"), list) else "none"


def _is_size(value: Any) -> bool:
    return type(value) is int and value > 0


def _only(options: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: options[name] for name in names if options.get(name) is not None}


def _body(model: str, messages: bytes, options: Mapping[str, Any]) -> bytes:
    fields = {**({"model": model} if model else {}), "messages": msgspec.Raw(messages), **options}
    return _encode(fields)
