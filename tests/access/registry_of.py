"""A registry and keys over a real database, with a clock that a test turns."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from catena.access import Keys, Registry
from catena.store.sqlite.documents import open_documents

__all__ = ["Clock", "House", "a_house", "bearer"]


class Clock:
    """Unix seconds that pass when a test says so."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class House:
    """A registry, and the keys of a server that reads it."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self.registry = registry
        self.clock = clock

    def keys(self, *fixed: Any, **options: Any) -> Keys:
        """Those of another server on the same database."""
        return Keys(fixed, registry=self.registry, clock=self.clock, **options)


def bearer(secret: str) -> str:
    return f"Bearer {secret}"


@asynccontextmanager
async def a_house(folder: Path) -> AsyncIterator[House]:
    clock = Clock()
    async with open_documents(folder / "catena.sqlite3") as documents:
        yield House(Registry(documents, clock=clock), clock)
