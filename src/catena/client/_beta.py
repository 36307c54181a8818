"""`beta.chat`, the name under which `parse` and `stream` began.

Since 1.92 it is another name of `chat`; before, it is a resource of its own with just those two methods,
which `chat` lacks. Either way they take the keyword.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, cast

from openai.resources import beta as sdk

from catena.client._completions import AsyncCompletions, Completions, chained

if TYPE_CHECKING:
    from catena.client._completions import AsyncChat, Chat

__all__ = ["AsyncBeta", "Beta"]


def _completions(theirs: Any, ours: type) -> Any:
    """`ours`, if it stands for the SDK's resource here; else the SDK's own with the keyword."""
    resource = type(theirs)
    if not issubclass(ours, resource):
        ours = chained(type(resource.__name__, (resource,), {}))
    return ours(theirs._client)


class Beta(sdk.Beta):
    """The SDK's, with our `chat`."""

    @functools.cached_property
    def chat(self) -> Chat:
        chat: Any = super().chat
        chat.completions = _completions(chat.completions, Completions)
        return cast("Chat", chat)


class AsyncBeta(sdk.AsyncBeta):
    """The SDK's, with our `chat`."""

    @functools.cached_property
    def chat(self) -> AsyncChat:
        chat: Any = super().chat
        chat.completions = _completions(chat.completions, AsyncCompletions)
        return cast("AsyncChat", chat)
