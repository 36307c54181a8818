"""A decoder that says what a test tells it to say, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from catena.embedded.decoder import Accepted, Decoded, Done, Piece

Message = Mapping[str, str]


class ScriptedDecoder:
    """Gives one prepared answer for each question; an exception is raised, None never ends."""

    context = 100

    def __init__(self, *answers: str | Exception | None, reason: str = "stop") -> None:
        self.questions: list[Sequence[Message]] = []
        self.options: list[Mapping[str, Any]] = []
        self.speaking = asyncio.Event()
        self.closed = asyncio.Event()
        self._answers = list(answers)
        self._reason = reason

    async def decode(
        self, messages: Sequence[Message], options: Mapping[str, Any]
    ) -> AsyncGenerator[Decoded, None]:
        self.questions.append(messages)
        self.options.append(options)
        answer = self._answers.pop(0)
        try:
            if isinstance(answer, Exception):
                raise answer
            yield Accepted()
            yield Accepted()
            if answer is None:
                yield Piece("It ")
                self.speaking.set()
                await asyncio.Event().wait()
            for letter in answer or "":
                yield Piece(
                    letter, logprobs={"content": [{"token": letter}]} if options.get("logprobs") else None
                )
            yield Done(self._reason, prompt_tokens=10, completion_tokens=len(answer or ""), cached_tokens=4)
        finally:
            self.closed.set()

    async def tokenize(self, prompt: str | Sequence[Message]) -> Sequence[int]:
        text = prompt if isinstance(prompt, str) else " ".join(message["content"] for message in prompt)
        return list(range(len(text.split())))
