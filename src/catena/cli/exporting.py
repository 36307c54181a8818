"""`catena export ID`: the chain that ends in a response, from a running server."""

from __future__ import annotations

from pathlib import Path

import typer

from catena.cli.remote import asked_of, named
from catena.cli.terminal import stop
from catena.cli.transcripts import Format, format_of, steps_of, written
from catena.errors import BadRequest

__all__ = ["export_chain"]


def export_chain(response_id: str, form: Format | None, output: Path | None, url: str) -> None:
    """Write the chain down; by default in the format that the file's name stands for, or as lines of JSON."""
    form = form or (format_of(output.name) if output is not None else None) or Format.JSONL
    with asked_of(url) as remote:
        steps = list(steps_of(remote, named(remote, response_id)))
    try:
        text = written(steps, form)
    except BadRequest as error:
        stop(error.message)
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        stop(f"{output}: {error.strerror}")
