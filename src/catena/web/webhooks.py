"""`/v1/webhook_endpoints`: who is told of the ends of background responses (spec §1.5).

A secret is shown when it is made, and never again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from catena.errors import BadRequest, NotFound
from catena.guard import Guard, Refused
from catena.store import Endpoint, Store
from catena.upstream.http import HttpError
from catena.web.http import Reply, Request, json_reply
from catena.web.lists import page_of
from catena.web.routes import Routes
from catena.webhooks import Deliverer, new_secret, sample
from catena.wire.webhooks import (
    EVENT_TYPES,
    CreateEndpoint,
    RotateSecret,
    SendSample,
    UpdateEndpoint,
    decode_webhook,
)

__all__ = ["WebhookRoutes"]

_MOST: Final = 100
"""Endpoints of one project: each background response is told to all of them."""

_DAY: Final = 86_400


class WebhookRoutes:
    """The handlers of one server."""

    def __init__(
        self, store: Store, deliverer: Deliverer, guard: Guard, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._deliverer = deliverer
        self._guard = guard
        self._clock = clock

    def register(self, routes: Routes) -> None:
        path = "/v1/webhook_endpoints"
        one = "/v1/webhook_endpoints/{webhook_endpoint_id}"
        read, write = "api.webhooks.read", "api.webhooks.write"
        routes.add("POST", path, self.create, scope=write)
        routes.add("GET", path, self.list, scope=read)
        routes.add("GET", one, self.retrieve, scope=read)
        routes.add("POST", one, self.update, scope=write)
        routes.add("DELETE", one, self.delete, scope=write)
        routes.add("POST", f"{one}/rotate_secret", self.rotate_secret, scope=write)
        routes.add("POST", f"{one}/test", self.test, scope=write)
        routes.add("GET", "/v1/webhook_event_types", self.event_types, scope=read)

    async def create(self, request: Request) -> Reply:
        asked = decode_webhook(await request.body(), CreateEndpoint)
        await self._check(asked.url)
        if len(await self._store.endpoints(request.project)) >= _MOST:
            raise BadRequest(
                f"This project has {_MOST} webhook endpoints, and cannot have more. Delete one first.",
                code="too_many_webhook_endpoints",
            )
        now = self._clock()
        endpoint = Endpoint(
            id=f"we_{int(now * 1000):012x}{os.urandom(10).hex()}",
            name=asked.name,
            url=asked.url,
            event_types=list(dict.fromkeys(asked.event_types)),
            secret=new_secret(),
            created_at=int(now),
            updated_at=int(now),
        )
        await self._store.add_endpoint(request.project, endpoint)
        return json_reply(_with_secret(endpoint))

    async def list(self, request: Request) -> Reply:
        query = request.query()
        limit = query.integer("limit", 20, least=1, most=100)
        endpoints = [_shape(endpoint) for endpoint in await self._store.endpoints(request.project)]
        return json_reply(page_of(endpoints, limit=limit, after=query.one("after")))

    async def retrieve(self, request: Request) -> Reply:
        return json_reply(_shape(await self._endpoint(request)))

    async def update(self, request: Request) -> Reply:
        await self._endpoint(request)
        asked = decode_webhook(await request.body(), UpdateEndpoint)
        if asked.url is not None:
            await self._check(asked.url)
        return json_reply(_shape(await self._change(request, partial(_updated, asked, int(self._clock())))))

    async def delete(self, request: Request) -> Reply:
        (endpoint_id,) = request.path_ids
        if not await self._store.drop_endpoint(request.project, endpoint_id):
            raise _not_found(endpoint_id)
        return json_reply({"id": endpoint_id, "object": "webhook_endpoint.deleted", "deleted": True})

    async def rotate_secret(self, request: Request) -> Reply:
        await self._endpoint(request)
        asked = decode_webhook(await request.body(), RotateSecret)
        keep = bool(asked.keep_old_secret_active_for_24_hours)
        change = partial(_rotated, new_secret(), int(self._clock()), keep_old=keep)
        return json_reply(_with_secret(await self._change(request, change)))

    async def test(self, request: Request) -> Reply:
        endpoint = await self._endpoint(request)
        asked = decode_webhook(await request.body(), SendSample)
        try:
            status = await self._deliverer.send(endpoint, sample(asked.event_type, int(self._clock())))
        except (HttpError, Refused) as error:
            raise BadRequest(
                f"The sample could not be delivered: {error}", code="webhook_endpoint_unreachable"
            ) from error
        return json_reply(
            {
                "object": "webhook_endpoint.test",
                "webhook_endpoint_id": endpoint.id,
                "event_type": asked.event_type,
                "status_code": status,
                "success": True,
            }
        )

    async def event_types(self, request: Request) -> Reply:
        return json_reply({"object": "list", "data": EVENT_TYPES})

    async def _check(self, url: str) -> None:
        try:
            await self._guard.check(url)
        except Refused as error:
            raise BadRequest(f"Invalid 'url': {error}", param="url", code="invalid_value") from error

    async def _endpoint(self, request: Request) -> Endpoint:
        (endpoint_id,) = request.path_ids
        for endpoint in await self._store.endpoints(request.project):
            if endpoint.id == endpoint_id:
                return endpoint
        raise _not_found(endpoint_id)

    async def _change(self, request: Request, change: Callable[[Endpoint], Endpoint]) -> Endpoint:
        (endpoint_id,) = request.path_ids
        changed = await self._store.change_endpoint(request.project, endpoint_id, change)
        if changed is None:
            raise _not_found(endpoint_id)
        return changed


def _not_found(endpoint_id: str) -> NotFound:
    return NotFound(f"Webhook endpoint with id '{endpoint_id}' not found.")


def _updated(asked: UpdateEndpoint, now: int, endpoint: Endpoint) -> Endpoint:
    """With what is asked for; what changes nothing is no update."""
    changed = replace(
        endpoint,
        name=asked.name or endpoint.name,
        url=asked.url or endpoint.url,
        event_types=list(dict.fromkeys(asked.event_types or endpoint.event_types)),
    )
    return endpoint if changed == endpoint else replace(changed, updated_at=now)


def _rotated(secret: str, now: int, endpoint: Endpoint, *, keep_old: bool) -> Endpoint:
    old = (endpoint.secret, now + _DAY) if keep_old else ("", 0)
    return replace(endpoint, secret=secret, old_secret=old[0], old_secret_until=old[1], updated_at=now)


def _shape(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "created_at": endpoint.created_at,
        "updated_at": endpoint.updated_at,
        "name": endpoint.name,
        "url": endpoint.url,
        "event_types": endpoint.event_types,
        "signing_secret_hint": f"whsec_...{endpoint.secret[-4:]}",
    }


def _with_secret(endpoint: Endpoint) -> dict[str, Any]:
    return {**_shape(endpoint), "signing_secret": endpoint.secret}
