"""Contexts within the window of their model: measured before the engine is asked, and shortened where that is wanted.

The API: with `truncation: disabled` a context that is too long is an error, with `auto` the oldest of it is dropped.
An engine that tells its window and counts tokens is believed. One that does neither is asked, and what it complains of
is shortened and asked again, a few times.
"""

from __future__ import annotations

import contextlib
import logging
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Mapping, Sequence
from math import ceil
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from catena.chunks import Chunk
from catena.context.estimate import estimated_tokens
from catena.context.media import Draft
from catena.context.prompting import NOTHING_CUT, Context, Cut
from catena.errors import BadRequest, UpstreamError
from catena.taps import Tapped
from catena.upstream import Prompt, Upstream
from catena.wire.request import CreateRequest

__all__ = ["Material", "Measured", "answered", "fitted", "measured", "threshold_of"]

log = logging.getLogger("catena.runs")

_TOO_LONG: Final = "context_length_exceeded"
_TRIES: Final = 8
"""How often a context is made shorter and counted, or asked for, again."""

_STEPS: Final = 8
"""What is dropped grows in steps of this part of a window, for an engine keeps what it has read, and a context that
begins elsewhere with every turn would be read anew each time."""

_BYTES_OF_TOKEN: Final = 4
"""As many as a token of usual text has, for the size of these steps."""

_LONGEST_TOKEN: Final = 16
"""No text has so many bytes for each of its tokens: what is longer need not be counted to be too long."""

_SMALLEST: Final = 2048
"""No window of a model in use is smaller, and a token has at least one byte."""

_LEAST_ROOM: Final = 16
_MOST_ROOM: Final = 1024
"""Tokens that are left for an answer to a request without a limit."""

_SHARE: Final = 0.75
"""Of the window of a model: where its context is compacted at the latest."""

_encode = msgspec.json.Encoder().encode


class Material(msgspec.Struct, frozen=True):
    """What an engine is to read: a context, and `fill`, which puts in what its fragments attach."""

    context: Context
    fill: Callable[[Sequence[bytes]], Awaitable[list[bytes]]]
    dropped: Cut = NOTHING_CUT
    """What is left out."""

    async def fragments(self) -> list[bytes]:
        """As they can be sent. Raises BadRequest for attachments that cannot be put in."""
        fragments = self.context.fragments(self.dropped.turns)
        return await self.fill(fragments) if Draft in set(map(type, fragments)) else fragments

    def further(self) -> Sequence[Cut]:
        """What may be left out beyond what is."""
        return [cut for cut in self.context.cuts() if cut.turns > self.dropped.turns]


class Measured(msgspec.Struct, frozen=True):
    """The size of a prompt in tokens. It is `exact` where the engine itself has counted."""

    tokens: int
    exact: bool


async def measured(upstream: Upstream, prompt: Prompt) -> Measured:
    """How many tokens the engine reads of a prompt."""
    counted = await upstream.count(prompt)
    if counted is not None:
        return Measured(counted, exact=True)
    return Measured(estimated_tokens(prompt.fragments, prompt.options), exact=False)


async def fitted(
    upstream: Upstream, material: Material, prompt: Prompt, *, auto: bool, window: int | None = None
) -> tuple[Material, Prompt]:
    """The prompt of this material as it fits the window of its model: with `auto`, without its oldest turns.

    `window` is what the settings say of it. Raises BadRequest, before the engine was asked, for what cannot fit.
    """
    size = _bytes_of(prompt)
    if size < min(_SMALLEST, window or _SMALLEST):
        return material, prompt
    window = window or await upstream.window(prompt.model)
    if window is None or size < window:
        return material, prompt
    if auto:
        return await _shortened(upstream, material, prompt, window)
    found = await measured(upstream, prompt)
    if found.exact and found.tokens >= window:
        raise _too_long(found.tokens, window)
    return material, prompt


