"""A store with many turns: short trees, and among them long chains that grow all the while, as they do in life.

Turns are put in by the store's own verb, as what a server stores of one question and its answer.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from catena.ids import TurnIds, new_tree
from catena.store import Store, Turn
from catena.wire.response import Response, Usage, stored_fields

__all__ = ["Filled", "fill", "prose", "usual_turn"]

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


def usual_turn(number: int, parent: Turn | None = None, *, asked: str = "") -> Turn:
    """What a server stores of one question, this one or any, and its answer."""
    created_at = int(time.time()) - _SPREAD + number % _SPREAD
    ids = TurnIds.new(parent.tree if parent else new_tree(created_at), created_at)
    given = _message(ids.item("msg_"), "user", {"type": "input_text", "text": asked or prose(_ASKED)})
    answer = {"type": "output_text", "text": prose(_ANSWERED), "annotations": [], "logprobs": []}
    output = _message(ids.item("msg_"), "assistant", answer)
    response = Response(
        id=ids.turn("resp_"),
        created_at=created_at,
        status="completed",
        model="m",
        completed_at=created_at + 5,
        usage=Usage(input_tokens=150 * number + 60, output_tokens=180, total_tokens=150 * number + 240),
    )
    return Turn(
        project="default",
        id=response.id,
        tree=ids.tree,
        parent=parent.id if parent else None,
        status=response.status,
        model=response.model,
        created_at=created_at,
        input=msgspec.json.encode([given]),
        output=msgspec.json.encode([output]),
        fields=stored_fields(response),
    )


def _message(item_id: str, role: str, part: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"id": item_id, "type": "message", "status": "completed", "role": role, "content": [part]}


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
            grown = [usual_turn(done, parent) for parent in parents[: turns - done]]
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
        self._last = usual_turn(self._grown, self._last)
        self._grown += 1
        return self._last


async def _store(store: Store, turns: Sequence[Turn]) -> int:
    await asyncio.gather(*map(store.finish, turns))
    return len(turns)
