"""Endpoints without state of ours: passed to the engine as they are, where it has them.

`previous_response_id` means nothing on them, and the client is told which endpoints take it.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec

from catena.errors import BadRequest, NotFound
from catena.upstream.routing import Router
from catena.web.http import Reply, Request
from catena.web.routes import Routes
from catena.wire import wording

__all__ = ["FORWARDED", "ForwardRoutes"]

FORWARDED: Final = (
    "/completions",
    "/embeddings",
    "/moderations",
    "/rerank",
    "/audio/speech",
    "/images/generations",
)
"""Paths below `/v1` that are forwarded by the `model` in their JSON body."""


class _Forwarded(msgspec.Struct):
    model: str | None = None
    previous_response_id: object = msgspec.UNSET
    stream: object = False


_decode = msgspec.json.Decoder(_Forwarded).decode


class ForwardRoutes:
    """The handlers of one server."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def register(self, routes: Routes) -> None:
        for path in FORWARDED:
            routes.add(
                "POST", f"/v1{path}", partial(self.forward, path), scope="api.model.request", cost="run"
            )

    async def forward(self, path: str, request: Request) -> Reply:
        body = await request.body()
        try:
            asked = _decode(body)
        except msgspec.DecodeError as error:
            raise wording.body_not_json() from error
        if asked.previous_response_id is not msgspec.UNSET:
            raise BadRequest(
                f"Unknown parameter: 'previous_response_id' is not taken by /v1{path}, which keeps no state. It is "
                "taken by POST /v1/responses and POST /v1/chat/completions.",
                param="previous_response_id",
                code="unknown_parameter",
            )
        if asked.stream:
            raise BadRequest(
                f"Unsupported parameter: 'stream' is not supported on /v1{path} by this server.",
                param="stream",
                code="unsupported_parameter",
            )
        found = self._router.route(asked.model) if asked.model else self._router.default
        if found is None:
            raise NotFound(
                f"The model '{asked.model}' does not exist or you do not have access to it.",
                param="model",
                code="model_not_found",
            )
        upstream, model = found
        status, content_type, answer = await upstream.forward(path, _with_model(body, asked.model, model))
        return Reply(answer, status, content_type)


def _with_model(body: bytes, asked: str | None, model: str) -> bytes:
    if asked is None or asked == model:
        return body
    return msgspec.json.encode({**msgspec.json.decode(body), "model": model})
