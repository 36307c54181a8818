"""The command line. Each module here is one family of commands: it reads settings, builds the parts once and shows
what comes of it. What is slow to import is imported by the command that needs it."""

from __future__ import annotations

from typing import Annotated

import typer

from catena import __version__
from catena.cli import config, keys, model, projects
from catena.cli.chatting import chat
from catena.cli.comparing import diff
from catena.cli.doctor import doctor
from catena.cli.encryption import encrypt
from catena.cli.forgetting import forget
from catena.cli.housekeeping import gc
from catena.cli.looking import ls, search, show, tree
from catena.cli.migrate import migrate
from catena.cli.moving import backup, export_all, import_all
from catena.cli.replaying import replay
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
app.command()(doctor)
app.command()(chat)
app.command()(ls)
app.command()(search)
app.command()(tree)
app.command()(show)
app.command()(diff)
app.command()(replay)
app.command("export")(export_all)
app.command("import")(import_all)
app.command()(backup)
app.command()(gc)
app.command()(forget)
app.command()(encrypt)
app.command()(migrate)
app.add_typer(config.app, name="config")
app.add_typer(model.app, name="model")
app.add_typer(projects.app, name="projects")
app.add_typer(keys.app, name="keys")


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
