"""What has to hold on the loop of the standard library and on the one that production runs, is run on both."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from catena.plain_loop import plain_loop

ON_BOTH_LOOPS = {"test_http_client.py"}


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], Any]]:
    factories: dict[str, Callable[[], Any]] = {"asyncio": plain_loop}
    if item.path.name in ON_BOTH_LOOPS:
        uvloop = pytest.importorskip("uvloop")
        factories["uvloop"] = uvloop.new_event_loop
    return factories
