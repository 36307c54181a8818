"""The command line. Each module here is one family of commands: it reads settings, builds the parts once and shows
what comes of it. What is slow to import is imported by the command that needs it."""

from __future__ import annotations

from typing import Annotated

import typer

from catena import __version__
from catena.cli import model
from catena.cli.serve import serve
from catena.cli.terminal import console

__all__ = ["app", "main"]

app = typer.Typer(
    name="catena",
    help="A self-hosted server for the Responses API that remembers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(serve)
app.add_typer(model.app, name="model")


def main() -> None:
    """The `catena` command."""
    app()


def _version(asked: bool) -> None:
    if asked:
        console.print(f"catena {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """A self-hosted server for the Responses API that remembers."""
