"""What is done to the systems. Each workload measures one system once and gives its figures by their names."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from bench.load import Connection
from bench.systems import Process

__all__ = ["Figures", "chain", "chains", "depth", "paced", "reads", "stateless", "stored"]

Figures: TypeAlias = dict[str, float]

_BELOW = ("floor", "direct")
"""Systems that speak the dialect of engines."""


def _path(system: Process) -> str:
    return "/chat/completions" if system.name in _BELOW else "/responses"


def _body(system: Process, text: str, **more: Any) -> dict[str, Any]:
    if system.name in _BELOW:
        return {"model": "m", "messages": [{"role": "user", "content": text}], "stream": True}
    return {"model": "m", "input": text, **more}


async def _timed(system: Process, requests: int, work: Awaitable[object]) -> Figures:
    cpu, begun = system.cpu(), time.perf_counter()
    await work
    took = time.perf_counter() - begun
    return {"per_s": requests / took, "cpu_us": (system.cpu() - cpu) / requests * 1e6}


async def _each(connections: int, port: int, work: Callable[[Connection], Awaitable[None]]) -> None:
    async def one() -> None:
        connection = await Connection.open(port)
        await work(connection)
        connection.close()

    await asyncio.gather(*(one() for _ in range(connections)))


async def stateless(system: Process, *, at_once: int, requests: int, stream: bool) -> Figures:
    """W1: creates that leave nothing behind."""
    body = _body(system, "Say hello.", store=False, stream=stream)

    async def work(connection: Connection) -> None:
        for _ in range(requests // at_once):
            await connection.ask(_path(system), body)

    return await _timed(system, requests, _each(at_once, system.port, work))


async def stored(system: Process, *, at_once: int, requests: int) -> Figures:
    """Creates that are kept, each a root."""
    body = _body(system, "Say hello.")

    async def work(connection: Connection) -> None:
        for _ in range(requests // at_once):
            await connection.ask("/responses", body)

    return await _timed(system, requests, _each(at_once, system.port, work))


async def chain(connection: Connection, turns: int, text: str) -> list[tuple[str, float]]:
    """The ids of a chain's turns, with the milliseconds that each took."""
    made: list[tuple[str, float]] = []
    for number in range(turns):
        body: dict[str, Any] = {"model": "m", "input": f"{text} {number}"}
        if made:
            body["previous_response_id"] = made[-1][0]
        begun = time.perf_counter()
        reply = await connection.ask("/responses", body)
        took = (time.perf_counter() - begun) * 1e3
        at = reply.index(b'"resp_')
        for_id = reply.index(b'"id":"resp_')
        made.append((reply[max(at, for_id + 5) + 1 :].split(b'"', 1)[0].decode(), took))
    return made


async def chains(system: Process, *, chains_at_once: int, turns: int) -> Figures:
    """W2: chains that grow side by side."""

    async def work(connection: Connection) -> None:
        await chain(connection, turns, "A turn of the chain, number")

    return await _timed(system, chains_at_once * turns, _each(chains_at_once, system.port, work))


async def depth(system: Process, *, turns: int) -> Figures:
    """What a turn costs at a depth, two chains side by side: medians around it, in milliseconds."""
    taken: list[list[float]] = []

    async def work(connection: Connection) -> None:
        taken.append([took for _, took in await chain(connection, turns, "A turn of the chain, number")])

    figures = await _timed(system, 2 * turns, _each(2, system.port, work))
    for place in (10, 200, 1000):
        if place <= turns:
            near = [took for chain in taken for took in chain[max(0, place - 20) : place + 10]]
            figures[f"ms_at_{place}"] = statistics.median(near)
    return figures


async def paced(system: Process, *, streams: int, deltas: int) -> Figures:
    """W3: streams whose engine sends piece by piece: how late they come, and what one costs."""
    body = _body(system, "Go on.", stream=True)
    late: list[float] = []

    async def work(connection: Connection) -> None:
        late.extend((await connection.watch(_path(system), body)).late)

    figures = await _timed(system, streams * deltas, _each(streams, system.port, work))
    if len(late) < streams * deltas:
        raise RuntimeError(f"{system.name}: {len(late)} of {streams * deltas} deltas arrived")
    late.sort()
    return {
        "cpu_us": figures["cpu_us"],
        "late_ms_p50": late[len(late) // 2],
        "late_ms_p99": late[int(len(late) * 0.99)],
    }


async def reads(system: Process, *, requests: int) -> Figures:
    """W4: reading back: a response, and a page of the items behind a turn at depth 200."""
    connection = await Connection.open(system.port)
    made = await chain(connection, 200, "A turn of the chain, number")
    connection.close()
    figures: dict[str, float] = {}
    paths: Mapping[str, str] = {
        "get": f"/responses/{made[-1][0]}",
        "items": f"/responses/{made[-1][0]}/input_items",
    }
    for name, path in paths.items():
        count = requests if name == "get" else requests // 20

        async def work(connection: Connection, path: str = path, count: int = count) -> None:
            for _ in range(count // 16):
                await connection.ask(path, method="GET")

        measured = await _timed(system, count, _each(16, system.port, work))
        figures |= {f"{name}_{unit}": value for unit, value in measured.items()}
    return figures
