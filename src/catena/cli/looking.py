"""`catena ls`, `search`, `tree` and `show`: what a server has stored."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer

from catena.cli.entries import about, ago, line_of, list_of, show_tree, tokens
from catena.cli.harmless import as_json, one_line, said
from catena.cli.messages import Line, lines_of, messages_of
from catena.cli.options import AsJson, grouped
from catena.cli.remote import DEFAULT_URL, Refused, Remote, Unreachable, Url, asked_of, named
from catena.cli.replies import Context, Entry
from catena.cli.terminal import console, stop

__all__ = ["Id", "ls", "search", "show", "tree"]


def complete_id(incomplete: str) -> Iterator[tuple[str, str]]:
    """The newest turns, for the shell to complete."""
    try:
        newest = Remote(os.environ.get("CATENA_URL") or DEFAULT_URL).listed(50)
    except (Unreachable, Refused):
        return
    for entry in newest:
        if entry.id.startswith(incomplete):
            yield one_line(entry.id), one_line(entry.first_words.input, 40)


Id = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="A response; `last` is the newest, `-` reads it from a pipe.",
        autocompletion=complete_id,
    ),
]


@dataclass(frozen=True)
class Narrowed:
    """Which of all that is stored is to be listed, and how much of it."""

    turns: Annotated[bool, typer.Option("--turns", help="Single turns instead of whole trees.")] = False
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="At most so many.")] = 20
    model: Annotated[str | None, typer.Option(help="Only of this model.")] = None
    metadata: Annotated[
        list[str] | None,
        typer.Option("--metadata", "-m", metavar="KEY=VALUE", help="Only with this metadata."),
    ] = None
    since: Annotated[
        datetime | None, typer.Option(help="Only since this time (UTC): 2026-11-20, 2026-11-20T18:30.")
    ] = None

    def listed(self, remote: Remote, **wanted: str | None) -> Sequence[Entry]:
        """What the server has of that, and of what is wanted besides."""
        return remote.listed(
            self.limit,
            roots=None if self.turns else "true",
            created_after=int(self.since.replace(tzinfo=UTC).timestamp()) - 1 if self.since else None,
            model=self.model,
            **_pairs(self.metadata),
            **wanted,
        )


@grouped
def ls(
    *,
    which: Narrowed,
    status: Annotated[str | None, typer.Option(help="Only with this status, for instance failed.")] = None,
    conversation: Annotated[str | None, typer.Option(help="Only in this conversation.", metavar="ID")] = None,
    json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """List what is stored: trees, the one that was active last first, or turns."""
    with asked_of(url) as remote:
        _show_list(which.listed(remote, status=status, conversation=conversation), json=json)


@grouped
def search(
    words: Annotated[list[str], typer.Argument(help='What to look for: words, "a phrase", begin*.')],
    *,
    which: Narrowed,
    json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Find turns in which all these words were said."""
    query = " ".join(f'"{word}"' if " " in word else word for word in words)
    with asked_of(url) as remote:
        _show_list(which.listed(remote, q=query), json=json)


def _pairs(metadata: Sequence[str] | None) -> dict[str, str]:
    pairs = {}
    for pair in metadata or ():
        key, equals, value = pair.partition("=")
        if not equals:
            stop(f"--metadata {pair}: expected KEY=VALUE.")
        pairs[f"metadata[{key}]"] = value
    return pairs


def _show_list(entries: Sequence[Entry], *, json: bool) -> None:
    if json:
        typer.echo(as_json(entries))
    elif console.is_terminal:
        console.print(list_of(entries, console.width) if entries else "Nothing is found.")
    else:
        for entry in entries:
            typer.echo(line_of(entry))


def tree(response_id: Id, *, json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """Show the tree that a response is in, with its branches."""
    with asked_of(url) as remote:
        response_id = named(remote, response_id)
        shape, entries = remote.tree(response_id)
    if json:
        typer.echo(as_json({"tree": shape, "data": entries}))
        return
    show_tree(shape, entries, response_id)


def show(
    response_id: Id,
    *,
    context: Annotated[
        bool, typer.Option("--context", help="Everything that the model saw, as it was sent.")
    ] = False,
    json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Show a response: what was asked and answered, or with --context all that the model saw."""
    with asked_of(url) as remote:
        response_id = named(remote, response_id)
        entry = remote.path(response_id)[-1]
        found = remote.context(response_id, own=not context)
    if json:
        typer.echo(as_json({"turn": entry, **msgspec.to_builtins(found)}))
        return
    _show_head(entry)
    if context:
        _show_context(found)
    else:
        _show_lines(lines_of(found.input))
    _show_lines(lines_of(found.output), style="bold")


def _show_head(entry: Entry) -> None:
    after = f"after {entry.parent}" if entry.parent is not None else ""
    known = about(entry.id, entry.status, entry.model, tokens(entry.usage), ago(entry.created_at), after)
    console.print(said(known, "dim"), soft_wrap=True)


def _show_context(found: Context) -> None:
    if not found.whole:
        console.print(said("Something in this chain was deleted: this is what is left.", "yellow"))
    if found.engine is None:
        console.print(said(found.engine_unavailable or "", "yellow"), soft_wrap=True)
        _show_lines(lines_of(found.input))
        return
    if found.engine.dialect == "responses" and found.instructions:
        _show_lines([Line("instructions", as_json(found.instructions).strip('"'))])
    _show_lines(messages_of(found.engine))
    for each in found.engine.tools:
        _show_lines([Line("offered", as_json(each, indent=0))], style="dim")


def _show_lines(lines: Sequence[Line], style: str = "") -> None:
    for line in lines:
        console.print(said(f"{line.role}:", "cyan"), said(line.text, style), soft_wrap=True)
