"""The requests that were answered: counted for /metrics, and told to the log, one line each.

A line holds ids and counts only: the route in place of the path, and the ids that stood in it if they look like ids.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from typing import Any, Final

from catena.measures import Histogram
from catena.web.http import Request

__all__ = ["GONE", "SWITCHED", "RouteTraffic", "Traffic"]

access = logging.getLogger("catena.access")

GONE: Final = 499
"""Counted in place of a status where the client went away in the middle of a stream."""

SWITCHED: Final = 101
"""Counted for a WebSocket when it is closed; its time is how long it lasted."""

_AN_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_LINE: Final = "%(request_id)s %(method)s %(route)s %(status)d %(ms).1fms"


class RouteTraffic:
    """What came to one route, by status, and how long it took until the last byte."""

    __slots__ = ("seconds", "statuses")

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.seconds = Histogram()


class Traffic:
    """All requests of a server by method and route; what no route answers for is counted under "-"."""

    def __init__(self) -> None:
        self.routes: dict[tuple[str, str], RouteTraffic] = {}
        self.sockets = 0
        """WebSockets that are open."""

    def count(self, request: Request, status: int, seconds: float) -> None:
        """Add a request that was answered, and tell the log."""
        found = self.routes.get(request.route)
        if found is None:
            found = self.routes[request.route] = RouteTraffic()
        found.statuses[status] += 1
        found.seconds.observe(seconds)
        if access.isEnabledFor(logging.INFO):
            access.info(_LINE, _fields(request, status, seconds))


def _fields(request: Request, status: int, seconds: float) -> dict[str, Any]:
    method, route = request.route
    fields: dict[str, Any] = {
        "request_id": request.request_id,
        "method": method,
        "route": route,
        "status": status,
        "ms": round(seconds * 1000, 3),
    }
    ids = [each for each in request.path_ids if _AN_ID.fullmatch(each)]
    if ids:
        fields["ids"] = ids
    if request.project:
        fields["project"] = request.project
    if request.client_id is not None:
        fields["client_request_id"] = request.client_id
    return fields
