"""The OpenAPI document: the routes that there are, with what is said about each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from catena import __version__
from catena.web.openapi.operation import Operation, Parameter
from catena.web.openapi.operations import OPERATIONS
from catena.web.openapi.schemas import component_schemas
from catena.web.routes import Route

__all__ = ["document"]

_ABOUT: Final = (
    "A self-hosted server for the Responses API that remembers chains of responses. Every error is an `Error`; every "
    "reply has an `x-request-id`, which is the request's own if it brought one."
)

_STATUSES: Final[Mapping[int, str]] = {
    304: "What you have is what there is.",
    400: "The request is wrong: `param` names the place.",
    401: "No key, or a wrong one.",
    403: "The key may not do this, or it cannot be done from there.",
    404: "There is no such thing, or it is another project's.",
    409: "A request with this Idempotency-Key is under way.",
    413: "The body is larger than this server accepts.",
    422: "The engine cannot do what is asked.",
    429: "Too many requests, too many tokens, or too much in the queue: `retry-after` says when to come back.",
    500: "A fault of this server; its log has more under the request's id.",
    502: "The engine failed, or cannot be reached.",
    503: "The store, or the engine, cannot serve now.",
    504: "The engine was too slow.",
}
_ALWAYS: Final = (400, 429, 500, 503)
_WITH_A_KEY: Final = (401, 403)
_OF_ENGINES: Final = (404, 413, 502, 504)

_HEADERS: Final[Mapping[str, Any]] = {
    "ClientRequestId": {
        "name": "X-Client-Request-Id",
        "in": "header",
        "description": "Your own name for the request: echoed, and in the log.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 512, "pattern": "^[ -~]+$"},
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "The same key with the same body gives the same response, for a day.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    },
}


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """The document of a server with these routes, of which those that nothing is said about are left out."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operation = OPERATIONS.get((route.method, route.path))
        if operation is not None:
            paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Catena",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(each.tag for each in OPERATIONS.values())],
        "paths": paths,
        "components": {
            "schemas": component_schemas(),
            "parameters": _HEADERS,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "Not needed where no key is set."}
            },
        },
    }


def _operation(route: Route, operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": _id(route),
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": [
            *({"name": name, "in": "path", "required": True, "schema": _IDS} for name in _ids(route.path)),
            *map(_parameter, operation.query),
            {"$ref": "#/components/parameters/ClientRequestId"},
            *([{"$ref": "#/components/parameters/IdempotencyKey"}] if operation.keyed else []),
        ],
        "responses": _responses(route, operation),
        "security": [] if route.scope is None else [{"key": [route.scope]}],
    }
    takes = {
        **({"application/json": _schema(operation.body)} if operation.body else {}),
        **_media(operation.takes),
    }
    if takes:
        described["requestBody"] = {"required": not operation.body_optional, "content": takes}
    return described


_IDS: Final = {"type": "string", "minLength": 1}


def _ids(path: str) -> list[str]:
    return re.findall(r"\{(\w+)\}", path)


def _id(route: Route) -> str:
    words = re.findall(r"\w+", route.path.removeprefix("/v1"))
    return "_".join([route.method.lower(), *words])


def _parameter(parameter: Parameter) -> dict[str, Any]:
    style = {"style": "deepObject", "explode": True} if parameter.exploded else {}
    about = {"description": parameter.description} if parameter.description else {}
    return {"name": parameter.name, "in": "query", **about, **style, "schema": parameter.schema}


def _responses(route: Route, operation: Operation) -> dict[str, Any]:
    given = {
        **({"application/json": _schema(operation.reply)} if operation.reply else {}),
        **_media(operation.gives),
    }
    statuses = {*operation.statuses, *_ALWAYS}
    if route.scope is not None:
        statuses |= {*_WITH_A_KEY}
    if _ids(route.path) or any(each.name == "after" for each in operation.query):
        statuses.add(404)
    if operation.body or operation.takes:
        statuses.add(413)
    if operation.asks_engine:
        statuses |= {*_OF_ENGINES}
    answer = {"description": "What was asked for.", **({} if route.method == "HEAD" else {"content": given})}
    return {"200": answer, **{str(status): _refusal(route, status) for status in sorted(statuses)}}


def _refusal(route: Route, status: int) -> dict[str, Any]:
    about = {"description": _STATUSES[status]}
    if status == 304 or route.method == "HEAD":
        return about
    name = "Health" if route.path == "/readyz" and status == 503 else "Error"
    return {**about, "content": {"application/json": _schema(name)}}


def _schema(name: str) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{name}"}}


def _media(kinds: Mapping[str, Any]) -> dict[str, Any]:
    return {kind: {"schema": schema} for kind, schema in kinds.items()}
