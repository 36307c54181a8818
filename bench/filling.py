"""A store with many turns: short trees, and among them long chains that grow all the while, as they do in life.

Turns are put in by the store's own verb, as what a server stores of one question and its answer.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from catena.store import Store, Turn
from tests.store.turns import usual_turn

__all__ = ["Filled", "any_turn", "fill", "prose"]

_ASKED: Final = 300
_ANSWERED: Final = 900
"""Characters of a question and its answer."""

_TREES_AT_ONCE: Final = 500
_TURNS_OF_A_TREE: Final = 10
_LETTERS: Final = "etaoin shrdlu cmfwyp"
_SAID: Final = "".join(random.Random(1).choices(_LETTERS, k=1_000_000))
_SPREAD: Final = 10 * 86_400
"""Seconds over which the turns are spread: some days, so that none is old enough to be removed."""


class Filled(NamedTuple):
    """The ids of the last turns of the long chains, by their depth; how many turns there are; and the bytes of all that
    was said in them."""

    tips: Mapping[int, Sequence[str]]
    turns: int
    content: int


def prose(length: int) -> str:
    """Something of this length to say, another each time."""
    start = random.randrange(len(_SAID) - length)
    return _SAID[start : start + length]


def any_turn(number: int, parent: Turn | None = None, *, asked: str = "") -> Turn:
    """A turn that asks this or anything, on one of the days over which turns are spread."""
    return usual_turn(
        number,
        parent,
        asked=asked or prose(_ASKED),
        answered=prose(_ANSWERED),
        created_at=int(time.time()) - _SPREAD + number % _SPREAD,
    )


async def fill(store: Store, turns: int, *, chains: Mapping[int, int]) -> Filled:
    """Have about so many turns in the store, among them `chains`: how many there are to be, by their depth."""
    long = [_Chain(depth) for depth, count in chains.items() for _ in range(count)]
    short = max(0, turns - sum(chain.depth for chain in long))
    stored = 0
    for share in _in_short_trees(short):
        stored += await _store(store, share.turns)
        while behind := [chain for chain in long if len(chain) < chain.depth * share.done]:
            stored += await _store(store, [chain.grow() for chain in behind])
    tips = {depth: [chain.tip for chain in long if chain.depth == depth] for depth in chains}
    return Filled(tips, stored, stored * (_ASKED + _ANSWERED))


class _Share(NamedTuple):
    """Turns that can be stored at once, and how much of all is done with them, from 0 to 1."""

    turns: Sequence[Turn]
    done: float


def _in_short_trees(turns: int) -> Iterator[_Share]:
    done = 0
    while done < turns:
        parents: list[Turn | None] = [None] * _TREES_AT_ONCE
        for _ in range(_TURNS_OF_A_TREE):
            grown = [any_turn(done, parent) for parent in parents[: turns - done]]
            if not grown:
                break
            done += len(grown)
            yield _Share(grown, done / turns)
            parents = [*grown]
    yield _Share([], 1.0)


class _Chain:
    """A chain that is to have so many turns."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self._last: Turn | None = None
        self._grown = 0

    def __len__(self) -> int:
        return self._grown

    @property
    def tip(self) -> str:
        assert self._last is not None
        return self._last.id

    def grow(self) -> Turn:
        self._last = any_turn(self._grown, self._last)
        self._grown += 1
        return self._last


async def _store(store: Store, turns: Sequence[Turn]) -> int:
    await asyncio.gather(*map(store.finish, turns))
    return len(turns)
