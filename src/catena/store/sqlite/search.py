"""The words of all turns, to be searched: in a file beside the database, made from it and made anew at any time.

No commit waits for it: it is filled behind, along the numbers of rows. What is deleted leaves it before the deletion is
told. Which rows those are is told by triggers of the writer's connection, so that no way of deleting can be forgotten;
what was not yet taken out when the process died is not known any more, so then the whole file is made anew.

The index has no copy of the texts: to take a turn out, FTS5 must be given the same text again.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import apsw

from catena.store.sql import load_queries
from catena.store.sqlite.opening import create_private
from catena.wire.words import VERSION, Term, words_of

__all__ = ["BATCH", "Search"]

BATCH: Final = 256
"""Rows in one step of filling."""

_ENDED: Final = 2
"""The lowest number of a status that does not change any more."""

_CHUNK: Final = 1000
"""Rows that are found at once."""

_Q: Final = load_queries("catena.store.sqlite.words")
_PRAGMAS: Final = (
    "journal_mode = TRUNCATE",
    "synchronous = FULL",
    "secure_delete = ON",
    "temp_store = MEMORY",
)


class _Doomed(NamedTuple):
    """A row whose turn is being deleted, with what is needed to take it out."""

    key: bytes
    project: int
    text: str


class Search:
    """The index in the file at `path`. All methods may raise apsw.Error; they can be called from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._doomed: dict[int, _Doomed] = {}
        self._marked = False
        self._connection: apsw.Connection | None = None

    def open(self, reader: apsw.Connection) -> None:
        """Open the file, or make it anew if it cannot be gone on with. `reader` reads the database."""
        with contextlib.suppress(apsw.Error):
            self._connect()
            if self._goes_on(reader):
                return
        self._renew()

    def remove(self) -> None:
        """Remove the file, if there is one: nobody would take out of it what is deleted."""
        for suffix in ("", "-journal"):
            Path(f"{self._path}{suffix}").unlink(missing_ok=True)

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()

    def watch(self, writer: apsw.Connection) -> None:
        """Have the connection that writes tell of every turn whose contents it removes."""
        writer.create_scalar_function("catena_forget", self._forget, 6)
        for statement in ("watch_erased", "watch_dropped"):
            writer.execute(_Q[statement])

    def _forget(self, *row: Any) -> None:
        # In the writer's transaction: only what cannot be had later.
        number, key, project, given, output, door = row
        with self._lock:
            if not self._marked:
                self._own.execute(_Q["mark"])
                self._marked = True
            self._doomed[number] = _Doomed(key, project, _text(door, given, output))

    def purge(self, reader: apsw.Connection) -> None:
        """Take out what was deleted. When this returns, it is in no file any more."""
        with self._lock:
            numbers = list(self._doomed)
        for start in range(0, len(numbers), BATCH):
            self._purge(reader, numbers[start : start + BATCH])
        with self._lock:
            if self._marked and not self._doomed:
                self._own.execute(_Q["unmark"])
                self._marked = False

    def _purge(self, reader: apsw.Connection, numbers: Sequence[int]) -> None:
        with self._lock, self._own:
            for number in numbers:
                doomed = self._doomed.get(number)
                # Not committed yet, or never, if it is still there.
                if doomed is not None and _key_of(reader, number) != doomed.key:
                    self._take_out(number, doomed)
                    del self._doomed[number]

    def fill(self, reader: apsw.Connection) -> bool:
        """Add the next turns that have ended, at most `BATCH`; whether there may be more to add."""
        new: list[tuple[Any, ...]] = []
        with self._lock, self._own as own, reader:
            place = self._place(reader)
            new = list(reader.execute(_Q["new"], {"place": place, "limit": BATCH}))
            waiting = [] if len(new) == BATCH else [number for (number,) in own.execute(_Q["waiting"])]
            for number, *row in new:
                self._add(number, row)
            for number in waiting:
                self._add(number, next(iter(reader.execute(_Q["row"], {"number": number})), None))
            if new:
                own.execute(_Q["move"], {"place": new[-1][0], "key": new[-1][1]})
        return len(new) == BATCH

    def _place(self, reader: apsw.Connection) -> int:
        """How far it is filled: from the beginning if the last row is gone, for then its number is given again."""
        ((place, key),) = self._own.execute(_Q["state"])
        return int(place) if _key_of(reader, place, tombstones=True) == key else 0

    def find(
        self, project: int, wanted: Sequence[Term], *, after: int, ascending: bool
    ) -> Iterator[Sequence[int]]:
        """The rows in which all terms are found, from behind a row on, some at a time."""
        match = f'project : "p{project}" AND text : ({" AND ".join(_phrase(term) for term in wanted)})'
        order = {"beyond": ">", "direction": "ASC"} if ascending else {"beyond": "<", "direction": "DESC"}
        statement = _Q["find"].format(**order)
        while True:
            with self._lock:
                which = {"match": match, "after": after, "limit": _CHUNK}
                found = [number for (number,) in self._own.execute(statement, which)]
            if found:
                yield found
            if len(found) < _CHUNK:
                return
            after = found[-1]

    @property
    def _own(self) -> apsw.Connection:
        assert self._connection is not None
        return self._connection

    def _connect(self) -> None:
        create_private(self._path)
        self._connection = apsw.Connection(str(self._path))
        for pragma in _PRAGMAS:
            self._connection.execute(f"PRAGMA {pragma}")

    def _goes_on(self, reader: apsw.Connection) -> bool:
        """Whether this was made from that database as it is now, by the same rules."""
        if self._own.execute("PRAGMA user_version").get != VERSION or self._own.execute(_Q["marked"]).get:
            return False
        ((place, key),) = self._own.execute(_Q["state"])
        return bool(place == 0 or _key_of(reader, place, tombstones=True) == key)

    def _renew(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self.remove()
        self._connect()
        with self._own:
            for statement in ("make", "make_secure", "make_here", "make_waits", "make_state", "make_first"):
                self._own.execute(_Q[statement])
            self._own.execute(f"PRAGMA user_version = {VERSION}")

    def _add(self, number: int, row: Sequence[Any] | None) -> None:
        if row is None:
            self._own.execute(_Q["wait_no_more"], {"number": number})
            return
        _, project, status, deleted, door, given, output = row
        if status < _ENDED or number in self._doomed:
            self._own.execute(_Q["wait"], {"number": number})
            return
        self._own.execute(_Q["wait_no_more"], {"number": number})
        if deleted or self._own.execute(_Q["is_here"], {"number": number}).get:
            return
        text = _text(door, given, output)
        if text:
            self._own.execute(_Q["put_here"], {"number": number})
            self._own.execute(_Q["add"], {"number": number, "project": f"p{project}", "text": text})

    def _take_out(self, number: int, doomed: _Doomed) -> None:
        self._own.execute(_Q["drop_here"], {"number": number})
        if self._own.changes():
            what = {"number": number, "project": f"p{doomed.project}", "text": doomed.text}
            self._own.execute(_Q["take_out"], what)


def _text(door: int, given: bytes | None, output: bytes | None) -> str:
    # What was put into a conversation by hand is no response, and is not listed.
    return "" if door > 1 else words_of(given or b"[]", output or b"[]")


def _phrase(term: Term) -> str:
    return '"' + term.text.replace('"', '""') + '"' + ("*" if term.prefix else "")


def _key_of(reader: apsw.Connection, number: int, *, tombstones: bool = False) -> bytes | None:
    for key, deleted in reader.execute(_Q["key"], {"number": number}):
        return key if tombstones or not deleted else None
    return None
