"""A terminal for a command to think that a person sits at it: what it shows can be waited for, and keys be typed."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.running import LIMIT

__all__ = ["CTRL_D", "UP", "Terminal", "at_a_terminal", "environment", "piped"]

CTRL_C, CTRL_D, UP = "\x03", "\x04", "\x1b[A"

_STYLE = re.compile(rb"\x1b\[[0-9;]*m|\x1b\[\?2004[hl]")
"""The escapes that the command line and its line editor write themselves: colours, and marks for pasting."""


def environment(url: str, home: Path, **more: str) -> dict[str, str]:
    """Of a person whose home is empty."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CATENA_")}
    ours = {
        "CATENA_URL": url,
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "TERM": "xterm-256color",
        "COLUMNS": "160",
        "LINES": "50",
        "PYTHONUTF8": "1",
    }
    return {**kept, **ours, **more}


async def piped(url: str, home: Path, *arguments: str, given: str = "", **more: str) -> tuple[int, str, str]:
    """The end, the output and the error output of a command between pipes."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "catena",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(url, home, **more),
    )
    async with asyncio.timeout(LIMIT):
        stdout, stderr = await process.communicate(given.encode())
    assert process.returncode is not None
    return process.returncode, stdout.decode(), stderr.decode()


class Terminal:
    """The side of it at which the person sits. Methods block: use it in a thread."""

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self._master = master
        self._process = process
        self.shown = b""
        self._read_up_to = 0

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def wait_for(self, text: str) -> str:
        """What was shown since the last call, up to and with this text."""
        end = time.monotonic() + LIMIT
        while (place := self.plain.find(text, self._read_up_to)) < 0:
            assert self._more(end), f"{text!r} never came:\n{self.plain[self._read_up_to :]}"
        since = self.plain[self._read_up_to : place + len(text)]
        self._read_up_to = place + len(text)
        return since

    def interrupt(self) -> None:
        """Type Ctrl-C once the command waits for something (where /proc does not tell, at once).

        CPython sees a signal that comes just before a wait begins with the end of that wait only: the next key.
        """
        told = Path(f"/proc/{self._process.pid}/stat")
        end = time.monotonic() + LIMIT
        while told.exists() and told.read_text().rpartition(") ")[2][0] != "S":
            assert time.monotonic() < end, "the command never waits for keys"
            os.sched_yield()
        self.type(CTRL_C)

    def end(self) -> int:
        """The status with which the command ends."""
        limit = time.monotonic() + LIMIT
        while self._more(limit):
            pass
        return self._process.wait(LIMIT)

    @property
    def plain(self) -> str:
        """All that was shown, without colours."""
        return _STYLE.sub(b"", self.shown).decode(errors="replace").replace("\r\n", "\n")

    def _more(self, end: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            return False
        try:
            piece = os.read(self._master, 65536)
        except OSError:  # nobody is at the other side any more
            return False
        self.shown += piece
        return bool(piece)


@contextmanager
def at_a_terminal(url: str, home: Path, *arguments: str, **more: str) -> Iterator[Terminal]:
    """A command that runs in a terminal."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "catena", *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment(url, home, **more),
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        process.kill()
        process.wait()
        os.close(master)
