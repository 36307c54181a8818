"""Statements that say of which days their trees are, where trees are in partitions by time.

PostgreSQL keeps the plan of a statement if one for the values at hand seems to be no better. In partitions that one
does, as a plan for any tree has all partitions in it: so each use is planned anew, which takes longer than the rest of
it. A statement that says between which keys its tree is has a plan with one partition in it, for any tree of that
period, and that is kept. One about several trees is planned each time, but for the partitions of their days only.

What is said is true of the trees wherever they are, in their partition, in the one for the rest, or in a new one that
takes the place of an old one: so it is right whatever becomes of the partitions meanwhile.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from catena.ids import DAY
from catena.store.postgres.periods import Layout, Period, day_of
from catena.store.postgres.statements import OF_DAYS, Statement

__all__ = ["Naming", "within"]

_PERIODS: Final = 32
"""So many, up to now, have statements of their own. Keys from elsewhere begin with any day: for each of those, a
connection would forget the statements that it has a use for."""

_SETTLED: Final = 600
"""Seconds that a period goes on before plans for it are kept. Who analyzed its tables when they were empty had the
planner read all that they have, which is right until they grow, and autovacuum looks once a minute."""

_OF_ONE_TREE: Final = re.compile(r"\b((?:\w+\.)?tree) = \$\d+::bytea\b")


class Naming:
    """The statements of a database with this layout, that keeps plans or does not."""

    def __init__(
        self, layout: Layout, *, plans_are_kept: bool = True, clock: Callable[[], float] = time.time
    ) -> None:
        self._layout = layout
        self._clock = clock
        self._plans_are_kept = plans_are_kept
        self._until = 0.0
        self._recent: dict[int, _Named] = {}  # by the days with which keys begin

    def named(self, statement: Statement, values: Mapping[str, Any]) -> Statement:
        """The statement, with the days of its trees if there is one for them."""
        tree = values.get("tree")
        if not tree or not self._plans_are_kept:
            return OF_DAYS.get(statement.sql, statement)
        settled = self._clock() - _SETTLED
        if settled >= self._until:
            self._recent = self._begin(self._layout.period_of(settled))
        own = self._recent.get(day_of(tree))
        return own.statement(statement) if own is not None else statement

    def _begin(self, period: Period) -> dict[int, _Named]:
        self._until = period.end
        recent: dict[int, _Named] = {}
        for _ in range(_PERIODS):
            recent |= dict.fromkeys(period.keys, _Named(period))
            period = self._layout.period_of((period.day - 1) * DAY)
        return recent


class _Named:
    """The statements about trees of one period, each made once."""

    def __init__(self, period: Period) -> None:
        self._period = period
        self._made: dict[str, Statement] = {}

    def statement(self, statement: Statement) -> Statement:
        made = self._made.get(statement.sql)
        if made is None:
            made = self._made[statement.sql] = within(statement, self._period)
        return made


def within(statement: Statement, period: Period) -> Statement:
    """What a statement says of `:tree`, with the bounds of a period that has it."""
    sql = _OF_ONE_TREE.sub(lambda match: f"{match[0]} AND {period.has(match[1])}", statement.sql)
    return Statement(sql, statement.names)
