"""What depends on how sockets behave is run on the loop that production runs on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from catena.plain_loop import plain_loop

ON_UVLOOP = {"test_dropping_clients.py"}
ON_BOTH = {"test_lines.py"}


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], Any]]:
    if item.path.name in ON_UVLOOP:
        return {"uvloop": pytest.importorskip("uvloop").new_event_loop}
    loops: dict[str, Callable[[], Any]] = {"asyncio": plain_loop}
    if item.path.name in ON_BOTH:
        loops["uvloop"] = pytest.importorskip("uvloop").new_event_loop
    return loops
