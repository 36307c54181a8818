"""A chain written down: for people as Markdown, for programs as lines of JSON or as the messages of a chat."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec

from catena.cli.entries import about, tokens
from catena.cli.harmless import as_json, clean
from catena.cli.messages import lines_of
from catena.cli.remote import Remote
from catena.cli.replies import Context, Entry

__all__ = ["Format", "Step", "format_of", "steps_of", "written"]


class Format(StrEnum):
    JSONL = "jsonl"
    MARKDOWN = "md"
    MESSAGES = "openai-messages"


class Step(msgspec.Struct, frozen=True):
    """A turn of a chain, with its own items."""

    entry: Entry
    turn: Context


_SUFFIXES: Final[Mapping[str, Format]] = {
    ".jsonl": Format.JSONL,
    ".json": Format.MESSAGES,
    ".md": Format.MARKDOWN,
    ".markdown": Format.MARKDOWN,
}


def format_of(name: str) -> Format | None:
    """The format that the end of a file's name stands for."""
    return next((form for suffix, form in _SUFFIXES.items() if name.endswith(suffix)), None)


def steps_of(remote: Remote, response_id: str) -> Iterator[Step]:
    """The chain that ends in a response, from the root on, without what was deleted."""
    for entry in remote.path(response_id):
        if not entry.deleted:
            yield Step(entry, remote.context(entry.id, own=True))


def written(steps: Sequence[Step], form: Format) -> str:
    """The chain in a format. Raises BadRequest for items that no chat has."""
    return _WRITERS[form](steps)


def _jsonl(steps: Sequence[Step]) -> str:
    return "".join(as_json(_turn(step), indent=0) + "\n" for step in steps)


def _turn(step: Step) -> dict[str, Any]:
    entry, turn = step.entry, step.turn
    return {
        "id": entry.id,
        "parent": entry.parent,
        "endpoint": entry.endpoint,
        "status": entry.status,
        "model": entry.model,
        "created_at": entry.created_at,
        "usage": entry.usage,
        "metadata": entry.metadata,
        "instructions": turn.instructions,
        "tools": turn.tools,
        "input": turn.input,
        "output": turn.output,
    }


def _markdown(steps: Sequence[Step]) -> str:
    parts = []
    for number, step in enumerate(steps, 1):
        known = about(step.entry.model, tokens(step.entry.usage), step.entry.id)
        parts.append(f"## {number}. {known}\n")
        if isinstance(step.turn.instructions, str):
            parts.append(f"*Instructions:* {clean(step.turn.instructions)}\n")
        lines = lines_of([*step.turn.input, *step.turn.output])
        parts += [f"**{clean(line.role)}**\n\n{clean(line.text)}\n" for line in lines]
    return "\n".join(parts)


def _messages(steps: Sequence[Step]) -> str:
    from catena.context import chat

    messages: list[dict[str, Any]] = []
    for step in steps:
        messages += chat.messages([*step.turn.input, *step.turn.output])
    last = steps[-1].turn.instructions if steps else None
    lead = [{"role": "system", "content": last}] if isinstance(last, str) else []
    return as_json({"messages": [*lead, *messages]}) + "\n"


_WRITERS: Final[Mapping[Format, Callable[[Sequence[Step]], str]]] = {
    Format.JSONL: _jsonl,
    Format.MARKDOWN: _markdown,
    Format.MESSAGES: _messages,
}
