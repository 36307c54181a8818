"""The lines that were typed, across restarts: a file in the user's state folder, readable for its owner only."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

__all__ = ["history_path", "remember", "remembered"]

_MOST: Final = 1000


def history_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Where they are kept."""
    base = environment.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "catena" / "chat_history"


def remembered(path: Path) -> None:
    """Have the arrow keys bring back what was typed before. Without a file that can be used, nothing is remembered."""
    import readline  # changes how `input` reads: only where somebody types

    readline.set_auto_history(True)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        readline.read_history_file(path)
        readline.set_history_length(_MOST)


def remember(path: Path) -> None:
    """Keep what was typed up to now."""
    import readline

    with contextlib.suppress(OSError):
        readline.write_history_file(path)
