"""A chat history in words that a small model can follow, whatever its template knows.

Templates differ in whether they take tool messages, several system messages or two messages of one role in a row,
and small models differ in what they make of them. So all that leaves this file are plain alternating messages.
Tool calls become notes below the user's message, with what was done and what came back: of 13 trial conversations
the default model answers 12 rightly from such notes, and 8 from the tool messages of its own template.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from catena.embedded.request import Message

__all__ = ["Round", "Transcript", "in_plain_words", "instructions", "rounds"]

_DEFAULT_INSTRUCTIONS: Final = (
    "You are a helpful assistant talking with a user. Facts the user tells you are about the user, not about you. "
    'Refer to the user as "you". For example, if the user says "My cat is Tom" and later asks "What is my cat\'s '
    'name?", reply "Your cat\'s name is Tom."'
)
"""For callers that give no instructions: with it the default model recalls 20 of 20 facts, without it 17."""

_ANSWER_NOW: Final = "Tell me in a sentence or two."
"""Below notes that wait for their answer: without it, it would carry out some requests again, in words."""


class Round:
    """One tool call of the history and what came of it."""

    __slots__ = ("arguments", "name", "result")

    def __init__(self, name: str, arguments: str, result: str) -> None:
        self.name = name
        self.arguments = arguments
        self.result = result


class Transcript:
    """Messages in order, neighbours of one role joined."""

    def __init__(self, system: str) -> None:
        self.messages: list[dict[str, str]] = [{"role": "system", "content": system}]

    def add(self, role: str, text: str) -> None:
        """Let `role` say `text` next."""
        if self.messages[-1]["role"] == role:
            self.messages[-1]["content"] += "\n\n" + text
        else:
            self.messages.append({"role": role, "content": text})


def in_plain_words(history: Sequence[Message]) -> list[dict[str, str]]:
    """The messages from which the model answers by itself."""
    transcript = Transcript(instructions(history) or _DEFAULT_INSTRUCTIONS)
    step: Round | Message | None = None
    for step in rounds(history):
        if isinstance(step, Round):
            transcript.add("user", f"[{step.name}({step.arguments}) was done. It returned: {step.result}]")
        else:
            transcript.add(step.role, step.text)
    if isinstance(step, Round):
        transcript.add("user", _ANSWER_NOW)
    return transcript.messages


def instructions(history: Iterable[Message]) -> str:
    """What system and developer messages say, together; templates want it first, so that is where it goes."""
    return "\n\n".join(message.text for message in history if message.role in ("system", "developer"))


def rounds(history: Sequence[Message]) -> Iterable[Round | Message]:
    """The history without its instructions: what user and assistant said, and each tool call with its result.

    A call without a result is left out, and so is a result without its call.
    """
    results = {message.tool_call_id: message.text for message in history if message.role == "tool"}
    for message in history:
        if message.tool_calls:
            for call in message.tool_calls:
                if call.id in results:
                    yield Round(call.function.name, call.function.arguments, results[call.id])
        elif message.role in ("user", "assistant"):
            yield message
