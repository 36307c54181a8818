"""The text of an answer, with the thoughts taken out that some engines leave in it.

A reasoning model without a parser in its engine writes `<think>…</think>` before its answer. And models write line
breaks before a tool call, which would make a message of nothing. So at the beginning of an answer, and again after
each call, text is held back until it shows what it is; from then on it flows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from catena.chunks import ReasoningDelta, TextDelta

__all__ = ["Logprobs", "Visible"]

Logprobs: TypeAlias = Sequence[dict[str, Any]]

_OPEN: Final = "<think>"
_CLOSE: Final = "</think>"


class Visible:
    """Pieces of an answer's text in, text and reasoning out. What comes out does not depend on the cuts.

    `flows` says that a piece may be passed on as it is, without asking here. With `parse_think` off, tags are text.
    """

    __slots__ = ("_held", "_inside", "_logprobs", "_strip", "_thoughts", "flows")

    def __init__(self, *, parse_think: bool = True) -> None:
        self.flows = False
        self._thoughts = parse_think
        self._inside = False
        self._strip = False
        self._held = ""
        self._logprobs: list[dict[str, Any]] = []

    def feed(self, text: str, logprobs: Logprobs = ()) -> list[TextDelta | ReasoningDelta]:
        """What `text` lets be said. Tokens that make no text yet come with the text that they begin."""
        self._logprobs += logprobs
        if not text:
            return []
        self._held += text
        if self._inside:
            return self._think()
        return [self._speak()] if self.flows else self._begin()

    def interrupt(self) -> list[TextDelta | ReasoningDelta]:
        """Something else than text comes now: what was held back is said, unless it is only space."""
        chunks = self._rest(spaces=False)
        self.flows = self._thoughts = self._inside = False
        return chunks

    def end(self, *, spaces: bool) -> list[TextDelta | ReasoningDelta]:
        """Nothing comes any more. `spaces` says that an answer of mere space is an answer too."""
        chunks = self._rest(spaces=spaces)
        self.flows = True
        return chunks

    def _begin(self) -> list[TextDelta | ReasoningDelta]:
        lead = self._held.lstrip()
        if not lead or (self._thoughts and len(lead) < len(_OPEN) and _OPEN.startswith(lead)):
            return []
        if self._thoughts and lead.startswith(_OPEN):
            self._inside, self._thoughts, self._strip = True, False, True
            self._held = lead[len(_OPEN) :]
            return self._think()
        if self._strip:
            self._held = lead
        self.flows = True
        return [self._speak()]

    def _think(self) -> list[TextDelta | ReasoningDelta]:
        if self._strip:
            self._held = self._held.lstrip()
            self._strip = not self._held
        thought, close, rest = self._held.partition(_CLOSE)
        if not close:
            self._logprobs.clear()
            settled = _settled(thought)
            self._held = thought[settled:]
            return [ReasoningDelta(thought[:settled])] if settled else []
        self._inside, self._strip = False, True
        self._held = rest
        thought = thought.rstrip()
        chunks: list[TextDelta | ReasoningDelta] = [ReasoningDelta(thought)] if thought else []
        return chunks + self._begin()

    def _speak(self) -> TextDelta:
        text, self._held = self._held, ""
        logprobs, self._logprobs = self._logprobs, []
        if self._strip:
            logprobs, self._strip = _of_end(logprobs, text), False
        return TextDelta(text, logprobs or None)

    def _rest(self, *, spaces: bool) -> list[TextDelta | ReasoningDelta]:
        if self._inside:
            thought, self._held = self._held.rstrip(), ""
            return [ReasoningDelta(thought)] if thought else []
        if self._held.strip() or (spaces and self._held and not self._strip):
            return [self._speak()]
        self._held = ""
        self._logprobs.clear()
        return []


def _settled(thought: str) -> int:
    """How much of `thought` is one for sure; the rest may be the space before a closing tag, or a piece of it."""
    end = len(thought)
    for size in range(min(len(_CLOSE) - 1, end), 0, -1):
        if thought.endswith(_CLOSE[:size]):
            end -= size
            break
    return len(thought[:end].rstrip())


def _of_end(logprobs: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """The entries of the tokens at the end that make up `text`."""
    size = 0
    for position in range(len(logprobs) - 1, -1, -1):
        size += len(logprobs[position]["token"])
        if size >= len(text):
            return logprobs[position:]
    return logprobs
