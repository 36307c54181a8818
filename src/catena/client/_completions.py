"""`chat.completions` with `previous_response_id`: the SDK's resources, whose methods take one keyword more.

The SDK refuses a keyword that it does not know before anything is sent, but what is in `extra_body` goes into
the JSON body as it is. So the keyword is moved there, and all the rest stays the SDK's. Its raw and streaming
forms and its `stream` helper call the same methods, and need nothing of their own.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from openai import NotGiven, Omit
from openai.resources import chat as sdk

if TYPE_CHECKING:
    from catena.client import _signatures as base
else:
    from openai.resources.chat import completions as base

__all__ = ["AsyncChat", "AsyncCompletions", "Chat", "Completions", "chained"]

_KEYWORD: Final = "previous_response_id"
_METHODS: Final = ("create", "parse", "stream")

_Resource = TypeVar("_Resource", bound=type)


def chained(resource: _Resource) -> _Resource:
    """Give the keyword to those of `create`, `parse` and `stream` that this resource of the SDK has."""
    for name in _METHODS:
        if hasattr(resource, name):
            setattr(resource, name, _with_keyword(getattr(resource, name)))
    return resource


def _with_keyword(method: Callable[..., Any]) -> Callable[..., Any]:
    # Not a coroutine function even where `method` is one: what it returns is awaited all the same.
    @functools.wraps(method)
    def call(*args: Any, previous_response_id: object = None, **options: Any) -> Any:
        if previous_response_id is not None and not isinstance(previous_response_id, (NotGiven, Omit)):
            options["extra_body"] = _body_with(previous_response_id, options.get("extra_body"))
        return method(*args, **options)

    signature = inspect.signature(method)
    keyword = inspect.Parameter(
        _KEYWORD, inspect.Parameter.KEYWORD_ONLY, default=None, annotation="str | None"
    )
    # `help()` and notebooks read it; functions take the attribute though their type does not declare it
    call.__signature__ = signature.replace(parameters=[*signature.parameters.values(), keyword])  # type: ignore[attr-defined]
    return call


def _body_with(parent: object, extra_body: object) -> dict[str, object]:
    """The caller's `extra_body` and `previous_response_id`. Raises TypeError if that names another one."""
    if extra_body is None:
        return {_KEYWORD: parent}
    if not isinstance(extra_body, Mapping):
        raise TypeError(f"extra_body must be a mapping, not {type(extra_body).__name__}")
    if extra_body.get(_KEYWORD, parent) != parent:
        raise TypeError(
            f"got two values for {_KEYWORD}: {parent!r} as a keyword, {extra_body[_KEYWORD]!r} in extra_body"
        )
    return {**extra_body, _KEYWORD: parent}


@chained
class Completions(base.Completions):
    """The SDK's, with `previous_response_id` and `acreate`."""

    if not TYPE_CHECKING:  # `_signatures` tells what they take and give

        async def acreate(self, **params):
            """`create` in asyncio: the same parameters, and with `stream=True` a stream for `async for`."""
            client = await self._client._asynchronous()
            return await client.chat.completions.create(**params)


@chained
class AsyncCompletions(base.AsyncCompletions):
    """The SDK's, with `previous_response_id` and `acreate`."""

    if not TYPE_CHECKING:

        async def acreate(self, **params):
            """Another name of `create`."""
            return await self.create(**params)


class Chat(sdk.Chat):
    """The SDK's, with our `completions`."""

    @functools.cached_property
    def completions(self) -> Completions:
        return Completions(self._client)


class AsyncChat(sdk.AsyncChat):
    """The SDK's, with our `completions`."""

    @functools.cached_property
    def completions(self) -> AsyncCompletions:
        return AsyncCompletions(self._client)
