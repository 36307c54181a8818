"""The store in one SQLite file.

store       the verbs of `Store`, over the statements of queries.sql
writer      the one thread that writes, and commits in groups
migrations  the tables, as numbered scripts, forward only
"""

from __future__ import annotations

from catena.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
