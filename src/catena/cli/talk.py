"""A talk with a model over a server that remembers: where in the tree it stands, and what it says as it comes.

Answers are made in the background of the server and followed here. So one that is stopped is kept as far as it went,
and the talk goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from catena.cli.messages import lines_of
from catena.cli.remote import Refused, Remote
from catena.cli.replies import Response

__all__ = ["Answer", "Hear", "Talk"]

Hear = Callable[[str, str], None]
"""Is told each piece of an answer: its kind (`text`, `thought` or `call`), and what was said."""

_TEXT: Final = ("response.output_text.delta", "response.refusal.delta")
_THOUGHT: Final = ("response.reasoning_text.delta", "response.reasoning_summary_text.delta")
_ENDS: Final = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")


class Answer(msgspec.Struct, frozen=True):
    """What came of a question. `response` is None if nothing was heard of it."""

    response: Response | None
    seconds: float
    stopped: bool = False


class Talk:
    """Goes on from `tip`, the last turn; without one, a new tree begins."""

    def __init__(
        self, remote: Remote, model: str, *, tip: str | None = None, instructions: str | None = None
    ) -> None:
        self.remote = remote
        self.model = model
        self.tip = tip
        self.instructions = instructions

    def ask(self, question: str, hear: Hear) -> Answer:
        """Ask, and hear the answer as it comes. Ctrl-C stops it.

        Raises Refused and Unreachable; then the talk stands where it stood.
        """
        began = time.monotonic()
        heard = _Heard(hear)
        stopped = False
        try:
            for event in self.remote.stream(self._body(question)):
                heard.take(event)
        except KeyboardInterrupt:
            stopped = True
            heard.final = self._stopped(heard.response_id)
        response = heard.final
        if response is not None and (response.output or response.status == "completed"):
            self.tip = response.id
        return Answer(response, time.monotonic() - began, stopped)

    def _body(self, question: str) -> dict[str, Any]:
        body = {"model": self.model, "input": question, "background": True}
        if self.instructions:
            body["instructions"] = self.instructions
        return {**body, "previous_response_id": self.tip} if self.tip else body

    def _stopped(self, response_id: str | None) -> Response | None:
        if response_id is None:
            return None
        return self.remote.cancel(response_id)

    def back(self) -> bool:
        """Stand before the last turn; False if there is none."""
        if self.tip is None:
            return False
        self.tip = self.remote.path(self.tip)[-1].parent
        return True


class _Heard:
    """An answer as far as it was heard."""

    def __init__(self, hear: Hear) -> None:
        self._hear = hear
        self.response_id: str | None = None
        self.final: Response | None = None

    def take(self, event: Mapping[str, Any]) -> None:
        kind = event.get("type", "")
        if kind in _TEXT:
            self._hear("text", str(event.get("delta", "")))
        elif kind in _THOUGHT:
            self._hear("thought", str(event.get("delta", "")))
        elif kind == "response.output_item.done":
            for line in lines_of([event["item"]]):
                if line.role == "call":
                    self._hear("call", line.text)
        elif kind in _ENDS:
            self.final = msgspec.convert(event["response"], Response)
        elif kind == "error":
            raise Refused(502, str(event.get("message", "The answer failed.")))
        elif "response" in event:
            self.response_id = str(event["response"].get("id"))
