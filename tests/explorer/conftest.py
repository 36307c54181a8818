"""One browser for all tests of a worker, and a reader of the explorer who notices every fault of its page."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from catena.upstream.scripted import ScriptedUpstream
from tests.explorer.reader import Reader, open_reader
from tests.explorer.telling import Telling
from tests.running import RunningServer, running_server

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The browser of the system."""
    if BROWSER is None:
        missing = "There is no Chromium on this machine (Debian: apt-get install chromium)."
        if os.environ.get("CATENA_REQUIRE_BROWSER") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    async with async_playwright() as playwright:
        # As root Chromium has no sandbox; these pages come from the test itself.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        launched = await playwright.chromium.launch(executable_path=BROWSER, args=arguments)
        yield launched
        await launched.close()


@pytest_asyncio.fixture(loop_scope="session")
async def telling() -> Telling:
    """What the engine says, which the test holds up and lets go on."""
    return Telling()


@pytest_asyncio.fixture(loop_scope="session")
async def running(tmp_path: Path, telling: Telling) -> AsyncIterator[RunningServer]:
    async with running_server(tmp_path / "catena.sqlite3", engine=ScriptedUpstream(telling.script)) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def reader(browser: Browser, running: RunningServer) -> AsyncIterator[Reader]:
    """Somebody who reads the explorer of `running`, on a desktop."""
    async with open_reader(browser, running.url) as somebody:
        yield somebody


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """The browser lives in one loop, so all tests that drive it run there."""
    for item in items:
        if item.path.parent == Path(__file__).parent and "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
