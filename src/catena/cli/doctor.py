"""`catena doctor`: looks at everything that a server needs, and says what to do where it is missing."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.markup import escape

from catena.cli.terminal import console, settings

__all__ = ["doctor"]

_MARKS = {"ok": "[green]ok     [/]", "warning": "[yellow]warning[/]", "failure": "[bold red]FAILURE[/]"}


def doctor(
    *,
    config: Annotated[
        Path | None, typer.Option(help="A settings file; by default ./catena.toml if there is one.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Look at the store, the engines and the machine; exit with 1 if the server would not work."""
    from catena.doctor import examine  # imports the world: only when it is needed

    logging.getLogger("catena").setLevel(logging.CRITICAL)  # the findings say it in better words
    findings = asyncio.run(examine(settings(config)))
    if json:
        typer.echo(msgspec.json.format(msgspec.json.encode(findings)).decode())
    else:
        for finding in findings:
            console.print(
                f"{_MARKS[finding.state]} [bold]{escape(finding.subject)}[/]: {escape(finding.text)}",
                soft_wrap=True,
            )
            if finding.advice and finding.state != "ok":
                console.print(f"        [dim]→[/] {escape(finding.advice)}", soft_wrap=True)
    if any(finding.state == "failure" for finding in findings):
        raise typer.Exit(1)
