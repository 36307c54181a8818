"""A PostgreSQL database, over the store's own connection, which brings no tables up to date by itself."""

from __future__ import annotations

from collections.abc import Sequence

from catena.config import Config, masked
from catena.doctor.finding import Finding
from catena.errors import StoreUnavailable
from catena.ids import TurnIds, new_tree
from catena.stores import open_store

__all__ = ["examine_database_server"]


async def examine_database_server(config: Config) -> Sequence[Finding]:
    """Whether it is there, has this version's tables and can be written; nothing for a database in a file."""
    if "://" not in config.store.database:
        return []
    url = str(masked(("store", "database"), config.store.database))
    try:
        store = await open_store(config)
    except StoreUnavailable as error:
        advice = (
            error.advice or "Start it, or correct store.database; is the user allowed to connect from here?"
        )
        return [Finding("database", "failure", f"{url}: {error.message}", advice)]
    try:
        await store.waiting()
        # A write that changes no row, which a replica for reading refuses all the same.
        await store.renew("catena doctor", 0.0, [TurnIds.new(new_tree(0), 0).turn("resp_")])
    except StoreUnavailable as error:
        advice = error.advice or "Has the user been granted everything on the tables?"
        return [Finding("database", "failure", f"{url}: {error.message}", advice)]
    finally:
        await store.close()
    return [Finding("database", "ok", f"{url} has the tables of this version, and can be written")]
