"""How a child process ends when its parent does, however abruptly that was.

The parent holds the other end of the child's standard input and never writes to it: its end of file is the parent's.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from typing import Final

__all__ = ["end_with_parent"]

_PR_SET_PDEATHSIG: Final = 1


def end_with_parent() -> None:
    """End this process, at once and without any cleaning up, when its parent ends.

    There are two ways, as each has a gap: the signal exists on Linux only, and the thread cannot run while native
    code holds the interpreter.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_end_with_standard_input, daemon=True, name="parent").start()


def _end_with_standard_input() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)
