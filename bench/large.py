"""`python -m bench large [--stored N]`, W8: a store on SQLite with many turns, beside one that is empty.

The figures of replicas have the same names where they measure the same on PostgreSQL.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console

from bench.filling import Filled, any_turn, fill
from bench.load import Connection
from bench.report import Report
from bench.systems import Process, catena, engine, own_folder
from bench.workloads import Figures, chains, quantile
from bench.workloads.chains import growing
from catena.store import Store
from catena.store.lineage import Wanted
from catena.store.paging import Page
from catena.store.sqlite import SqliteStore
from catena.wire.words import Term

__all__ = ["measure", "reading_times"]

_CHAINS_OF_EACH: Final = 10
"""Half of them are read, the others are continued."""

_WARM_READS: Final = 20
_LAST_WORD: Final = "xylophone"


class _Size(NamedTuple):
    """How deep chains are that are read and continued, how many commits are timed, and how many turns chains get."""

    depths: Sequence[int]
    commits: int
    turns: int

    @classmethod
    def of(cls, stored: int) -> _Size:
        """There must be so many turns that long chains are few of them."""
        return cls((200, 1000), 200, 50) if stored >= 20_000 else cls((20,), 20, 5)


async def measure(console: Console, report: Report, *, rounds: int, stored: int) -> None:
    """Add the rows of SQLite to the report."""
    size = _Size.of(stored)
    with own_folder() as many, own_folder() as none:
        console.print(f"[dim]W8, SQLite: {stored:,} turns before[/]")
        filled = await _fill(report, Path(many), stored, size.depths)
        await _commit(report, Path(many), Path(none), size.commits)
        await _read(report, Path(many), filled.tips)
        async with engine() as direct:
            await _continue(report, direct, Path(many), filled.tips)
            console.print("[dim]W8, SQLite: chains beside those of an empty store[/]")
            await _chains(report, direct, (Path(many), Path(none)), rounds, size.turns)


async def _fill(report: Report, folder: Path, stored: int, depths: Sequence[int]) -> Filled:
    begun = time.perf_counter()
    async with _store(folder) as store:
        filled = await fill(store, stored, chains=dict.fromkeys(depths, _CHAINS_OF_EACH))
        took = time.perf_counter() - begun
        await _indexed(store)
    sizes = _sizes(folder)
    size, words = sum(sizes.values()), _of_words(sizes)
    report.add(
        "W8 stored before",
        "catena",
        {
            "turns": filled.turns,
            "put_in_per_s": filled.turns / took,
            "bytes_per_turn": (size - words) / filled.turns,
            "bytes_over_content": (size - words) / filled.content,
            "bytes_of_words_per_turn": words / filled.turns,
        },
    )
    return filled


def _sizes(folder: Path) -> Mapping[str, int]:
    return {file.name: file.stat().st_size for file in folder.iterdir()}


def _of_words(sizes: Mapping[str, int]) -> int:
    """The bytes of the index that looks for words, which is beside the database."""
    return sum(size for name, size in sizes.items() if ".search" in name)


async def _indexed(store: SqliteStore) -> None:
    """Return when words are found that were stored last: who looks for some has turns added to the index."""
    await store.finish(any_turn(0, asked=_LAST_WORD))
    wanted = Wanted(words=(Term(_LAST_WORD),))
    while not (await store.lineage.list_turns("default", Page(limit=1), wanted))[0]:
        pass


async def _commit(report: Report, many: Path, none: Path, commits: int) -> None:
    """Turns that are stored one after the other, each on the disk before the next."""
    figures: Figures = {}
    for name, folder in (("", many), ("empty_", none)):
        async with _store(folder) as store:
            taken = []
            for number in range(commits):
                turn = any_turn(number)
                begun = time.perf_counter()
                await store.finish(turn)
                taken.append((time.perf_counter() - begun) * 1e3)
        figures |= {f"{name}ms_p50": quantile(taken, 0.5), f"{name}ms_p99": quantile(taken, 0.99)}
    report.noise.look()
    report.add("W8 a commit", "catena", {**figures, "ratio": figures["ms_p50"] / figures["empty_ms_p50"]})


async def _read(report: Report, folder: Path, tips: Mapping[int, Sequence[str]]) -> None:
    """Chains that are read whole: the first time with nothing of the file in memory, and again."""
    for depth, ends in tips.items():
        _forget(folder)
        async with _store(folder) as store:
            figures = await reading_times(store, ends[: len(ends) // 2])
        report.add(f"W8 chain of {depth} read", "catena", figures)


async def reading_times(store: Store, tips: Sequence[str]) -> Figures:
    """Milliseconds until all turns of a chain are there: the first time for each chain, and again."""
    cold: list[float] = []
    warm: list[float] = []
    for place in range(1 + _WARM_READS):
        for tip in tips:
            begun = time.perf_counter()
            await store.load_chain("default", tip)
            (warm if place else cold).append((time.perf_counter() - begun) * 1e3)
    return {
        "first_ms_p50": statistics.median(cold),
        "warm_ms_p50": quantile(warm, 0.5),
        "warm_ms_p99": quantile(warm, 0.99),
    }


async def _continue(report: Report, direct: Process, folder: Path, tips: Mapping[int, Sequence[str]]) -> None:
    """Chains that a server goes on with which has just begun, and again with what it has in memory by then."""
    for depth, ends in tips.items():
        _forget(folder)
        async with catena(direct, folder=folder) as system:
            connection = await Connection.open(system.port)
            turns = [
                [took async for _, took in growing(connection, 1 + _WARM_READS, root=tip)]
                for tip in ends[len(ends) // 2 :]
            ]
            connection.close()
        figures = {
            "first_ms_p50": statistics.median(first for first, *_ in turns),
            "warm_ms_p50": statistics.median(took for _, *later in turns for took in later),
        }
        report.add(f"W8 turn at depth {depth}", "catena", figures)


async def _chains(
    report: Report, direct: Process, folders: tuple[Path, Path], rounds: int, turns: int
) -> None:
    """Chains at both servers in turn."""
    many, none = folders
    async with catena(direct, folder=many) as full, catena(direct, folder=none) as empty:
        for _ in range(rounds):
            figures = await chains(full, chains_at_once=16, turns=turns)
            beside = await chains(empty, chains_at_once=16, turns=turns)
            figures["empty_per_s"] = beside["per_s"]
            figures["ratio"] = figures["per_s"] / beside["per_s"]
            report.add(f"W8 chains 16x{turns}", "catena", figures)
            report.noise.look()


@contextlib.asynccontextmanager
async def _store(folder: Path) -> AsyncIterator[SqliteStore]:
    """As a server has it by default."""
    store = await SqliteStore.open(folder / "turns.sqlite3", searched=True)
    try:
        yield store
    finally:
        await store.close()


def _forget(folder: Path) -> None:
    """Have the operating system read the files from the disk again."""
    for file in folder.iterdir():
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)  # only what is on the disk can be forgotten
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
