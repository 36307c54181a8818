"""The messages of WebSocket mode: what a client sends, and the frames that it gets (spec §7).

A frame is one JSON object. The events are those of a stream, with the name of their lane if it has one; an error is
an object of its own. What a message leads to is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import replace

from catena.errors import BadRequest, CatenaError
from catena.wire import wording
from catena.wire.events import Event, encode_event
from catena.wire.items import check_items
from catena.wire.request import CreateRequest, decode_as
from catena.wire.response import Item

__all__ = [
    "Envelope",
    "ResponseCreate",
    "ResponseSteer",
    "decode_response_create",
    "decode_steer",
    "error_frame",
    "event_frame",
    "frame",
    "open_envelope",
]

_KINDS: Final = ("response.create", "response.steer")
_OF_THE_BETA: Final = "response.inject"
_SAID: Final = ("input_text", "input_image", "input_file")
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,256}")

_NOTHING: Final[Mapping[str, Sequence[str]]] = {}

_encode = msgspec.json.Encoder().encode


class Envelope(msgspec.Struct, frozen=True):
    """What is read of a message when it arrives: enough to know where it goes."""

    type: Any = msgspec.UNSET
    stream_id: Any = None
    previous_response_id: Any = None


class ResponseCreate(CreateRequest, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """`response.create`: all that can be posted, and what only a socket takes."""

    type: Literal["response.create"]
    generate: bool | None = None
    stream_id: str | None = None

    @property
    def generates(self) -> bool:
        """Whether the model is to answer, or things are only to be prepared for its answer."""
        prewarm = self.prompt_cache_options is not None and self.prompt_cache_options.prewarm
        return self.generate is not False and not prewarm

    def posted(self) -> CreateRequest:
        """The same as a request for a stream: over a socket everything is one, and preparing is done here."""
        given = {name: getattr(self, name) for name in CreateRequest.__struct_fields__}
        caching = self.prompt_cache_options
        if caching is not None:
            caching = replace(caching, prewarm=None)
        return CreateRequest(
            **{**given, "stream": True, "stream_options": None, "prompt_cache_options": caching}
        )


class ResponseSteer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`response.steer`: what a response that is being produced is to hear."""

    type: Literal["response.steer"]
    previous_response_id: str
    input: str | list[Item]


_ENVELOPE: Final = msgspec.json.Decoder(Envelope)
_CREATE: Final = msgspec.json.Decoder(ResponseCreate)


def open_envelope(message: bytes) -> Envelope:
    """Where a message goes. Raises BadRequest if it is none, of no known type or for no possible lane."""
    try:
        envelope = _opened(message)
    except UnicodeDecodeError:
        raise wording.body_not_unicode() from None
    except RecursionError:
        raise wording.body_too_deep() from None
    except msgspec.DecodeError:
        raise wording.body_not_json() from None
    if envelope.type is msgspec.UNSET:
        raise wording.missing("type")
    if envelope.type == _OF_THE_BETA:
        raise BadRequest(
            "Unsupported value: 'type' does not support 'response.inject' with this server: it belongs to the beta "
            "with several agents. Send the outputs of tools with 'response.create'.",
            param="type",
            code="unsupported_value",
        )
    if envelope.type not in _KINDS:
        raise wording.wrong_value("type", envelope.type, _KINDS)
    name = envelope.stream_id
    if name is not None and not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise BadRequest(
            "The 'stream_id' field must be a non-empty string with at most 256 characters and may only contain "
            "letters, numbers, underscores, hyphens, and periods.",
            param="stream_id",
            code="invalid_stream_id",
        )
    return envelope


def _opened(message: bytes) -> Envelope:
    try:
        return _ENVELOPE.decode(message)
    except msgspec.ValidationError:
        raise wording.body_not_an_object(msgspec.json.decode(message)) from None


def decode_response_create(message: bytes) -> ResponseCreate:
    """A `response.create`, valid in itself. Raises BadRequest as for a posted request."""
    asked = decode_as(_CREATE, message)
    if asked.background:
        raise BadRequest(
            "Unsupported parameter: 'background' is not supported over WebSocket.",
            param="background",
            code="unsupported_parameter",
        )
    return asked


def decode_steer(message: bytes) -> ResponseSteer:
    """A `response.steer`, valid in itself. Raises BadRequest: only what a user says can be told."""
    try:
        steer = msgspec.json.decode(message, type=ResponseSteer)
    except msgspec.ValidationError as error:
        raise BadRequest(f"Invalid steering event: {error}.", param="input") from None
    if not steer.input:
        raise BadRequest("Invalid 'input': there is nothing to tell.", param="input")
    if not isinstance(steer.input, str):
        for place, item in enumerate(steer.input):
            _check_said(item, f"input[{place}]")
        check_items(steer.input, "input")
    return steer


def _check_said(item: Item, path: str) -> None:
    if item.get("type", "message") != "message" or item.get("role") != "user":
        raise BadRequest(f"Invalid '{path}': only messages of the user can be told.", param=path)
    unknown = item.keys() - {"type", "role", "content"}
    if unknown:
        raise wording.unknown(f"{path}.{min(unknown)}")
    parts = item.get("content")
    for part in parts if isinstance(parts, list) else ():
        if not (isinstance(part, dict) and part.get("type") in _SAID):
            raise BadRequest(
                f"Invalid '{path}.content': only text, images and files can be told.", param=path
            )


def event_frame(event: Event, lane: str | None, omitted: Mapping[str, Sequence[str]] = _NOTHING) -> str:
    """An event of a response, for the lane that it was asked for on. `omitted` are the names of what was left out,
    which over HTTP headers say."""
    encoded = encode_event(event)
    for field, names in omitted.items():
        if names:
            encoded = b'%b,"%b":%b}' % (encoded[:-1], field.encode(), _encode(names))
    return _named(encoded, lane)


def error_frame(error: CatenaError, lane: str | None = None) -> str:
    """An error that is not the end of a response; the connection stays open."""
    body: dict[str, Any] = error.body()
    if error.headers:
        body["headers"] = error.headers
    return _named(_encode({"type": "error", "status": error.http_status, "error": body}), lane)


def frame(kind: str, lane: str | None, **fields: int | Mapping[str, Any]) -> str:
    """Any other message of the server's."""
    return _named(_encode({"type": kind, **fields}), lane)


def _named(encoded: bytes, lane: str | None) -> str:
    # A lane's name needs no escapes.
    return encoded.decode() if lane is None else f'{encoded[:-1].decode()},"stream_id":"{lane}"}}'
