"""Everything that SQLite has, sealed with the newest key: kind of row by kind of row, some at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import apsw
import msgspec

from catena.store.cipher import Sealing
from catena.store.file_rows import file_columns, file_of, open_piece, seal_piece
from catena.store.files import StoredFile
from catena.store.rows import key_of, prepare, turn_of
from catena.store.sqlite import belongings
from catena.store.sqlite.database import Database
from catena.store.sqlite.logs import RunLogs
from catena.store.sqlite.rows import payloads_of
from catena.store.sqlite.statements import load_statements
from catena.store.unlocking import RECORD_ID, RECORD_KIND, record_document, settled

__all__ = ["SqliteResealing"]

_Q: Final = load_statements()
_UNSEALED: Final = {"unsealed_turn": _Q["unsealed_turn"]}
_STEP: Final = 64
"""Turns in one transaction, and half as many files or pieces of one."""

Place: TypeAlias = tuple[Any, ...]
"""Up to which row of a kind everything was looked at."""
Pass: TypeAlias = Callable[[apsw.Connection, Place], tuple[int, Place]]
"""Seals the next rows of one kind behind a place; how many, and where they end."""


class SqliteResealing:
    """See `Resealing`."""

    def __init__(self, database: Database, cipher: Sealing, logs: RunLogs) -> None:
        self._database = database
        self._cipher = cipher
        self._logs = logs
        self._head = {"head": cipher.ring.head}
        self._left: list[tuple[Pass, Place]] = [
            (self._turns, (0,)),
            (self._payloads, (b"", b"")),
            (self._small_ones, ()),
            (self._files, ()),
            (self._pieces, (b"", 0)),
        ]

    async def pending(self) -> int:
        statement = _Q["count_unsealed"].format(**_UNSEALED)
        return self._database.read(lambda reader: int(reader.execute(statement, self._head).get))

    async def step(self) -> int:
        while self._left:
            work, place = self._left[0]
            done, place = await self._database.write(_behind(place, work))
            if done:
                self._left[0] = (work, place)
                return done
            del self._left[0]
        return 0

    async def settle(self) -> int:
        left = await self.pending()
        if not left:
            self._logs.seal_again()
            # What was in clear until now leaves the write-ahead log as well.
            await self._database.wipe(self._forget_older_keys)
        return left

    def _forget_older_keys(self, connection: apsw.Connection) -> None:
        place = {"kind": RECORD_KIND, "project": "", "id": RECORD_ID}
        ((_, record),) = list(connection.execute(_Q["document"], place))
        document = record_document(settled(record, self._cipher), int(time.time()))
        connection.execute(_Q["put_document"], msgspec.structs.asdict(document))

    def _turns(self, connection: apsw.Connection, place: Place) -> tuple[int, Place]:
        statement = _Q["unsealed_turns"].format(**_UNSEALED)
        which = {**self._head, "after": place[0], "limit": _STEP}
        found = list(connection.execute(statement, which))
        for number, *columns, request in found:
            self._turn(connection, number, columns, request)
        return len(found), (found[-1][0],) if found else place

    def _turn(
        self, connection: apsw.Connection, number: int, columns: Sequence[Any], request: bytes | None
    ) -> None:
        turn = turn_of("", columns, payloads_of(connection), cipher=self._cipher)
        prepared = prepare(turn, self._cipher)
        tree, before = prepared.columns["tree"], belongings.hashes_in(columns[-1])
        if request:
            key = key_of(turn.id) or ()
            request = self._cipher.seal(self._cipher.open(request, "request", *key), "request", *key)
        belongings.add_payloads(connection, number, tree, prepared.contents)
        connection.execute(_Q["reseal_turn"], {**prepared.columns, "number": number, "request": request})
        belongings.drop_payloads(connection, number, tree, before - prepared.contents.keys())

    def _payloads(self, connection: apsw.Connection, place: Place) -> tuple[int, Place]:
        which = {**self._head, "tree": place[0], "hash": place[1], "limit": _STEP // 2}
        found = list(connection.execute(_Q["unsealed_payloads"], which))
        for tree, digest, stored in found:
            content = self._cipher.open(stored, "content", tree, digest)
            again = self._cipher.seal(content, "content", tree, digest)
            connection.execute(_Q["reseal_payload"], {"tree": tree, "hash": digest, "content": again})
        return len(found), found[-1][:2] if found else place

    def _small_ones(self, connection: apsw.Connection, place: Place) -> tuple[int, Place]:
        names = ("reseal_conversations", "reseal_webhooks", "reseal_keys")
        return sum(len(list(connection.execute(_Q[name], self._head))) for name in names), place

    def _files(self, connection: apsw.Connection, place: Place) -> tuple[int, Place]:
        found = list(connection.execute(_Q["unsealed_files"], {**self._head, "limit": _STEP // 2}))
        for row in found:
            file = file_of(dict(zip(StoredFile.__struct_fields__, row, strict=True)), self._cipher)
            connection.execute(_Q["reseal_file"], file_columns(file, self._cipher))
        return len(found), place

    def _pieces(self, connection: apsw.Connection, place: Place) -> tuple[int, Place]:
        which = {**self._head, "blob": place[0], "number": place[1], "limit": _STEP // 2}
        found = list(connection.execute(_Q["unsealed_pieces"], which))
        for blob, number, stored in found:
            content = open_piece(stored, blob, number, self._cipher)
            again = {
                "blob": blob,
                "number": number,
                "content": seal_piece(content, blob, number, self._cipher),
            }
            connection.execute(_Q["reseal_piece"], again)
        return len(found), found[-1][:2] if found else place


def _behind(place: Place, work: Pass) -> Callable[[apsw.Connection], tuple[int, Place]]:
    return lambda connection: work(connection, place)
