"""What must be on this machine before the server opens: the embedded model's weights, if it is to answer."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from catena.config import Config
from catena.embedded import CODER, find, pull
from catena.embedded.progress import PullProgress

__all__ = ["fetch_weights", "provide"]


def provide(config: Config, console: Console) -> None:
    """Fetch the weights if the embedded model is to answer and they are not here yet. Raises PullFailed."""
    embedded = [settings for settings in config.upstreams.values() if settings.kind == "embedded"]
    used = not config.upstreams or any(settings.model_path is None for settings in embedded)
    if used and find() is None:
        console.print(
            f"Fetching the embedded model once ({CODER.size / 1e9:.1f} GB). With an engine of your own it is not "
            "needed: [bold]catena serve --upstream URL[/]"
        )
        fetch_weights(console)


def fetch_weights(console: Console, destination: Path | None = None) -> Path:
    """Pull the weights with a progress bar; at once if they are here. Raises PullFailed."""
    with PullProgress(console) as progress:
        return pull(destination, progress=progress)
