"""WebSocket mode: turns over one connection beside HTTP, and many connections at once.

`python -m bench.sockets [--sockets N]` opens so many connections to one process, all idle, then all with turns, and
prints what each costs in memory.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from rich.console import Console

from bench.load import Connection
from bench.systems import Process, catena, engine
from bench.workloads import Figures, timed
from catena.http_server import event_loop

__all__ = ["Socket", "one_connection"]

_ASKED: Final = "A turn of the chain, number"


class Socket:
    """One connection in WebSocket mode, one response at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Socket:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**16)
        writer.write(
            b"GET /v1/responses HTTP/1.1\r\nhost: bench\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise RuntimeError(f"expected a 101: {head[:200]!r}")
        return cls(reader, writer)

    def close(self) -> None:
        self._writer.close()

    async def ask(self, body: Mapping[str, Any]) -> str:
        """The id of the response, which must be completed."""
        payload = msgspec.json.encode({"type": "response.create", **body})
        size = len(payload)
        # The mask that a client must send is of zeros, which change nothing.
        head = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2)
        self._writer.write(b"\x81" + head + bytes(4) + payload)
        while True:
            frame = await self._frame()
            if frame.startswith(b'{"type":"response.completed"'):
                at = frame.index(b'"id":"resp_') + 6
                return frame[at : frame.index(b'"', at)].decode()
            if frame.startswith((b'{"type":"error"', b'{"type":"response.failed"')):
                raise RuntimeError(frame[:300].decode())

    async def _frame(self) -> bytes:
        """The next frame with text; pings are answered."""
        while True:
            kind, size = await self._reader.readexactly(2)
            if size >= 126:
                size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8))
            payload = await self._reader.readexactly(size)
            if kind == 0x89:
                self._writer.write(b"\x8a" + bytes([0x80 | size]) + bytes(4) + payload)
            elif kind == 0x81:
                return payload
            elif kind == 0x88:
                raise RuntimeError(f"closed: {payload!r}")


# W6: one connection


async def one_connection(system: Process, *, turns: int) -> Figures:
    """W6: a chain that grows over one connection: a socket, one that stores nothing, and HTTP that is kept alive, plain
    and streamed. Turns a second, and what one costs the server; a socket over a stream is their ratio."""
    figures: Figures = {}
    for name, way in {
        "socket": _over_socket(system.port, turns),
        "unstored": _over_socket(system.port, turns, store=False),
        "plain": _over_http(system.port, turns, stream=False),
        "stream": _over_http(system.port, turns, stream=True),
    }.items():
        figures |= {f"{name}_{unit}": value for unit, value in (await timed(system, turns, way)).items()}
    figures["socket_over_stream"] = figures["socket_per_s"] / figures["stream_per_s"]
    return figures


async def _over_socket(port: int, count: int, *, store: bool = True) -> None:
    socket = await Socket.open(port)
    parent: dict[str, str] = {}
    for number in range(count):
        body = {"model": "m", "input": f"{_ASKED} {number}", "store": store, **parent}
        parent = {"previous_response_id": await socket.ask(body)}
    socket.close()


async def _over_http(port: int, count: int, *, stream: bool) -> None:
    connection = await Connection.open(port)
    parent: dict[str, str] = {}
    for number in range(count):
        body = {"model": "m", "input": f"{_ASKED} {number}", "stream": stream, **parent}
        reply = await connection.ask("/responses", body)
        at = reply.index(b'"id":"resp_') + 6
        parent = {"previous_response_id": reply[at : reply.index(b'"', at)].decode()}
    connection.close()


# Many connections


async def crowd(system: Process, sockets: int, rounds: int, console: Console) -> None:
    """Open so many connections, and let all have turns, chained, round after round."""
    await (await Socket.open(system.port)).ask({"model": "m", "input": "warm up"})
    before = system.memory()
    opened = [await Socket.open(system.port) for _ in range(sockets)]
    idle = system.memory()
    console.print(
        f"{sockets} sockets, idle: {idle - before:.1f} MB, {(idle - before) / sockets * 1024:.1f} kB each"
    )
    parents: Sequence[str] = ()
    cpu, begun = system.cpu(), time.perf_counter()
    for number in range(rounds):
        asked = [
            {
                "model": "m",
                "input": f"{_ASKED} {number}",
                **({"previous_response_id": parents[place]} if parents else {}),
            }
            for place in range(sockets)
        ]
        parents = await asyncio.gather(*(each.ask(body) for each, body in zip(opened, asked, strict=True)))
    took = time.perf_counter() - begun
    made = sockets * rounds
    console.print(
        f"{rounds} stored turns on each, all at once: {made / took:,.0f} turns/s, "
        f"{(system.cpu() - cpu) / made * 1e6:.0f} µs of CPU a turn"
    )
    after = system.memory()
    console.print(f"idle again: {after - before:.1f} MB above the start, with the cache of their chains")
    for each in opened:
        each.close()


async def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.sockets")
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The server and the engine inherit it.
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    os.sched_setaffinity(0, {(os.cpu_count() or 1) - 1})
    async with engine() as direct, catena(direct) as system:
        await crowd(system, asked.sockets, asked.rounds, Console())


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=event_loop) as runner:
        runner.run(main())
