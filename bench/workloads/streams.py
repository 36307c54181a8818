"""W3: streams, whose engine sends piece by piece, and in a burst."""

from __future__ import annotations

from bench.load import Connection
from bench.systems import Process
from bench.workloads.asking import body_of, path_of
from bench.workloads.creates import stateless
from bench.workloads.timing import Figures, quantile, side_by_side, timed

__all__ = ["burst", "paced"]


async def paced(system: Process, *, streams: int, deltas: int) -> Figures:
    """How late the deltas come, and what one costs; `load_share` is how much of their core generator and engine used.

    Raises RuntimeError if a delta is missing.
    """
    body = body_of(system, "Go on.", stream=True)
    late: list[float] = []

    async def work(connection: Connection) -> None:
        late.extend((await connection.watch(path_of(system), body)).late)

    figures = await timed(system, streams * deltas, side_by_side(streams, system.port, work))
    if len(late) != streams * deltas:
        raise RuntimeError(f"{system.name}: {len(late)} of {streams * deltas} deltas arrived")
    share = (
        figures.pop("per_s") * figures["load_us"] / 1e6
    )  # a second has so many: that is the pace of the engine
    return {
        **figures,
        "load_share": share,
        "late_ms_p50": quantile(late, 0.5),
        "late_ms_p99": quantile(late, 0.99),
    }


async def burst(system: Process, *, streams: int, deltas: int) -> Figures:
    """What a delta costs where the engine sends all at once."""
    requests = streams * 4
    figures = await stateless(system, at_once=streams, requests=requests, stream=True)
    return {name: value * deltas if name == "per_s" else value / deltas for name, value in figures.items()}
