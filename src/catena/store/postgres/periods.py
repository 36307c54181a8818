"""Partitions by the day on which trees began: which keys are in which, what they are called, how they are made. Pure.

A period is a day, or a week. The first digits of a tree key tell its day (see catena/ids.py), so the trees of a period
are one range of keys, and go as one when all of them have had their time. Where a tree is makes no difference to
anything else: keys that begin with something else, or with a day that has no partition, are in the one for the rest.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import Final

import msgspec

from catena.ids import DAY, RING

__all__ = [
    "TREE_TABLES",
    "Layout",
    "Period",
    "by_hash",
    "day_of",
    "names_of_shards",
    "partitioned",
    "period_called",
    "rest_of",
    "shards",
    "whole_days",
]

TREE_TABLES: Final = (
    "turns",
    "payloads",
    "payload_uses",
    "foreign_items",
    "logs",
    "conversations",
    "signals",
    "removals",
    "words",
    "unworded",
)
"""All that belongs to trees. Their keys begin with `tree`."""

_NAMED: Final = re.compile(r"turns_(\d{8})")


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """How many days a partition has, and over how many it is spread in turn by a hash of the tree; 1 is none."""

    days: int
    shards: int = 1

    def period_of(self, now: float) -> Period:
        """The one of a tree that begins at `now`."""
        day = int(now) // DAY
        in_ring = day % RING
        first = day - in_ring % self.days
        return Period(
            day=first, days=min(self.days, RING - first % RING)
        )  # the last of the ring may be shorter

    def periods(self, now: float, ahead: int) -> list[Period]:
        """That of `now`, and so many after it."""
        found = [self.period_of(now)]
        for _ in range(ahead):
            found.append(self.period_of(found[-1].end))
        return found


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """Some days from one on, which is counted from 1970-01-01."""

    day: int
    days: int

    @property
    def end(self) -> int:
        """When it is over, in unix seconds."""
        return (self.day + self.days) * DAY

    @property
    def name(self) -> str:
        """Its first day, as names of partitions end: `20261120`."""
        return f"{datetime.date(1970, 1, 1) + datetime.timedelta(days=self.day):%Y%m%d}"

    def table(self, table: str) -> str:
        """The partition of a table."""
        return f"{table}_{self.name}"

    @property
    def bounds(self) -> tuple[str, str | None]:
        """The first key, and the first behind it, as PostgreSQL reads them; None if there are none behind it."""
        low, high = self.keys.start, self.keys.stop
        return _literal(low), _literal(high) if high < RING else None

    @property
    def keys(self) -> range:
        """The days with which the keys of its trees begin."""
        first = self.day % RING
        return range(first, first + self.days)

    def has(self, tree: str = "tree") -> str:
        """The condition for its trees, by the column that has their keys."""
        low, high = self.bounds
        return f"{tree} >= {low}" + (f" AND {tree} < {high}" if high else "")

    @property
    def values(self) -> str:
        """The bound of its partitions."""
        low, high = self.bounds
        return f"FROM ({low}) TO ({high or 'MAXVALUE'})"

    def overlaps(self, other: Period) -> bool:
        """Whether keys of the one are keys of the other, as they are years apart."""
        return self.keys.start < other.keys.stop and other.keys.start < self.keys.stop


def day_of(tree: bytes) -> int:
    """The day with which a key begins."""
    return int.from_bytes(tree[:2]) >> 4


def whole_days(trees: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The first and the last key of the days from that of the first of these trees to that of the last."""
    if not trees:
        return b"", b""
    first, last = day_of(min(trees)), day_of(max(trees))
    return (first << 4).to_bytes(2) + bytes(6), (last << 4 | 15).to_bytes(2) + b"\xff" * 6


def period_called(turns: str, layout: Layout) -> Period | None:
    """The period of a partition of `turns`, by its name; None for the rest."""
    match = _NAMED.fullmatch(turns)
    if match is None:
        return None
    first = datetime.datetime.strptime(match[1], "%Y%m%d").date()
    return layout.period_of((first - datetime.date(1970, 1, 1)).days * DAY)


def rest_of(table: str) -> str:
    """The partition for what no other has."""
    return f"{table}_rest"


def partitioned(script: str, layout: Layout) -> str:
    """A script of the schema that makes its tables of trees in partitions, with those for the rest."""

    def made(match: re.Match[str]) -> str:
        table = match[1]
        if table not in TREE_TABLES:
            return match[0]
        whole = f"{match[0].removesuffix(';')} PARTITION BY RANGE (tree);"
        rest = f"CREATE TABLE {rest_of(table)} PARTITION OF {table} DEFAULT"
        return f"{whole}\n{rest}{by_hash(layout)};{shards(rest_of(table), layout)}"

    return re.sub(r"CREATE TABLE (\w+) \(.*?\n\);", made, script, flags=re.DOTALL)


def by_hash(layout: Layout) -> str:
    """How a partition is spread in turn, if it is."""
    return " PARTITION BY HASH (tree)" if layout.shards > 1 else ""


def shards(table: str, layout: Layout) -> str:
    """What makes the partitions of a partition."""
    if layout.shards == 1:
        return ""
    return "".join(
        f"\nCREATE TABLE {name} PARTITION OF {table}"
        f" FOR VALUES WITH (MODULUS {layout.shards}, REMAINDER {shard});"
        for shard, name in enumerate(names_of_shards(table, layout))
    )


def names_of_shards(table: str, layout: Layout) -> list[str]:
    """The partitions of a partition, if it is spread."""
    return [f"{table}_{shard}" for shard in range(layout.shards)] if layout.shards > 1 else []


def _literal(day: int) -> str:
    return f"'\\x{day:03x}0000000000000'"
