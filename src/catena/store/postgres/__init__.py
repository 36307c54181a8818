"""The store in PostgreSQL, for any number of servers.

store          the verbs of `Store`
turns          begun and finished, each by one statement
leases         who has a run until when, and what its engine sent
conversations  names for the ends of chains
outbox         webhooks
removal        contents that go
expiry         trees that have had their time, row by row
periods        partitions by the day on which trees began
partitions     which there are; those to come are made ahead
retiring       partitions that have had their time, as one
rows           between turns and their rows
indexing       takes the words of turns behind their commits
lookback       turns that were stored while nobody took words
finding        what lists and searches want
words          as they are looked for
writer         writes that wait share a transaction
naming         statements that say of which period their tree is
database       connections, bounded in time
troubles       what is the matter with it, in words
statements     queries.sql, made ready
migrating      the tables, as numbered scripts, forward only; schema.sql is what they make
"""

from __future__ import annotations

from catena.store.postgres.database import DatabaseSettings
from catena.store.postgres.migrating import migrate
from catena.store.postgres.periods import Layout
from catena.store.postgres.store import PostgresStore

__all__ = ["DatabaseSettings", "Layout", "PostgresStore", "migrate"]
