"""The statements of queries.sql, and how they see through what is sealed.

`opened(t.fields, t.tree, t.id)` in a statement is the column `fields` in clear. It calls into the cipher for what is
sealed and for nothing else, so a database in clear pays for one look at the first bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Final

import apsw

from catena.store.cipher import MARK, Cipher
from catena.store.sql import load_queries

__all__ = ["expanded", "give_cipher", "load_statements"]

_OPENED: Final = re.compile(r"opened\(((?:\w+\.)?(\w+)), ([^()]+)\)")


@cache
def load_statements() -> Mapping[str, str]:
    """All statements by their names."""
    queries = load_queries("catena.store.sqlite")
    return MappingProxyType({name: expanded(statement) for name, statement in queries.items()})


def expanded(statement: str) -> str:
    """The statement as SQLite takes it."""
    return _OPENED.sub(
        rf"(CASE WHEN substr(\1, 1, {len(MARK)}) = x'{MARK.hex()}' THEN catena_open(\1, '\2', \3) ELSE \1 END)",
        statement,
    )


def give_cipher(connection: apsw.Connection, cipher: Cipher) -> apsw.Connection:
    """Let the statements of a connection open and seal. Returns the connection."""

    def opened(*values: Any) -> bytes:
        stored, column, *row = values
        return cipher.open(stored, column, *map(_bytes, row))

    def sealed(*values: Any) -> Any:
        content, column, *row = values
        return cipher.seal(_bytes(content), column, *map(_bytes, row)) if cipher.sealing else content

    connection.create_scalar_function("catena_open", opened, -1, deterministic=True)
    connection.create_scalar_function("catena_seal", sealed, -1)
    return connection


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
