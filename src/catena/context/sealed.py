"""What this server seals into items, and those items opened again.

A compaction item holds a summary of what came before it, and what of that stays in force word for word; a reasoning
item holds the thoughts of an engine that seals nothing itself. Opened they are items that any engine can be shown:
messages, and reasoning in plain text. What another server sealed stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import msgspec

from catena.wire.response import Item

__all__ = ["NO_THOUGHT", "Opener", "Summary", "Thought", "is_foreign", "opened", "summary_in", "thought_in"]


class Summary(msgspec.Struct, frozen=True, tag="summary"):
    """What stands for all items before a compaction: `kept` word for word, the rest as `text`."""

    text: str
    kept: list[Item] = []


class Thought(msgspec.Struct, frozen=True, tag="thought"):
    """Raw reasoning."""

    text: str


NO_THOUGHT: Final = Thought("")
"""What is in a seal that cannot be opened any more."""

Opener: TypeAlias = Callable[[str], Summary | Thought | None]
"""From `encrypted_content` to what is in it; None if this server did not seal it."""

_PREFACE: Final = "Summary of the conversation so far, which stands for the messages before this one:"


def summary_in(item: Item, opener: Opener) -> Summary | None:
    """The summary that a compaction item holds, if this server can open it."""
    inside = opener(str(item.get("encrypted_content")))
    return inside if isinstance(inside, Summary) else None


def is_foreign(item: Item, opener: Opener) -> bool:
    """Whether the item was sealed elsewhere, so that only others can open it."""
    return opener(str(item.get("encrypted_content"))) is None


def opened(items: Sequence[Item], opener: Opener) -> Sequence[Item]:
    """The items with what this server sealed in plain words."""
    for item in items:
        if "encrypted_content" in item:
            return _opened(items, opener)
    return items


def _opened(items: Sequence[Item], opener: Opener) -> Sequence[Item]:
    shown: list[Item] = []
    for item in items:
        sealed = item.get("encrypted_content")
        inside = opener(str(sealed)) if sealed else None
        if isinstance(inside, Summary):
            shown += [*inside.kept, _told(inside.text)]
        elif isinstance(inside, Thought) and item.get("type") == "reasoning":
            shown.append(_in_plain_text(item, inside))
        else:
            shown.append(item)
    return shown


def _told(summary: str) -> Item:
    text = f"{_PREFACE}\n\n{summary}"
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def _in_plain_text(item: Item, thought: Thought) -> Item:
    plain = {name: value for name, value in item.items() if name != "encrypted_content"}
    if not thought.text:
        return plain
    return {**plain, "content": [{"type": "reasoning_text", "text": thought.text}]}


def thought_in(item: Item) -> str:
    """The raw reasoning in a reasoning item, as far as it can be read."""
    return "\n".join(part["text"] for part in item.get("content") or () if part.get("text"))
