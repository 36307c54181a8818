"""`catena diff`: two branches side by side, from where they part."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from catena.cli.entries import about, tokens
from catena.cli.harmless import as_json, one_line, said
from catena.cli.looking import Id
from catena.cli.messages import lines_of
from catena.cli.options import AsJson
from catena.cli.remote import DEFAULT_URL, Remote, Url, asked_of, named
from catena.cli.replies import Entry
from catena.cli.terminal import console
from catena.cli.transcripts import Step

__all__ = ["diff", "parted"]


def diff(
    first: Id,
    second: Annotated[str, typer.Argument(metavar="ID", help="The other response.")],
    *,
    json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Show two branches side by side, from their common ancestor on."""
    with asked_of(url) as remote:
        one, other = named(remote, first), named(remote, second)
        common, left, right = parted(remote.path(one), remote.path(other))
        steps = [_steps(remote, left), _steps(remote, right)]
    if json:
        sides = [[{"turn": step.entry, "own": step.turn} for step in side] for side in steps]
        typer.echo(as_json({"common": common, "left": sides[0], "right": sides[1]}))
        return
    _show_common(common, same=not left and not right)
    if not left and not right:
        return
    if console.is_terminal:
        console.print(_side_by_side(*steps))
    else:
        for mark, side in zip("<>", steps, strict=True):
            for step in side:
                typer.echo(f"{mark} {one_line(_about(step.entry))}")
                for line in lines_of([*step.turn.input, *step.turn.output]):
                    typer.echo(f"{mark} {one_line(f'{line.role}: {line.text}')}")


def parted(left: Sequence[Entry], right: Sequence[Entry]) -> tuple[Entry | None, list[Entry], list[Entry]]:
    """The last turn that two chains have in common, and what each has after it."""
    shared = 0
    for one, other in zip(left, right, strict=False):
        if one.id != other.id:
            break
        shared += 1
    return (left[shared - 1] if shared else None), list(left[shared:]), list(right[shared:])


def _steps(remote: Remote, entries: Sequence[Entry]) -> list[Step]:
    return [Step(entry, remote.context(entry.id, own=True)) for entry in entries if not entry.deleted]


def _show_common(common: Entry | None, *, same: bool) -> None:
    if common is None:
        text = "They have no turn in common."
    elif same:
        text = f"Both are {common.id}: there is nothing to compare."
    else:
        text = f"They part after {common.id} (turn {common.depth})."
    console.print(said(text, "dim"), soft_wrap=True)


def _side_by_side(left: Sequence[Step], right: Sequence[Step]) -> Table:
    table = Table(show_header=False, expand=True, show_lines=True)
    table.add_column(ratio=1, overflow="fold")
    table.add_column(ratio=1, overflow="fold")
    for one, other in zip_longest(left, right):
        table.add_row(_cell(one), _cell(other))
    return table


def _cell(step: Step | None) -> Any:
    if step is None:
        return ""
    cell = said(_about(step.entry), "dim")
    for line in lines_of([*step.turn.input, *step.turn.output]):
        cell.append_text(Text.assemble("\n", said(f"{line.role}: ", "cyan"), said(line.text)))
    return cell


def _about(entry: Entry) -> str:
    return about(entry.model, tokens(entry.usage), entry.id)
