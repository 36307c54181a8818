"""The schemas of what goes over the wire.

What is decoded into structs is described by those structs, so that the document cannot say something else than the
server does. Replies that are put together by hand have a small schema here: what a client can rely on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any, Final, get_args

import msgspec

from catena.web.openapi.operation import Schema
from catena.wire.chat import ChatRequest, UpdateRequest
from catena.wire.contexts import Compacted, CompactRequest, TokenCount, TokensRequest
from catena.wire.conversations import AddItems, CreateConversation, UpdateConversation
from catena.wire.events import Event, PassedOn
from catena.wire.items import ITEMS
from catena.wire.request import CreateRequest
from catena.wire.response import Response
from catena.wire.tools import TOOLS
from catena.wire.webhooks import CreateEndpoint, RotateSecret, SendSample, UpdateEndpoint

__all__ = ["component_schemas"]

_REQUESTS: Final = (
    CreateRequest,
    ChatRequest,
    UpdateRequest,
    TokensRequest,
    CompactRequest,
    CreateConversation,
    UpdateConversation,
    AddItems,
    CreateEndpoint,
    UpdateEndpoint,
    RotateSecret,
    SendSample,
)
_REPLIES: Final = (Response, TokenCount, Compacted)
_EVENTS: Final = tuple(each for each in get_args(Event) if each is not PassedOn)

_REF: Final = "#/components/schemas/{name}"
_PLACES: Final = (
    (CreateRequest, "input", "InputItem"),
    (TokensRequest, "input", "InputItem"),
    (CompactRequest, "input", "InputItem"),
    (CreateConversation, "items", "InputItem"),
    (AddItems, "items", "InputItem"),
    (CreateRequest, "tools", "Tool"),
    (TokensRequest, "tools", "Tool"),
)
"""Where objects are decoded that are checked by their `type` later."""

_TEXT: Final[Schema] = {"type": "string"}
_NUMBER: Final[Schema] = {"type": "integer"}
_TRUE: Final[Schema] = {"const": True}
_OBJECT: Final[Schema] = {"type": "object"}
_METADATA: Final[Schema] = {"type": "object", "additionalProperties": {"type": "string"}}


def component_schemas() -> dict[str, Any]:
    """Every named schema."""
    typed = dict.fromkeys([*ITEMS.values(), *TOOLS.values()])
    structs = [*_REQUESTS, *_REPLIES, *_EVENTS, *typed]
    references, schemas = msgspec.json.schema_components(structs, ref_template=_REF)
    names = {
        struct: str(each["$ref"]).rpartition("/")[2] for struct, each in zip(structs, references, strict=True)
    }
    for reply in (*_REPLIES, *_EVENTS):
        _require_all(schemas[names[reply]], reply)
    bare = {struct: schemas.pop(names[struct]) for struct in typed}
    items, tools = _kinds(ITEMS, bare, "Item"), _kinds(TOOLS, bare, "ToolDefinition")
    for struct, field, name in _PLACES:
        _refer(schemas[names[struct]]["properties"][field], name)
    for named in (CreateRequest, ChatRequest, CompactRequest):
        schemas[names[named]]["properties"]["model"]["minLength"] = 1
    every = {
        **schemas,
        **items,
        **tools,
        "ExtensionItem": _extension(),
        "InputItem": _any_of((*items, "ExtensionItem"), "What a model is shown, by its `type`."),
        "Tool": _any_of(tools, "What a model may use, by its `type`."),
        "ResponseEvent": _any_of((names[each] for each in _EVENTS), "One event of a stream, by its `type`."),
        **_by_hand(),
    }
    every = _tidied(every)
    return {name: every[name] for name in sorted(every)}


def _require_all(schema: dict[str, Any], struct: type[msgspec.Struct]) -> None:
    """What has a default is sent too, unless it is left out where it was not set."""
    schema["required"] = [
        field.encode_name
        for field in msgspec.structs.fields(struct)
        if msgspec.UnsetType not in get_args(field.type)
    ] + (["type"] if struct.__struct_config__.tag_field == "type" else [])


def _kinds(
    structs: Mapping[str, type[msgspec.Struct]],
    schemas: Mapping[type[msgspec.Struct], dict[str, Any]],
    suffix: str,
) -> dict[str, Any]:
    """A schema for each of some structs under its `type`, which is not a field of its own."""
    kinds: dict[str, Any] = {}
    for kind, struct in structs.items():
        schema = deepcopy(schemas[struct])
        schema.setdefault("properties", {})["type"] = {"const": kind}
        schema["title"] = f"{kind.title().replace('_', '')}{suffix}"
        if kind != "message":  # the one whose type may be left out
            schema["required"] = sorted({*schema.get("required", ()), "type"})
        kinds[schema["title"]] = schema
    return kinds


def _any_of(kinds: Iterable[str], description: str) -> dict[str, Any]:
    return {"description": description, "anyOf": [_ref(name) for name in kinds]}


def _tidied(schema: Any) -> Any:
    """With names that are no paths of modules, and of descriptions the part that is for who calls."""
    if isinstance(schema, list):
        return [_tidied(each) for each in schema]
    if not isinstance(schema, dict):
        return _plain(schema) if isinstance(schema, str) and schema.startswith(_REF[:21]) else schema
    tidy = {_plain(name): _tidied(each) for name, each in schema.items()}
    if isinstance(tidy.get("description"), str):
        tidy["description"] = " ".join(tidy["description"].partition("\n\n")[0].split())
    if isinstance(tidy.get("pattern"), str):
        # Schemas have the regular expressions of JavaScript.
        tidy["pattern"] = tidy["pattern"].replace(r"\Z", "$")
    return tidy


def _plain(name: str) -> str:
    """`catena.wire.chat.StreamOptions` is `ChatStreamOptions`: two modules have one."""
    return re.sub(r"catena\.(?:\w+\.)*(\w+)\.(\w+)$", lambda found: found[1].title() + found[2], name)


def _refer(schema: dict[str, Any], name: str) -> None:
    for each in _arrays(schema):
        each["items"] = _ref(name)


def _arrays(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if schema.get("type") == "array":
        yield schema
    for each in schema.get("anyOf", ()):
        yield from _arrays(each)


def _extension() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "An item of somebody else's kind, `vendor:name`: kept, and passed to engines that know it.",
        "required": ["type"],
        "properties": {"type": {"type": "string", "pattern": "^[a-z0-9_-]+:[a-z0-9_-]+$"}},
    }


def _by_hand() -> dict[str, Any]:
    item: Schema = {
        "type": "object",
        "description": "An input or output item, by its `type`.",
        "required": ["type"],
        "properties": {"type": _TEXT, "id": _TEXT},
    }
    return {
        "Item": item,
        "ItemList": _page(item),
        "Error": _error(),
        "Deleted": _told(id=_TEXT, object=_TEXT, deleted=_TRUE),
        "Completion": _told(
            id=_TEXT, object={"const": "chat.completion"}, created=_NUMBER, choices=_many(_OBJECT)
        ),
        "CompletionList": _page(_ref("Completion")),
        "MessageList": _page(_told(id=_TEXT, role=_TEXT)),
        "Conversation": _told(
            id=_TEXT, object={"const": "conversation"}, created_at=_NUMBER, metadata=_METADATA
        ),
        "ConversationList": _page(_ref("Conversation")),
        "Context": _told(
            id=_TEXT, object={"const": "response.context"}, input=_many(item), whole={"type": "boolean"}
        ),
        "LineageList": _page(_told(id=_TEXT, object={"const": "response.lineage"}, status=_TEXT)),
        "File": _told(id=_TEXT, object={"const": "file"}, bytes=_NUMBER, filename=_TEXT, purpose=_TEXT),
        "FileList": _page(_ref("File")),
        "Model": _told(id=_TEXT, object={"const": "model"}, created=_NUMBER, owned_by=_TEXT),
        "ModelList": _told(object={"const": "list"}, data=_many(_ref("Model"))),
        "WebhookEndpoint": _told(
            id=_TEXT, object={"const": "webhook_endpoint"}, name=_TEXT, url=_TEXT, event_types=_many(_TEXT)
        ),
        "WebhookEndpointList": _page(_ref("WebhookEndpoint")),
        "WebhookTest": _told(object={"const": "webhook_endpoint.test"}, status_code=_NUMBER, success=_TRUE),
        "EventTypeList": _told(object={"const": "list"}, data=_many(_TEXT)),
        "EndUserDeleted": _told(
            id=_TEXT,
            object={"const": "end_user.deleted"},
            deleted={"type": "boolean"},
            responses=_many(_TEXT),
        ),
        "Health": _told(status={"enum": ["ok", "unavailable"]}),
        "Forwarded": {
            "type": "object",
            "description": "Passed on as it is, under the name that the engine has for the model.",
            "properties": {"model": {"type": ["string", "null"]}},
        },
    }


def _error() -> Schema:
    maybe = {"type": ["string", "null"]}
    inside = _told(message=_TEXT, type=_TEXT, param=maybe, code=maybe)
    return {**_told(error=inside), "description": "What went wrong, and which parameter is to blame."}


def _told(**fields: Schema) -> Schema:
    """An object that has at least these fields."""
    return {"type": "object", "required": list(fields), "properties": fields}


def _page(entry: Schema) -> Schema:
    edge = {"type": ["string", "null"]}
    return _told(
        object={"const": "list"}, data=_many(entry), first_id=edge, last_id=edge, has_more={"type": "boolean"}
    )


def _many(entry: Schema) -> Schema:
    return {"type": "array", "items": entry}


def _ref(name: str) -> Schema:
    return {"$ref": _REF.format(name=name)}
