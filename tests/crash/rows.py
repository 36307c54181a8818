"""What a checker wants to know of a database's tables, past the server."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

__all__ = ["Rows", "rows_of_sqlite"]


class Rows(NamedTuple):
    """Turns that are under way, what was asked in those that are kept, and what is left of runs that have ended.

    `claims` says how often servers took up a run from the queue, or one that another had left.
    """

    under_way: Sequence[str]
    inputs: Sequence[bytes]
    left: Sequence[str] = ()
    claims: Mapping[str, int] = MappingProxyType({})


def rows_of_sqlite(database: Path) -> Rows:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        under_way = [
            turn_id for (turn_id,) in connection.execute("SELECT hex(id) FROM turns WHERE status < 2")
        ]
        kept = connection.execute("SELECT input FROM turns WHERE NOT deleted AND door <> 2")
        return Rows(under_way=under_way, inputs=[given for (given,) in kept])
    finally:
        connection.close()
