"""The fixtures that many tests share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from catena.plain_loop import plain_loop
from tests.running import RunningServer, StartServer, running_server

if TYPE_CHECKING:
    from tests.postgres import TestDatabase

# No test asserts a time, and these machines are shared.
settings.register_profile("catena", deadline=None)
settings.load_profile("catena")


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that a server has without uvloop. What depends on that has it as well, by the file next to it."""
    return {"asyncio": plain_loop}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RunningServer]:
    """A server with the defaults and an engine that repeats what it hears."""
    async with running_server(tmp_path / "catena.sqlite3") as running:
        yield running


@pytest.fixture
def start_server(tmp_path: Path) -> StartServer:
    """Starts servers with settings of the test's own; two with the same `name` share a database file in turn."""

    def start(name: str = "catena", **options: Any) -> AbstractAsyncContextManager[RunningServer]:
        return running_server(tmp_path / f"{name}.sqlite3", **options)

    return start


@pytest.fixture(scope="session")
def postgres() -> Iterator[TestDatabase]:
    """A PostgreSQL server of this process's own. `empty` it first."""
    from tests.postgres import running_postgres  # only who needs it needs its driver

    with running_postgres() as database:
        yield database
