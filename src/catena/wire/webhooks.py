"""Webhooks on the wire: what clients ask of endpoints, what endpoints are told, and how that is signed (spec §1.5, §5).

Signatures follow Standard Webhooks: an HMAC-SHA256 over id, time and body, under the key that `whsec_` carries in
base64. A try that is made again has the same id and another time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar, get_args

import msgspec
from msgspec import Meta

from catena.wire.explain import explain

__all__ = [
    "EVENT_TYPES",
    "CreateEndpoint",
    "EventType",
    "RotateSecret",
    "SendSample",
    "UpdateEndpoint",
    "decode_webhook",
    "event_body",
    "signed_headers",
]

EventType: TypeAlias = Literal[
    "response.completed", "response.failed", "response.cancelled", "response.incomplete"
]

EVENT_TYPES: Final[tuple[str, ...]] = get_args(EventType)

_SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what every secret begins with

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]

EventTypes: TypeAlias = Annotated[list[EventType], Meta(min_length=1)]


class _Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class CreateEndpoint(_Asked, frozen=True, kw_only=True):
    """`POST /webhook_endpoints`."""

    name: Name
    url: str
    event_types: EventTypes


class UpdateEndpoint(_Asked, frozen=True, kw_only=True):
    """`POST /webhook_endpoints/{id}`: what is not given stays as it is."""

    name: Name | None = None
    url: str | None = None
    event_types: EventTypes | None = None


class SendSample(_Asked, frozen=True, kw_only=True):
    """`POST /webhook_endpoints/{id}/test`."""

    event_type: EventType


class RotateSecret(_Asked, frozen=True, kw_only=True):
    """`POST /webhook_endpoints/{id}/rotate_secret`."""

    keep_old_secret_active_for_24_hours: bool | None = None


A = TypeVar("A", bound=_Asked)

_encode = msgspec.json.Encoder().encode


def decode_webhook(body: bytes, shape: type[A]) -> A:
    """What a client asks for. Raises BadRequest with the official message, `param` and `code`."""
    try:
        return msgspec.json.decode(body or b"{}", type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise explain(body, shape, error, checks={}, moved={}) from None


def event_body(event_id: str, event_type: str, created_at: int, data: Mapping[str, Any]) -> bytes:
    """What an endpoint is told. It says what happened to which object, and nothing of what is in that."""
    event = {
        "id": event_id,
        "object": "event",
        "created_at": created_at,
        "type": event_type,
        "data": data,
    }
    return _encode(event)


def signed_headers(secrets: Iterable[str], *, webhook_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers that go with a body: its id, the time, and a signature for each secret."""
    content = b"%b.%d.%b" % (webhook_id.encode(), timestamp, body)
    return {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{_signature(secret, content)}" for secret in secrets),
    }


def _signature(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX))
    return base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
