"""How many files this process may have open: every client, follower and engine connection is one."""

from __future__ import annotations

import contextlib
import sys
from typing import Final

if sys.platform != "win32":
    import resource

__all__ = ["open_files_limit", "raise_open_files_limit"]

_MOST: Final = 1_048_576
"""What is taken for a limit where the system sets none; more than this some systems refuse."""


def open_files_limit() -> tuple[int, int]:
    """The limit in force, and the one that it may be raised to."""
    if sys.platform == "win32":
        return _MOST, _MOST
    soft, hard = (_MOST if each == resource.RLIM_INFINITY else each for each in _limits())
    return soft, hard


def raise_open_files_limit() -> None:
    """Allow as many as the system lets us; nothing happens where it does not."""
    soft, most = open_files_limit()
    if sys.platform != "win32" and soft < most:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, _limits()[1]))


def _limits() -> tuple[int, int]:
    return resource.getrlimit(resource.RLIMIT_NOFILE)
