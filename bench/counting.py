"""What an operation costs, in numbers that are the same on every machine: calls, statements, bytes, flushes.

Times say more, but only on a machine that does nothing else. What is counted here is what this process does in Python,
in whichever thread, but for the event loop and the bench itself: how often these turn is a matter of luck.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sys
import threading
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import apsw
import msgspec

__all__ = ["Counting", "Look", "held_by_catena"]

_BENCH: Final = str(Path(__file__).parent)
_OURS: Final = f"{os.sep}catena{os.sep}"
_OF_THE_LOOP: Final = (
    "asyncio",
    "concurrent",
    "threading.py",
    "queue.py",
    "selectors.py",
    "weakref.py",
    "_weakrefset.py",
)

_CODECS: Final[dict[type, str]] = {
    msgspec.json.Encoder: "json encodes",
    msgspec.json.Decoder: "json decodes",
    msgspec.msgpack.Encoder: "log encodes",
}

_SYSTEM: Final = apsw.vfs_names()[0]
"""What SQLite's files are read and written with."""


class Counting:
    """Counts while it is `on`. Threads are counted that begin while it is installed.

    `counts` are by what was counted, `functions` the calls of Python functions by module and name. A coroutine that
    goes on after a wait counts as called once more. With `steps` it counts the instructions of Python's machine
    instead of calls: the nearest to processor time, and slow.
    """

    def __init__(self, *, steps: bool = False) -> None:
        self.counts: Counter[str] = Counter()
        self.functions: Counter[str] = Counter()
        self._on = self._disk_on = False
        self._steps = steps

    @contextlib.contextmanager
    def installed(self) -> Iterator[asyncio.AbstractEventLoop]:
        """While inside, all that is made can be counted: the loop, threads, connections to databases."""
        loop = _CountingLoop(self._saw)
        disk = _Disk(self._saw)
        apsw.connection_hooks.append(self._watch)
        seen, sees = (self._enter, "settrace") if self._steps else (self._called, "setprofile")
        getattr(threading, sees)(seen)
        getattr(sys, sees)(seen)
        try:
            yield loop
        finally:
            getattr(sys, sees)(None)
            getattr(threading, sees)(None)
            apsw.connection_hooks.remove(self._watch)
            disk.unregister()
            loop.close()

    @contextlib.contextmanager
    def on(self, *, disk_only: bool = False) -> Iterator[None]:
        """While inside, count from nothing."""
        self.counts.clear()
        self.functions.clear()
        self._on = not disk_only
        self._disk_on = True
        try:
            yield
        finally:
            self._on = self._disk_on = False

    def _saw(self, what: str, number: int = 1) -> None:
        if self._disk_on:
            self.counts[what] += number

    def _watch(self, connection: apsw.Connection) -> None:
        connection.trace_v2(apsw.SQLITE_TRACE_STMT, lambda _: self._saw("statements"))

    def _called(self, frame: FrameType, event: str, argument: Any) -> None:
        """See `sys.setprofile`."""
        name = _counted_as(frame.f_code) if self._on else None
        if name is None:
            return
        if event == "call":
            self.counts["calls"] += 1
            self.functions[name] += 1
        elif event == "c_call":
            self.counts["built-in calls"] += 1
            codec = _CODECS.get(type(getattr(argument, "__self__", None)))
            if codec is not None:
                self.counts[codec] += 1
            elif argument is os.write:
                self.counts["log writes"] += 1

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        """See `sys.settrace`."""
        name = _counted_as(frame.f_code) if self._on else None
        if name is None:
            return None
        frame.f_trace_lines = False
        frame.f_trace_opcodes = True

        def step(frame: FrameType, event: str, argument: Any) -> Any:
            if event == "opcode" and self._on:
                self.counts["steps"] += 1
                self.functions[name] += 1
            return step

        return step


class Look:
    """How many bytes there are of what Catena's code has allocated: `found`, as it was at the last look."""

    found = 0

    def now(self) -> None:
        gc.collect()  # what nobody holds any more goes at its own time
        ours = tracemalloc.Filter(inclusive=True, filename_pattern=f"*{_OURS}*")
        traces = tracemalloc.take_snapshot().filter_traces([ours])
        self.found = sum(each.size for each in traces.statistics("filename"))


@contextlib.contextmanager
def held_by_catena() -> Iterator[Look]:
    """While inside, allocations are watched."""
    tracemalloc.start()
    try:
        yield Look()
    finally:
        tracemalloc.stop()


@cache
def _counted_as(code: CodeType) -> str | None:
    """Module and name of a function, the module as it is called within `catena`; None for what is not counted."""
    file = code.co_filename
    if file.startswith(_BENCH):
        return None
    if _OURS in file:
        module = file.rpartition(_OURS)[2].removesuffix(".py").removesuffix(f"{os.sep}__init__")
        return f"{module.replace(os.sep, '.')}:{code.co_qualname}"
    if any(f"{os.sep}{part}" in file for part in _OF_THE_LOOP):
        return None
    return f"(libraries):{Path(file).stem}.{code.co_qualname}"


class _CountingLoop(asyncio.SelectorEventLoop):
    """Counts the tasks, futures and timers that are made. What asks to connect gets `answering`."""

    def __init__(self, saw: Callable[[str], None]) -> None:
        super().__init__()
        self._saw = saw
        self.answering: Callable[[asyncio.Protocol], asyncio.BaseTransport] | None = None

    def create_future(self) -> asyncio.Future[Any]:
        self._saw("futures")
        return super().create_future()

    def create_task(self, *given: Any, **named: Any) -> asyncio.Task[Any]:
        self._saw("tasks")
        return super().create_task(*given, **named)

    def call_at(self, *given: Any, **named: Any) -> asyncio.TimerHandle:  # type: ignore[override]  # it passes all on
        self._saw("timers")
        return super().call_at(*given, **named)

    async def create_connection(self, factory: Any, *where: Any, **how: Any) -> Any:  # type: ignore[override]
        assert self.answering is not None
        protocol = factory()
        transport = self.answering(protocol)
        protocol.connection_made(transport)
        return transport, protocol


class _Disk(apsw.VFS):
    """SQLite's files, with their writes and flushes counted. It takes the place of the system's."""

    def __init__(self, saw: Callable[..., None]) -> None:
        super().__init__("counting", _SYSTEM, makedefault=True)
        self._saw = saw

    def xOpen(self, name: Any, flags: Any) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        return _File(name, flags, self._saw)


class _File(apsw.VFSFile):
    def __init__(self, name: Any, flags: Any, saw: Callable[..., None]) -> None:
        super().__init__(_SYSTEM, name, flags)
        self._saw = saw

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        self._saw("bytes written", len(data))
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        self._saw("flushes")
        super().xSync(flags)
