"""The official SDK's models as strict readers.

The SDK itself is lenient: it takes whatever comes. Here its models are held to the letter, so that what a stricter
client would stumble over is a failed test: a field that is missing or of another type, and one that nobody declared.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeVar

import pydantic
from openai.types.responses import Response, ResponseStreamEvent
from openai.types.responses.response_item import ResponseItem
from openai.types.responses.response_item_list import ResponseItemList
from pydantic import BaseModel, TypeAdapter

__all__ = ["BEYOND_THE_SDK", "read_event", "read_item", "read_items", "read_response"]

BEYOND_THE_SDK: Final = {
    "Response.frequency_penalty": "the API sends it, Open Responses requires it",
    "Response.presence_penalty": "the API sends it, Open Responses requires it",
    "Response.store": "the API sends it, Open Responses requires it",
    "Logprob.bytes": "the API sends it",
    "LogprobTopLogprob.bytes": "the API sends it",
    "ResponseCustomToolCall.status": "Open Responses wants a status on every item",
    "ResponseErrorEvent.error": "the nested form of the same error, which is the live one",
    "ResponseFunctionCallArgumentsDoneEvent.name": "some servers send it, and agent frameworks read it",
}
"""Fields that this server sends and the SDK does not declare, with the reason."""

_EVENT: Final = TypeAdapter[Any](ResponseStreamEvent)
_ITEM: Final = TypeAdapter[Any](ResponseItem)
_RESPONSE: Final = TypeAdapter(Response)
_ITEMS: Final = TypeAdapter(ResponseItemList)

T = TypeVar("T")


def read_response(body: bytes) -> Response:
    """The response in a body."""
    return _read(_RESPONSE, body)


def read_event(data: bytes) -> Any:
    """The event in one line of data."""
    return _read(_EVENT, data)


def read_items(body: bytes) -> ResponseItemList:
    """The page of items in a body."""
    return _read(_ITEMS, body)


def read_item(body: bytes) -> Any:
    """One item of such a page."""
    return _read(_ITEM, body)


def _read(adapter: TypeAdapter[T], body: bytes) -> T:
    try:
        found = adapter.validate_json(body, strict=True)
    except pydantic.ValidationError as error:
        raise AssertionError(f"{body.decode()}\n{error}") from None
    strays = set(_strays(found)) - BEYOND_THE_SDK.keys()
    assert not strays, f"{strays} in {body.decode()}"
    return found


def _strays(value: Any) -> Iterator[str]:
    """The fields, anywhere inside, that no model declares."""
    match value:
        case BaseModel():
            for name in value.model_extra or {}:
                yield f"{type(value).__name__}.{name}"
            for name in type(value).model_fields:
                yield from _strays(getattr(value, name))
        case list():
            for each in value:
                yield from _strays(each)
        case dict():
            for each in value.values():
                yield from _strays(each)
