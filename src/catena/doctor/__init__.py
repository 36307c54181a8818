"""What a server with these settings would find on this machine, looked at without changing anything.

database         the file: whole, writable, private, with room to grow
encryption       the keys that its contents are encrypted with
database_server  PostgreSQL: there, up to date, writable
engines          the upstreams: there, letting us in, and which models they have; the embedded model
machine          the port, the clock, the limit on open files
finding          what each of these finds
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from catena.config import Config
from catena.doctor.database import examine_database
from catena.doctor.database_server import examine_database_server
from catena.doctor.engines import examine_engines
from catena.doctor.finding import Finding
from catena.doctor.machine import examine_machine

__all__ = ["Finding", "examine"]


async def examine(config: Config) -> Sequence[Finding]:
    """Everything that was found, good or bad."""
    database, server, engines, machine = await asyncio.gather(
        asyncio.to_thread(lambda: list(examine_database(config))),
        examine_database_server(config),
        examine_engines(config),
        asyncio.to_thread(lambda: list(examine_machine(config))),
    )
    return [*database, *server, *engines, *machine]
