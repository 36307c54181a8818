"""`catena forget`: all that belongs to one end user is removed, with a report of what that was."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from catena.cli.harmless import as_json, one_line
from catena.cli.options import AsJson
from catena.cli.remote import DEFAULT_URL, Url, asked_of
from catena.cli.replies import Forgotten
from catena.cli.terminal import console, stop

__all__ = ["forget"]


def forget(
    end_user: Annotated[
        str,
        typer.Argument(
            metavar="END_USER", help="The `safety_identifier` or `user` that the requests were sent with."
        ),
    ],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Remove nothing; say what would go.")] = False,
    json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Remove all that belongs to one end user, at once and for good; needs a key with the scope admin."""
    with asked_of(url) as remote:
        report = remote.forget(end_user, dry_run=dry_run)
    if json:
        typer.echo(as_json(msgspec.to_builtins(report)))
    else:
        _show(report)
    if report.running and not dry_run:
        stop("What still runs was left. Cancel it, and forget again.")


def _show(report: Forgotten) -> None:
    kinds = {name: getattr(report, name) for name in ("responses", "conversations", "files", "running")}
    if not console.is_terminal:
        for kind, ids in kinds.items():
            for each in ids:
                typer.echo(f"{kind}\t{one_line(each)}")
        return
    table = Table("", "", "ids", box=None, pad_edge=False, show_header=False)
    for kind, ids in kinds.items():
        if ids:
            table.add_row(kind, str(len(ids)), Text(one_line(" ".join(ids), 200)))
    what = (
        "Nothing is stored for" if not table.row_count else "Removed for" if report.deleted else "Found for"
    )
    console.print(what, Text(one_line(report.id)))
    if table.row_count:
        console.print(table)
