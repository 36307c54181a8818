"""What must be on this machine before the embedded model answers: its weights, fetched once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.console import Console

from catena.config import Config
from catena.embedded import CODER, PullFailed, find, pull
from catena.embedded.progress import PullProgress
from catena.embedded.weights import Progress

__all__ = ["fetch_weights", "provide", "providing"]

_BEGUN_WITHIN: Final = 10.0
"""Seconds in which a pull says that it has begun, or failed."""


def provide(config: Config, console: Console) -> None:
    """Fetch the weights if the embedded model is to answer and they are not here yet. Raises PullFailed."""
    if _are_missing(config):
        _announce(console)
        fetch_weights(console)


@contextlib.contextmanager
def providing(config: Config, console: Console) -> Iterator[None]:
    """The same beside a server, which runs inside and answers meanwhile.

    Where the weights cannot be had, what runs inside is interrupted as by Ctrl-C; then this raises PullFailed.
    """
    if not _are_missing(config):
        yield
        return
    _announce(console)
    fetch = _Fetch(console)
    try:
        fetch.begin()
        yield
    finally:
        if fetch.failure is not None:
            raise fetch.failure


def fetch_weights(console: Console, destination: Path | None = None) -> Path:
    """Pull the weights with a progress bar; at once if they are here. Raises PullFailed."""
    with PullProgress(console) as progress:
        return pull(destination, progress=progress)


class _Fetch:
    """A pull in a thread, which ends with the process: the next one takes it up where it stopped."""

    def __init__(self, console: Console) -> None:
        self.failure: PullFailed | None = None
        self._console = console
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._run, name="catena-fetch", daemon=True)

    def begin(self) -> None:
        """Return when it is under way, so that whoever asks for the model from now on is told so."""
        self._thread.start()
        self._begun.wait(_BEGUN_WITHIN)

    def _run(self) -> None:
        try:
            with PullProgress(self._console) as bar:
                pull(progress=lambda progress: self._show(bar, progress))
            self._console.print("The embedded model is here, and is loaded now.")
        except (PullFailed, OSError) as error:
            self.failure = error if isinstance(error, PullFailed) else PullFailed(str(error))
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            self._begun.set()

    def _show(self, bar: PullProgress, progress: Progress) -> None:
        self._begun.set()
        bar(progress)


def _are_missing(config: Config) -> bool:
    embedded = [settings for settings in config.upstreams.values() if settings.kind == "embedded"]
    used = not config.upstreams or any(settings.model_path is None for settings in embedded)
    return used and find() is None


def _announce(console: Console) -> None:
    console.print(
        f"Fetching the embedded model once ({CODER.size / 1e9:.1f} GB). With an engine of your own it is not "
        "needed: [bold]catena serve --upstream URL[/]"
    )
