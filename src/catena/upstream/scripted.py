"""An engine for tests: its replies are computed from what it was sent, and it remembers what that was."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import msgspec

from catena.chunks import Chunk, Finish, TextDelta, UsageReport
from catena.errors import UpstreamError
from catena.taps import Tapped
from catena.upstream import Dialect, ModelInfo, Prompt

__all__ = ["Script", "ScriptedUpstream", "echo_script", "prompt_items"]

Script: TypeAlias = Callable[[Prompt], Iterable[Chunk | Exception | asyncio.Event]]
"""What an answer consists of: chunks; an exception is raised; an event is waited for."""


def prompt_items(prompt: Prompt) -> list[dict[str, Any]]:
    """The messages or items that the engine saw, oldest first."""
    items: list[dict[str, Any]] = msgspec.json.decode(b"[" + b",".join(prompt.fragments) + b"]")
    return items


def echo_script(prompt: Prompt) -> Iterable[Chunk]:
    """Says how many messages came and repeats the last one, word by word."""
    items = prompt_items(prompt)
    last = items[-1].get("content") if items else ""
    text = last if isinstance(last, str) else "".join(part.get("text", "") for part in last or ())
    words = f"{len(items)}: {text}".split(" ")
    for position, word in enumerate(words):
        yield TextDelta(word if position == 0 else f" {word}")
    yield UsageReport(input_tokens=len(b",".join(prompt.fragments).split()), output_tokens=len(words))
    yield Finish("stop")


class ScriptedUpstream:
    """Answers by a script, and counts tokens by another one.

    `prompts` are all that it was sent, `counted` those that it only counted; `closed_early` counts answers given up
    midway.
    """

    def __init__(
        self,
        script: Script = echo_script,
        *,
        name: str = "scripted",
        dialect: Dialect = "chat",
        context_window: int | None = None,
        count: Callable[[Prompt], int] | None = None,
    ) -> None:
        self.script = script
        self.name = name
        self.dialect: Dialect = dialect
        self.context_window = context_window
        self.prompts: list[Prompt] = []
        self.counted: list[Prompt] = []
        self.closed_early = 0
        self._count = count

    async def stream(self, prompt: Prompt) -> Tapped[Sequence[Chunk]]:
        self.prompts.append(prompt)
        finished = False
        try:
            for step in self.script(prompt):
                if isinstance(step, Exception):
                    finished = True
                    raise step
                if isinstance(step, asyncio.Event):
                    await step.wait()
                else:
                    yield (step,)
            finished = True
        finally:
            self.closed_early += not finished

    async def models(self) -> Sequence[ModelInfo]:
        return [ModelInfo("scripted-1")]

    async def window(self, model: str) -> int | None:
        return self.context_window

    async def count(self, prompt: Prompt) -> int | None:
        self.counted.append(prompt)
        return self._count(prompt) if self._count is not None else None

    async def forward(self, path: str, body: bytes) -> tuple[int, str, bytes]:
        raise UpstreamError(f"The scripted engine has no {path}.", upstream_status=404, code=None)

    async def close(self) -> None:
        """Nothing to give back."""
