"""The workloads of `make bench`, with their sizes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final, NamedTuple

from bench import sockets, workloads
from bench.rounds import Manner, Workload
from bench.systems import ON_POSTGRES

__all__ = ["FULL", "QUICK", "TINY", "Size", "catalogue"]

_OURS: Final = ("catena", ON_POSTGRES)
_WITH_ENGINE: Final = (*_OURS, "direct")
_ALL: Final = (*_OURS, "floor", "direct")


class Size(NamedTuple):
    """How much of everything. `streams` are numbers of paced streams, with how far their deltas are apart."""

    requests: int
    alone: int
    chains: tuple[tuple[int, int], ...]
    deep: int
    streams: tuple[tuple[int, float], ...]
    deltas: int
    burst: Manner
    broken: int
    widths: tuple[int, ...]
    followers: tuple[int, int, int]


FULL: Final = Size(
    requests=6400,
    alone=1600,
    chains=((16, 50), (4, 200)),
    deep=1000,
    streams=((256, 0.05), (1000, 0.1)),
    deltas=40,
    burst=Manner(deltas=400),
    broken=500,
    widths=(10, 100, 1000),
    followers=(1, 10, 100),
)
QUICK: Final = FULL._replace(
    requests=1600, alone=400, deep=200, streams=((64, 0.05), (256, 0.1)), deltas=20, broken=100
)
TINY: Final = Size(
    requests=64,
    alone=8,
    chains=((4, 3),),
    deep=12,
    streams=((8, 0.01),),
    deltas=10,
    burst=Manner(deltas=20),
    broken=8,
    widths=(2, 20),
    followers=(1, 3, 6),
)
"""Enough to see that everything runs."""


def catalogue(size: Size) -> Iterator[Workload]:
    yield from _creates(size)
    yield from _chains(size)
    yield from _streams(size)
    yield Workload(
        "W4 reads",
        partial(workloads.reads, requests=size.requests, turns=min(200, size.deep)),
        _WITH_ENGINE,
    )
    yield Workload("W6 one connection", partial(sockets.one_connection, turns=size.alone // 4), _OURS)
    yield from _broken(size)
    yield from _growth(size)


def _creates(size: Size) -> Iterator[Workload]:
    for stream in (False, True):
        for width in (1, 16, 64):
            count = size.alone if width == 1 else size.requests
            yield Workload(
                f"W1 stateless {'streamed' if stream else 'plain'} x{width}",
                partial(workloads.stateless, at_once=width, requests=count, stream=stream),
                _ALL,
            )
    yield Workload(
        "W1 stored x16", partial(workloads.stored, at_once=16, requests=size.requests), _WITH_ENGINE
    )


def _chains(size: Size) -> Iterator[Workload]:
    for width, turns in size.chains:
        yield Workload(
            f"W2 chains {width}x{turns}",
            partial(workloads.chains, chains_at_once=width, turns=turns),
            _WITH_ENGINE,
        )
    yield Workload(
        f"W2 depth 2x{size.deep}",
        partial(workloads.depth, turns=size.deep),
        _OURS,
        share_of_rounds=0.6,
    )


def _streams(size: Size) -> Iterator[Workload]:
    for streams, pace in size.streams:
        yield Workload(
            f"W3 paced x{streams} (a delta)",
            partial(workloads.paced, streams=streams, deltas=size.deltas),
            _ALL,
            Manner(size.deltas, pace),
        )
    yield Workload(
        "W3 burst x64 (a delta)",
        partial(workloads.burst, streams=64, deltas=size.burst.deltas),
        _ALL,
        size.burst,
    )


def _broken(size: Size) -> Iterator[Workload]:
    manner = Manner(deltas=2 * size.deltas, pace=0.1 if size.deltas > 10 else 0.05)
    yield Workload(
        f"W7 {size.broken} streams resumed",
        partial(workloads.resumed, streams=size.broken, deltas=manner.deltas, pace=manner.pace),
        _OURS,
        manner,
        share_of_rounds=0.6,
    )


def _growth(size: Size) -> Iterator[Workload]:
    yield Workload(
        "growth: siblings",
        partial(workloads.siblings, widths=size.widths, measured=size.alone // 4),
        _OURS,
        share_of_rounds=0.6,
    )
    manner = Manner(deltas=2 * size.deltas, pace=0.02)
    yield Workload(
        "growth: followers of a stream",
        partial(workloads.followers, counts=size.followers, deltas=manner.deltas),
        _OURS,
        manner,
        share_of_rounds=0.6,
    )
