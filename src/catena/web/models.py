"""`/v1/models`: the names that are mapped here, and what the engines list (spec §1.4)."""

from __future__ import annotations

from typing import Any

from catena.errors import NotFound, UpstreamError
from catena.upstream import ModelInfo
from catena.upstream.routing import Router
from catena.web.http import Reply, Request, json_reply
from catena.web.routes import Routes

__all__ = ["ModelRoutes"]


class ModelRoutes:
    """The handlers of one server."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def register(self, routes: Routes) -> None:
        routes.add("GET", "/v1/models", self.index, scope="api.model.read")
        routes.add("GET", "/v1/models/{model}", self.retrieve, scope="api.model.read", deep=True)

    async def index(self, request: Request) -> Reply:
        return json_reply({"object": "list", "data": [_shape(model) for model in await self._models()]})

    async def retrieve(self, request: Request) -> Reply:
        (name,) = request.path_ids
        for model in await self._models():
            if model.id == name:
                return json_reply(_shape(model))
        if self._router.route(name) is not None:
            # A name that a pattern or the default answers for is a model one can ask, listed or not.
            return json_reply(_shape(ModelInfo(name, owned_by="catena")))
        raise NotFound(f"The model '{name}' does not exist", param="model", code="model_not_found")

    async def _models(self) -> list[ModelInfo]:
        """Mapped names first. An engine that cannot be asked now does not hide the others."""
        models = {name: ModelInfo(name, owned_by="catena") for name in self._router.names}
        failures: list[UpstreamError] = []
        for upstream in self._router.upstreams:
            try:
                for model in await upstream.models():
                    models.setdefault(model.id, model)
            except UpstreamError as error:
                failures.append(error)
        if failures and not models:
            raise failures[0]
        return [*models.values()]


def _shape(model: ModelInfo) -> dict[str, Any]:
    return {"id": model.id, "object": "model", "created": model.created, "owned_by": model.owned_by}
