"""The store in one SQLite file.

store          the verbs of `Store`: opening, reading, and what the next six add to them
turns          begun and finished, each in one transaction
removal        contents that go
leases         who has a run until when
conversations  names for the ends of chains
outbox         webhooks
moving         whole trees out and in
lineage        trees and lists, without the contents of turns
walk           which rows a list is made of
search         the words of all turns, in a file beside it
indexing       how these keep up
files          what clients upload
housekeeping   what has had its time
belongings     what a turn has outside its row
holding        who may move a conversation
rows           between turns and their rows
logs           what engines send while runs go on, in files beside it
mapped         pages of such a file
documents      small objects under their ids, also for commands that run beside a server
copying        a copy of one moment, beside a server
resealing      everything sealed with the newest key
database       the connections: one thread writes, others read
writer         that thread, which commits in groups
statements     queries.sql, made ready
opening        for one server alone, and brought up to date
migrations     the tables, as numbered scripts, forward only; schema.sql is what they make
"""

from __future__ import annotations

from catena.store.sqlite.copying import copy_database
from catena.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore", "copy_database"]
