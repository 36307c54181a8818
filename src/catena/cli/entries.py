"""Turns on a terminal: in lines for a pipe, in tables and trees for a person."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from catena.cli.harmless import one_line, said
from catena.cli.replies import Entry, Shape, Usage
from catena.cli.terminal import console

__all__ = ["about", "ago", "line_of", "list_of", "show_tree", "summary", "tokens"]

_STATUS_STYLES: Final = {"completed": "green", "failed": "red", "cancelled": "yellow", "incomplete": "yellow"}
_WIDE: Final = 1000
_ROOMY: Final = 130
"""Columns from which on a table has room for words beside the ids."""

_STEPS: Final = ((60, "s"), (60, "m"), (24, "h"), (365, "d"))


def ago(created_at: int, now: float | None = None) -> str:
    """How long ago that was, in its largest unit."""
    left = max(0, int((time.time() if now is None else now) - created_at))
    for step, unit in _STEPS:
        if left < step:
            return f"{left}{unit} ago"
        left //= step
    return f"{left}y ago"


def about(*parts: str) -> str:
    """What is known of a turn, on one line."""
    return " · ".join(part for part in map(one_line, parts) if part)


def tokens(usage: Usage | None) -> str:
    """What was read, of which so much was cached, and written."""
    if usage is None:
        return ""
    cached = f" ({usage.cached_tokens} cached)" if usage.cached_tokens else ""
    return f"{usage.input_tokens}{cached} → {usage.output_tokens} tokens"


def summary(entry: Entry, most: int = 60) -> str:
    """What was asked and answered, in few words."""
    if entry.deleted:
        return "(deleted)"
    words = entry.first_words
    said_first = " ⇒ ".join(one_line(text, most) for text in (words.input, words.output) if text)
    return said_first or ("(conversation)" if entry.endpoint == "conversation" else "(nothing)")


def line_of(entry: Entry) -> str:
    """A turn or a tree as one line of fields for other programs: id, time, status, model, turns, words."""
    newest = entry.newest or entry
    turns = str(entry.tree.turns) if entry.tree is not None else "1"
    fields = (entry.id, str(newest.created_at), newest.status, newest.model, turns, _words(entry, 0))
    return "\t".join(one_line(field) for field in fields)


def list_of(entries: Sequence[Entry], width: int) -> RenderableType:
    """Turns or trees for a person: a table, or two lines each where that is too wide. Ids are whole, to be copied."""
    if width < _ROOMY:
        return Group(*(_two_lines(entry) for entry in entries))
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("id", "when", "model", "turns", "words"):
        table.add_column(name, no_wrap=name != "words")
    for entry in entries:
        newest = entry.newest or entry
        turns = str(entry.tree.turns) if entry.tree is not None else ""
        table.add_row(said(entry.id), ago(newest.created_at), _model(newest), turns, said(_words(entry, 70)))
    return table


def _two_lines(entry: Entry) -> RenderableType:
    newest = entry.newest or entry
    words = Text()
    if entry.tree is not None and entry.tree.turns > 1:
        words.append(f"{_counted(entry.tree.turns, 'turn')} · ", "dim")
    words.append_text(said(_words(entry, 0)))
    known = said(f"{about(entry.id, ago(newest.created_at))} · ", "dim").append_text(_model(newest))
    return _with_details(words, known)


def _model(entry: Entry) -> Text:
    return said(one_line(entry.model, 24), _STATUS_STYLES.get(entry.status, "cyan"))


def _counted(number: int, what: str, several: str = "s") -> str:
    return f"{number} {what}{several if number != 1 else ''}"


def _with_details(words: Text, details: Text) -> RenderableType:
    """Words that end where the console does, and below them what must not be lost."""
    words.no_wrap, words.overflow = True, "ellipsis"
    return Group(words, Padding(details, (0, 0, 0, 2), expand=False))


def _words(entry: Entry, most: int) -> str:
    found = entry.excerpt or (entry.newest.excerpt if entry.newest is not None else "")
    if found:
        return one_line(found, most)
    silent = entry.deleted or not (entry.first_words.input or entry.first_words.output)
    return summary(entry.newest if silent and entry.newest is not None else entry, most or 120)


def show_tree(shape: Shape, entries: Sequence[Entry], marked: str) -> None:
    """A tree with its branches; the turn `marked` has the filled point."""
    # A pipe has no width, and what is longer than a console is wide is cut off.
    shown_on = console if console.is_terminal else Console(highlight=False, width=_WIDE)
    shown_on.print(_branching(shape, entries, marked))


def _branching(shape: Shape, entries: Sequence[Entry], marked: str) -> Tree:
    """A chain is a list; only what branches goes in deeper."""
    turns, branches = _counted(shape.turns, "turn"), _counted(shape.branches, "branch", "es")
    head = f"{turns}, {branches}, {shape.depth} deep"
    tree = Tree(Text(head, style="bold"), guide_style="dim")
    children: dict[str | None, list[Entry]] = defaultdict(list)
    for entry in entries:
        children[entry.parent].append(entry)
    waiting = [(tree, entry) for entry in reversed(children[None])]
    while waiting:
        node, entry = waiting.pop()
        node.add(_label(entry, marked))
        below = children[entry.id]
        if len(below) == 1:
            waiting.append((node, below[0]))
            continue
        parts = [node.add(Text(f"branch {number}", style="magenta")) for number in range(1, len(below) + 1)]
        waiting += reversed(list(zip(parts, below, strict=True)))
    return tree


def _label(entry: Entry, marked: str) -> RenderableType:
    here = entry.id == marked
    label = Text("● " if here else "○ ", style="bold green" if here else "dim")
    label.append(summary(entry), style="bold" if here else "dim" if entry.deleted else "")
    status = "" if entry.status == "completed" else entry.status
    known = about(entry.id, status, entry.model, tokens(entry.usage), ago(entry.created_at))
    return _with_details(label, said(known, "dim"))
