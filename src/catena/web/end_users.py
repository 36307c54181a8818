"""`/v1/end_users`: an extension, to remove all that belongs to one end user of a project."""

from __future__ import annotations

import time

from catena.erasure import Erasure
from catena.errors import BadRequest
from catena.web.http import Reply, Request, json_reply
from catena.web.routes import Routes

__all__ = ["EndUserRoutes"]


class EndUserRoutes:
    """The handlers of one server."""

    def __init__(self, erasure: Erasure) -> None:
        self._erasure = erasure

    def register(self, routes: Routes) -> None:
        routes.add("DELETE", "/v1/end_users", self.erase, scope="admin")

    async def erase(self, request: Request) -> Reply:
        query = request.query()
        end_user, dry_run = query.one("id"), query.flag("dry_run")
        if not end_user:
            raise BadRequest(
                "Missing required parameter: 'id'. Expected whose responses are to be deleted: the 'safety_identifier' "
                "or 'user' that they were created with.",
                param="id",
                code="missing_required_parameter",
            )
        erased = await self._erasure.erase(request.project, end_user, now=int(time.time()), dry_run=dry_run)
        return json_reply(
            {
                "id": end_user,
                "object": "end_user.deleted",
                "deleted": not dry_run and not erased.running,
                "responses": erased.responses,
                "conversations": erased.conversations,
                "files": erased.files,
                "running": erased.running,
            }
        )
