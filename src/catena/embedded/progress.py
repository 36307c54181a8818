"""A pull as a bar in the terminal."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as _Bar

from catena.embedded.weights import Progress

__all__ = ["PullProgress"]


class PullProgress:
    """The callback for `pull`, to be used as a context manager: a bar, and a line for each source that failed."""

    def __init__(self, console: Console | None = None) -> None:
        self._bar = _Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._bar.add_task("looking for the model", total=None)

    def __enter__(self) -> PullProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        """Show how far the pull is."""
        if progress.note:
            self._bar.console.print(
                progress.note, style="yellow", markup=False, highlight=False, soft_wrap=True
            )
        self._bar.update(
            self._task,
            completed=progress.done,
            total=progress.total,
            description=f"from {progress.source}" if progress.source else None,
        )
