"""The store that the settings name: a SQLite file, or PostgreSQL, whose driver is imported only then."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from types import ModuleType
from typing import TYPE_CHECKING, TypeAlias

from catena.config import Config, ConfigError, database_path, encryption_key_path, is_postgres
from catena.store.documents import Documents
from catena.store.sqlite import SqliteStore
from catena.store.sqlite.documents import open_documents as open_sqlite_documents

if TYPE_CHECKING:
    from catena.store.postgres import DatabaseSettings, PostgresStore

__all__ = ["AnyStore", "migrate", "open_documents", "open_store"]

AnyStore: TypeAlias = "SqliteStore | PostgresStore"


async def open_store(config: Config) -> AnyStore:
    """The store, open. Raises StoreUnavailable, and ConfigError where the driver is missing."""
    if is_postgres(config):
        store: PostgresStore = await _postgres().PostgresStore.open(
            _settings(config), searched=config.search.enabled, key_file=encryption_key_path(config)
        )
        return store
    path = database_path(config)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return await SqliteStore.open(
        path,
        durability=config.store.durability,
        searched=config.search.enabled,
        key_file=encryption_key_path(config),
    )


@contextlib.asynccontextmanager
async def open_documents(config: Config) -> AsyncIterator[Documents]:
    """The documents of a store that servers may have open at the same time. Raises as `open_store`."""
    if is_postgres(config):
        store = await open_store(config)
        try:
            yield store.documents
        finally:
            await store.close()
        return
    path = database_path(config)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    async with open_sqlite_documents(path) as documents:
        yield documents


async def migrate(config: Config, *, days: int | None = None, shards: int = 1) -> tuple[int, int]:
    """Bring a PostgreSQL database's tables up to date; those of a new one in partitions of so many `days`, if any, each
    spread over so many `shards`. Returns the schema's number before and after.

    Raises as `open_store`.
    """
    postgres = _postgres()
    layout = postgres.Layout(days=days, shards=shards) if days is not None else None
    before, after = await postgres.migrate(_settings(config), layout)
    return int(before), int(after)


def _settings(config: Config) -> DatabaseSettings:
    settings: DatabaseSettings = _postgres().DatabaseSettings(
        url=config.store.database,
        durability=config.store.durability,
        connections=config.store.connections,
        timeout=config.store.timeout_seconds,
        pooled=config.store.pooled,
    )
    return settings


def _postgres() -> ModuleType:
    try:
        from catena.store import postgres
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        raise ConfigError(
            "store.database: PostgreSQL needs its driver, which is not installed: pip install 'catena[postgres]'"
        ) from error
    return postgres
