"""The turns that a statement finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import apsw

from catena.store import Turn
from catena.store.cipher import Cipher
from catena.store.rows import turn_of
from catena.store.sqlite.statements import load_statements

__all__ = ["chain_in", "payloads_of", "turns_in"]

_Q: Final = load_statements()


def turns_in(
    connection: apsw.Connection, project: str, statement: str, which: Mapping[str, Any], cipher: Cipher
) -> list[Turn]:
    """The turns of a statement, in its order."""
    content_of = payloads_of(connection)
    return [turn_of(project, row, content_of, cipher=cipher) for row in connection.execute(statement, which)]


def chain_in(
    connection: apsw.Connection, project: str, statement: str, which: Mapping[str, Any], cipher: Cipher
) -> list[Turn]:
    """The turns of a statement that goes upwards from a chain's end, from the root on."""
    content_of = payloads_of(connection)
    chain: list[Turn] = []
    for row in reversed(list(connection.execute(statement, which))):
        parent = chain[-1].id if chain else None
        chain.append(turn_of(project, row, content_of, parent=parent, cipher=cipher))
    return chain


def payloads_of(connection: apsw.Connection) -> Callable[[bytes, bytes], bytes]:
    """How the payload of a tree is had by its hash."""

    def content_of(tree: bytes, digest: bytes) -> bytes:
        content: bytes = connection.execute(_Q["payload"], {"tree": tree, "hash": digest}).get
        return content

    return content_of
