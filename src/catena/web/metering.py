"""The limits at the door: a request is let in with a ticket, and its reply says how much is left."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from catena.access import Grant
from catena.errors import CatenaError
from catena.limits import Allowance
from catena.limits.limiter import Limiter
from catena.web.http import Reply, Request, Stream
from catena.web.routes import Route

__all__ = ["Meter"]


class Meter:
    """Answers requests within the limits of who sent them."""

    def __init__(self, limiter: Limiter) -> None:
        self.limiter = limiter

    async def answer(self, request: Request, route: Route, grant: Grant) -> Reply | Stream:
        """What the route answers. Raises TooManyRequests before anything else is done, and what the handler raises."""
        if route.cost == "storage":
            await self.limiter.check_storage(grant.allowances)
            return await route.handler(request)
        return await self._run(request, route, grant.allowances)

    async def _run(self, request: Request, route: Route, allowances: Sequence[Allowance]) -> Reply | Stream:
        told = request.header(b"content-length") or ""
        ticket = await self.limiter.admit(allowances, int(told) if told.isdigit() else 0)
        failed = True
        try:
            with ticket.current():
                reply = await route.handler(request)
            failed = isinstance(reply, Reply) and reply.status >= 400
        except CatenaError as error:
            error.headers = {**ticket.headers, **error.headers}
            raise
        finally:
            await ticket.close(failed=failed)
        return replace(reply, headers={**reply.headers, **ticket.headers})