async def _shortened(
    upstream: Upstream, material: Material, prompt: Prompt, window: int
) -> tuple[Material, Prompt]:
    limit = window - _room(prompt.options, window)
    step = max(1, window * _BYTES_OF_TOKEN // _STEPS)
    material, prompt = await _without(material, prompt, _bytes_of(prompt) - window * _LONGEST_TOKEN, step)
    found = await measured(upstream, prompt)
    for _ in range(_TRIES):
        if found.tokens <= limit or not material.further():
            break
        surplus = _bytes_of(prompt) * (1 - limit / found.tokens)
        material, prompt = await _without(material, prompt, surplus, step)
        found = await measured(upstream, prompt)
    if found.exact and found.tokens >= window:
        raise _too_long(found.tokens, window)
    if material.dropped.turns:
        left_out = material.dropped.turns
        log.info("%d turns are left out of a context that is too long for %s", left_out, prompt.model)
    return material, prompt


async def _without(material: Material, prompt: Prompt, surplus: float, step: int) -> tuple[Material, Prompt]:
    """Without so many bytes more, and without what there is up to the next whole `step` of all that was dropped."""
    cuts = material.further()
    if surplus <= 0 or not cuts:
        return material, prompt
    wanted = material.dropped.size + surplus
    sizes = [cut.size for cut in cuts]
    enough = min(bisect_left(sizes, wanted), len(cuts) - 1)
    whole = bisect_left(sizes, ceil(wanted / step) * step)
    is_near = whole < len(cuts) and sizes[whole] - sizes[enough] <= step
    return await _cut(material, prompt, cuts[whole if is_near else enough])


async def _cut(material: Material, prompt: Prompt, cut: Cut) -> tuple[Material, Prompt]:
    material = replace(material, dropped=cut)
    return material, replace(prompt, fragments=await material.fragments())


async def threshold_of(
    request: CreateRequest, upstream: Upstream, model: str, window: int | None
) -> int | None:
    """From how many tokens on a context is to be compacted; None for never.

    That is never so late that there would be no room left for summing up. Raises BadRequest where neither the request
    nor anybody else tells a number.
    """
    if not request.context_management:
        return None
    window = window or await upstream.window(model)
    given = [each.compact_threshold for each in request.context_management]
    bounds = [threshold for threshold in given if threshold is not None]
    if window is not None:
        bounds.append(int(window * _SHARE))
    if not bounds:
        raise BadRequest(
            "Missing required parameter: 'context_management[0].compact_threshold'. The engine of this model does not "
            "tell how much its context may have.",
            param="context_management[0].compact_threshold",
            code="missing_required_parameter",
        )
    return min(bounds)


def _room(options: Mapping[str, Any], window: int) -> int:
    """How many tokens are left for the answer."""
    for name in ("max_tokens", "max_completion_tokens", "max_output_tokens"):
        if name in options:
            return min(int(options[name]), window // 2)
    return max(_LEAST_ROOM, min(_MOST_ROOM, window // 8))


def _bytes_of(prompt: Prompt) -> int:
    size, options = sum(map(len, prompt.fragments)), prompt.options
    if tools := options.get("tools"):
        size += len(_encode(tools))
    if instructions := options.get("instructions"):
        size += len(_encode(instructions))
    return size


def _too_long(tokens: int, window: int) -> BadRequest:
    """The API's error for a context that does not fit, with the numbers."""
    return BadRequest(
        "Your input exceeds the context window of this model. Please adjust your input and try again. The model has "
        f"room for {window} tokens; the request has {tokens}.",
        param="input",
        code=_TOO_LONG,
    )


def answered(
    upstream: Upstream, material: Material, prompt: Prompt, *, auto: bool
) -> Tapped[Sequence[Chunk]]:
    """The engine's answer to a prompt; with `auto`, to what is left of its material when the engine finds it too long.

    Raises UpstreamError.
    """
    return _shortening(upstream, material, prompt) if auto else upstream.stream(prompt)


async def _shortening(upstream: Upstream, material: Material, prompt: Prompt) -> Tapped[Sequence[Chunk]]:
    # Each time the older half of the turns that may go is left out. Once a piece of an answer was told nothing is tried
    # again.
    for attempt in range(_TRIES):
        told = False
        try:
            async with contextlib.aclosing(upstream.stream(prompt)) as answer:
                async for chunks in answer:
                    told = True
                    yield chunks
                return
        except UpstreamError as error:
            cuts = material.further()
            if error.code != _TOO_LONG or told or not cuts or attempt == _TRIES - 1:
                raise
        material, prompt = await _cut(material, prompt, _older_half(cuts))
        left_out = material.dropped.turns
        log.info("%d turns are left out, as %s finds the context too long", left_out, upstream.name)


def _older_half(cuts: Sequence[Cut]) -> Cut:
    """And a few turns more, so that it is the same for some turns."""
    half = cuts[(len(cuts) - 1) // 2].turns
    step = 1 << max(0, len(cuts).bit_length() - _STEPS.bit_length())
    wanted = ceil(half / step) * step
    return next((cut for cut in cuts if cut.turns >= wanted), cuts[-1])
