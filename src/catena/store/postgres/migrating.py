"""The tables of a PostgreSQL database, brought up to date by numbered scripts, forward only.

Servers never do that by themselves: several of them, of two versions, may be at work on one database. So they look at
its version when they start, and say what is to be done.
"""

from __future__ import annotations

import time
from importlib import resources
from typing import Final

from catena.errors import StoreUnavailable
from catena.store.postgres.database import Database, DatabaseSettings, Session
from catena.store.postgres.partitions import complete, layout_of, make_ahead
from catena.store.postgres.periods import Layout, partitioned
from catena.store.postgres.statements import Q
from catena.store.postgres.troubles import NOT_OURS
from catena.store.sql import load_migrations

__all__ = ["check_schema", "migrate"]

_SCRIPTS: Final = load_migrations("catena.store.postgres")
_PARTITIONING: Final = (resources.files("catena.store.postgres") / "partitioning.sql").read_text("utf-8")
_ANOTHER_LAYOUT: Final = (
    "The database has its tables already, and not in these partitions, which are for a new database."
)
_GO_OVER: Final = "To go over to them: catena export, and catena import into a new one."


async def migrate(settings: DatabaseSettings, layout: Layout | None = None) -> tuple[int, int]:
    """Bring the tables of a database up to date, in one transaction; new ones in partitions by a `layout`. Returns the
    versions before and after.

    Raises StoreUnavailable if the database cannot be reached, is of a newer version than this one knows, or has tables
    already that are of another layout than one that is asked for.
    """
    database = await Database.open(settings)
    try:
        return await database.patient().transaction(lambda session: _migrate(session, layout))
    finally:
        await database.close()


async def _migrate(session: Session, wanted: Layout | None) -> tuple[int, int]:
    await session.execute("CREATE TABLE IF NOT EXISTS schema_version (version integer NOT NULL)")
    await session.execute("LOCK TABLE schema_version")  # whoever else does this at the moment waits
    before = await _version(session)
    _check_known(before)
    if not before and wanted is not None:
        await session.execute(_PARTITIONING)
        await session.fetch(Q["set_layout"], {"days": wanted.days, "shards": wanted.shards})
    layout = await layout_of(session)
    if wanted not in (None, layout):
        raise StoreUnavailable(_ANOTHER_LAYOUT, advice=_GO_OVER)
    for script in _SCRIPTS[before:]:
        await session.execute(partitioned(script, layout) if layout is not None else script)
    if layout is not None:
        await complete(session, layout)
        while not before and await make_ahead(session, layout, time.time()):
            pass
    await session.fetch(Q["forget_version"], {})
    await session.fetch(Q["set_version"], {"version": len(_SCRIPTS)})
    return before, len(_SCRIPTS)


async def check_schema(session: Session) -> None:
    """Raise StoreUnavailable, with what to do, unless the tables are those of this version."""
    version = await _version(session)
    _check_known(version)
    if version < len(_SCRIPTS):
        tables = (
            f"has the tables of an older Catena (schema {version})" if version else "has no tables of Catena"
        )
        raise StoreUnavailable(
            f"The database {tables}; this version needs schema {len(_SCRIPTS)}.",
            advice="Run: catena migrate (for the same store.database, or with the same --database)",
        )


async def _version(session: Session) -> int:
    ((known,),) = await session.fetch(Q["has_version"], {})
    if not known:
        return 0
    rows = await session.fetch(Q["version"], {})
    if not rows:
        return 0
    version = rows[0]["version"]
    ((ours,),) = await session.fetch(Q["has_turns"], {})
    if not ours or not isinstance(version, int):
        raise StoreUnavailable(
            "The database has a table schema_version that is not Catena's.", advice=NOT_OURS
        )
    return version


def _check_known(version: int) -> None:
    if version > len(_SCRIPTS):
        raise StoreUnavailable(
            f"The database was migrated by a newer Catena (schema {version}; this one knows {len(_SCRIPTS)}).",
            advice="Start that version, or a newer one; this is what catena --version says.",
        )
