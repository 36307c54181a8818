"""`catena doctor`: looks at everything that a server needs, and says what to do where it is missing."""

from __future__ import annotations

import asyncio
import logging

import typer
from rich.markup import escape

from catena.cli.harmless import as_json
from catena.cli.options import AsJson, ConfigFile
from catena.cli.serve import settings_to_serve
from catena.cli.terminal import console

__all__ = ["doctor"]

_MARKS = {"ok": "[green]ok     [/]", "warning": "[yellow]warning[/]", "failure": "[bold red]FAILURE[/]"}


def doctor(
    *,
    config: ConfigFile = None,
    json: AsJson = False,
) -> None:
    """Look at the store, the engines and the machine; exit with 1 if the server would not work."""
    from catena.doctor import examine  # imports the world: only when it is needed

    logging.getLogger("catena").setLevel(logging.CRITICAL)  # the findings say it in better words
    findings = asyncio.run(examine(settings_to_serve(config, {})))
    if json:
        typer.echo(as_json(findings))
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
