"""`catena model`: the embedded model's weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from catena.cli.terminal import console, stop
from catena.embedded import CODER, PullFailed, find
from catena.provision import fetch_weights

__all__ = ["app"]

app = typer.Typer(help="The embedded model.", no_args_is_help=True)


@app.command()
def pull(
    destination: Annotated[Path | None, typer.Argument(help="Where to; by default the cache.")] = None,
) -> None:
    """Fetch the weights of the embedded model, verified by their hash; a pull that was cut goes on."""
    try:
        console.print(f"{CODER.name}: {fetch_weights(console, destination)}")
    except (PullFailed, OSError) as error:
        stop(str(error))


@app.command()
def where() -> None:
    """Say where the weights of the embedded model are."""
    found = find()
    if found is None:
        stop("The embedded model is not on this machine yet: catena model pull")
    console.print(str(found))
