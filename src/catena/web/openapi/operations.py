"""Every endpoint, with what a reader wants to know of it before they ask it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, get_args

from catena.store.lineage import PARTS
from catena.store.lineage import Status as TurnStatus
from catena.web.openapi.operation import Operation, Parameter, Schema, flag, integer, text, word
from catena.wire.files import LISTABLE, Purpose
from catena.wire.request import Includable

__all__ = ["OPERATIONS"]

_RESPONSES: Final = "Responses"
_CHAT: Final = "Chat Completions"
_CONVERSATIONS: Final = "Conversations"
_FILES: Final = "Files"
_WEBHOOKS: Final = "Webhooks"
_MODELS: Final = "Models"
_OTHERS: Final = "Passed on to the engine"
_SERVER: Final = "The server itself"
_EXPLORER: Final = "Explorer"


def _stream(**properties: Schema) -> Mapping[str, Schema]:
    """Server-sent events, of which the schema describes each."""
    return {"text/event-stream": {"type": "object", "required": list(properties), "properties": properties}}


_EVENTS: Final = _stream(
    event={"type": "string"},
    data={
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": {"$ref": "#/components/schemas/ResponseEvent"},
    },
)
_CHUNKS: Final = _stream(
    data={"type": "string", "description": "A chunk of a completion as JSON, or [DONE]."}
)
_ANY: Final[Mapping[str, Schema]] = {"application/json": {}}
_PAGE: Final[Mapping[str, Schema]] = {"text/html": {"type": "string"}}
_ICON: Final[Mapping[str, Schema]] = {"image/svg+xml": {"type": "string"}}
_FILE: Final[Mapping[str, Schema]] = {
    kind: {"type": "string"}
    for kind in ("text/css", "text/javascript", "text/html", "image/svg+xml", "font/woff2")
}
_CONTENTS: Final[Mapping[str, Schema]] = {"application/octet-stream": {"type": "string", "format": "binary"}}
_FORM: Final[Mapping[str, Schema]] = {
    "multipart/form-data": {
        "type": "object",
        "required": ["file", "purpose"],
        "additionalProperties": False,
        "properties": {
            "file": {"type": "string", "format": "binary"},
            "purpose": {"type": "string", "enum": list(get_args(Purpose))},
            "expires_after[anchor]": {"type": "string", "enum": ["created_at"]},
            "expires_after[seconds]": {"type": "integer", "minimum": 3600, "maximum": 2592000},
        },
    }
}

_AFTER: Final = text("after", "The id behind which the page begins.")
_ORDER: Final = word("order", "asc", "desc")
_LIMIT: Final = integer("limit", 1, 100)
_METADATA: Final = Parameter(
    "metadata",
    {"type": "object", "additionalProperties": {"type": "string"}},
    "Only with these values.",
    True,
)
_INCLUDE: Final = Parameter(
    "include[]", {"type": "array", "items": {"type": "string", "enum": list(get_args(Includable))}}
)
_PAGED: Final = (_LIMIT, _AFTER, _ORDER)

OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    # Responses
    ("POST", "/v1/responses"): Operation(
        summary="Create a response",
        tag=_RESPONSES,
        body="CreateRequest",
        reply="Response",
        gives=_EVENTS,
        asks_engine=True,
        keyed=True,
        statuses=[404, 409, 422],
    ),
    ("GET", "/v1/responses"): Operation(
        summary="List responses; or, upgraded to a WebSocket, create them over one lasting connection",
        tag=_RESPONSES,
        query=[
            *_PAGED,
            text("model"),
            word("status", *get_args(TurnStatus)),
            integer("created_after", 0, 2**40),
            integer("created_before", 0, 2**40),
            text("conversation"),
            text("q", "Words to look for."),
            flag("roots", "Whole trees instead of single responses."),
            _METADATA,
        ],
        reply="LineageList",
    ),
    ("GET", "/v1/responses/{response_id}"): Operation(
        summary="Get a response, or with `stream` its events from any of them on",
        tag=_RESPONSES,
        query=[flag("stream"), integer("starting_after", 0), _INCLUDE],
        reply="Response",
        gives=_EVENTS,
    ),
    ("DELETE", "/v1/responses/{response_id}"): Operation(
        summary="Delete a response, or with `cascade` everything that continues it too",
        tag=_RESPONSES,
        query=[flag("cascade")],
        reply="Deleted",
    ),
    ("POST", "/v1/responses/{response_id}/cancel"): Operation(
        summary="Cancel a background response", tag=_RESPONSES, reply="Response"
    ),
    ("GET", "/v1/responses/{response_id}/input_items"): Operation(
        summary="List what a response was made from",
        tag=_RESPONSES,
        query=[*_PAGED, _INCLUDE],
        reply="ItemList",
    ),
    ("GET", "/v1/responses/{response_id}/lineage"): Operation(
        summary="List the turns of the tree that a response stands in",
        tag=_RESPONSES,
        query=[word("part", *PARTS), integer("limit", 1, 1000), _AFTER],
        reply="LineageList",
    ),
    ("GET", "/v1/responses/{response_id}/context"): Operation(
        summary="Get all that the model saw", tag=_RESPONSES, reply="Context"
    ),
    ("POST", "/v1/responses/input_tokens"): Operation(
        summary="Count the tokens of a context",
        tag=_RESPONSES,
        body="TokensRequest",
        body_optional=True,
        reply="TokenCount",
        asks_engine=True,
        statuses=[404],
    ),
    ("POST", "/v1/responses/compact"): Operation(
        summary="Sum a context up",
        tag=_RESPONSES,
        body="CompactRequest",
        reply="Compacted",
        asks_engine=True,
        statuses=[404, 422],
    ),
    # Chat Completions
    ("POST", "/v1/chat/completions"): Operation(
        summary="Create a completion, which may continue a response or another completion",
        tag=_CHAT,
        body="ChatRequest",
        reply="Completion",
        gives=_CHUNKS,
        asks_engine=True,
        keyed=True,
        statuses=[404, 409, 422],
    ),
    ("GET", "/v1/chat/completions"): Operation(
        summary="List stored completions",
        tag=_CHAT,
        query=[*_PAGED, text("model"), _METADATA],
        reply="CompletionList",
    ),
    ("GET", "/v1/chat/completions/{completion_id}"): Operation(
        summary="Get a stored completion", tag=_CHAT, reply="Completion"
    ),
    ("POST", "/v1/chat/completions/{completion_id}"): Operation(
        summary="Change the metadata of a stored completion",
        tag=_CHAT,
        body="UpdateRequest",
        reply="Completion",
    ),
    ("DELETE", "/v1/chat/completions/{completion_id}"): Operation(
        summary="Delete a stored completion", tag=_CHAT, reply="Deleted"
    ),
    ("GET", "/v1/chat/completions/{completion_id}/messages"): Operation(
        summary="List the messages that a completion was made from",
        tag=_CHAT,
        query=_PAGED,
        reply="MessageList",
    ),
    # Conversations
    ("POST", "/v1/conversations"): Operation(
        summary="Create a conversation",
        tag=_CONVERSATIONS,
        body="CreateConversation",
        body_optional=True,
        reply="Conversation",
    ),
    ("GET", "/v1/conversations"): Operation(
        summary="List conversations",
        tag=_CONVERSATIONS,
        query=[*_PAGED, _METADATA],
        reply="ConversationList",
    ),
    ("GET", "/v1/conversations/{conversation_id}"): Operation(
        summary="Get a conversation", tag=_CONVERSATIONS, reply="Conversation"
    ),
    ("POST", "/v1/conversations/{conversation_id}"): Operation(
        summary="Change the metadata of a conversation",
        tag=_CONVERSATIONS,
        body="UpdateConversation",
        reply="Conversation",
    ),
    ("DELETE", "/v1/conversations/{conversation_id}"): Operation(
        summary="Delete a conversation", tag=_CONVERSATIONS, reply="Deleted"
    ),
    ("POST", "/v1/conversations/{conversation_id}/items"): Operation(
        summary="Add items to a conversation",
        tag=_CONVERSATIONS,
        query=[_INCLUDE],
        body="AddItems",
        reply="ItemList",
    ),
    ("GET", "/v1/conversations/{conversation_id}/items"): Operation(
        summary="List the items of a conversation",
        tag=_CONVERSATIONS,
        query=[*_PAGED, _INCLUDE],
        reply="ItemList",
    ),
    ("GET", "/v1/conversations/{conversation_id}/items/{item_id}"): Operation(
        summary="Get an item of a conversation", tag=_CONVERSATIONS, query=[_INCLUDE], reply="Item"
    ),
    ("DELETE", "/v1/conversations/{conversation_id}/items/{item_id}"): Operation(
        summary="Take an item out of a conversation", tag=_CONVERSATIONS, reply="Conversation"
    ),
    # Files
    ("POST", "/v1/files"): Operation(summary="Upload a file", tag=_FILES, takes=_FORM, reply="File"),
    ("GET", "/v1/files"): Operation(
        summary="List files",
        tag=_FILES,
        query=[integer("limit", 1, 10_000), _AFTER, _ORDER, word("purpose", *LISTABLE)],
        reply="FileList",
    ),
    ("GET", "/v1/files/{file_id}"): Operation(summary="Get a file", tag=_FILES, reply="File"),
    ("DELETE", "/v1/files/{file_id}"): Operation(summary="Delete a file", tag=_FILES, reply="Deleted"),
    ("GET", "/v1/files/{file_id}/content"): Operation(
        summary="Read what is in a file", tag=_FILES, gives=_CONTENTS
    ),
    # Models
    ("GET", "/v1/models"): Operation(summary="List models", tag=_MODELS, reply="ModelList", asks_engine=True),
    ("GET", "/v1/models/{model}"): Operation(
        summary="Get a model", tag=_MODELS, reply="Model", asks_engine=True
    ),
    # Webhooks
    ("POST", "/v1/webhook_endpoints"): Operation(
        summary="Create a webhook endpoint; its secret is shown here only",
        tag=_WEBHOOKS,
        body="CreateEndpoint",
        reply="WebhookEndpoint",
    ),
    ("GET", "/v1/webhook_endpoints"): Operation(
        summary="List webhook endpoints", tag=_WEBHOOKS, query=[_LIMIT, _AFTER], reply="WebhookEndpointList"
    ),
    ("GET", "/v1/webhook_endpoints/{webhook_endpoint_id}"): Operation(
        summary="Get a webhook endpoint", tag=_WEBHOOKS, reply="WebhookEndpoint"
    ),
    ("POST", "/v1/webhook_endpoints/{webhook_endpoint_id}"): Operation(
        summary="Change a webhook endpoint", tag=_WEBHOOKS, body="UpdateEndpoint", reply="WebhookEndpoint"
    ),
    ("DELETE", "/v1/webhook_endpoints/{webhook_endpoint_id}"): Operation(
        summary="Delete a webhook endpoint", tag=_WEBHOOKS, reply="Deleted"
    ),
    ("POST", "/v1/webhook_endpoints/{webhook_endpoint_id}/rotate_secret"): Operation(
        summary="Give a webhook endpoint another secret",
        tag=_WEBHOOKS,
        body="RotateSecret",
        body_optional=True,
        reply="WebhookEndpoint",
    ),
    ("POST", "/v1/webhook_endpoints/{webhook_endpoint_id}/test"): Operation(
        summary="Send a sample to a webhook endpoint",
        tag=_WEBHOOKS,
        body="SendSample",
        reply="WebhookTest",
    ),
    ("GET", "/v1/webhook_event_types"): Operation(
        summary="List what webhooks can tell of", tag=_WEBHOOKS, reply="EventTypeList"
    ),
    # What needs no memory
    **{
        ("POST", f"/v1{path}"): Operation(
            summary=summary, tag=_OTHERS, body="Forwarded", gives=kinds, asks_engine=True, statuses=[404, 422]
        )
        for path, summary, kinds in (
            ("/completions", "Create a completion of a prompt", _ANY),
            ("/embeddings", "Create embeddings", _ANY),
            ("/moderations", "Classify text", _ANY),
            ("/rerank", "Order documents by how well they fit", _ANY),
            ("/audio/speech", "Speak a text", {**_ANY, **_CONTENTS}),
            ("/images/generations", "Create images", _ANY),
        )
    },
    # The server
    ("DELETE", "/v1/end_users"): Operation(
        summary="Delete everything that belongs to one end user",
        tag=_SERVER,
        query=[text("id", minLength=1), flag("dry_run")],
        reply="EndUserDeleted",
    ),
    ("GET", "/healthz"): Operation(summary="Whether the server is alive", tag=_SERVER, reply="Health"),
    ("GET", "/readyz"): Operation(
        summary="Whether the store and an engine answer", tag=_SERVER, reply="Health"
    ),
    ("GET", "/metrics"): Operation(
        summary="What the server counts, for Prometheus",
        tag=_SERVER,
        gives={"text/plain": {"type": "string"}, "application/openmetrics-text": {"type": "string"}},
        statuses=[403],
    ),
    ("GET", "/openapi.json"): Operation(
        summary="This document", tag=_SERVER, gives={"application/json": {"type": "object"}}
    ),
    **{
        (method, path): Operation(summary=summary, tag=_EXPLORER, gives=kinds, statuses=statuses)
        for method in ("GET", "HEAD")
        for path, summary, kinds, statuses in (
            ("/", "The explorer", _PAGE, [304]),
            ("/favicon.ico", "Its icon", _ICON, [304]),
            ("/explorer/{version}/{name}", "A file of the explorer", _FILE, [304]),
        )
    },
}
