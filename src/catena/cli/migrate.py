"""`catena migrate`: the tables of a PostgreSQL database, brought up to date before servers of this version start."""

from __future__ import annotations

import asyncio

from catena.cli.registry import ConfigFile, Database
from catena.cli.terminal import console, settings, stop
from catena.config import ConfigError, is_postgres
from catena.errors import CatenaError
from catena.stores import migrate as migrate_store

__all__ = ["migrate"]


def migrate(*, database: Database = None, config: ConfigFile = None) -> None:
    """Bring the tables of a PostgreSQL database up to date. Servers of the version before may go on meanwhile."""
    # Nobody is answered here: what a server would refuse without a key is no matter.
    found = settings(config, {("store", "database"): database, ("keys", "required"): True})
    if not is_postgres(found):
        console.print("A SQLite database is brought up to date when the server starts: nothing to do.")
        return
    try:
        before, after = asyncio.run(migrate_store(found))
    except (CatenaError, ConfigError) as error:
        stop(str(error))
    console.print(f"schema {after}, as before" if before == after else f"schema {before} → {after}")
