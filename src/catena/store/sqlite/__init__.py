"""The store in one SQLite file.

store          the verbs of `Store`, over the statements of queries.sql
belongings     what a turn has outside its row
logs           what engines send while runs go on, in files beside it
copying        a copy of one moment, beside a server
conversations  names for the ends of chains
moving         whole trees out and in
documents      small objects under their ids, also for commands that run beside a server
outbox         webhooks, in the transactions of the store
writer         the one thread that writes, and commits in groups
opening        for one server alone, and brought up to date
migrations     the tables, as numbered scripts, forward only; schema.sql is what they make
"""

from __future__ import annotations

from catena.store.sqlite.copying import copy_database
from catena.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore", "copy_database"]
