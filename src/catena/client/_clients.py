"""`OpenAI` and `AsyncOpenAI`: where they send, with which key, and how the one answers in asyncio.

Both take what the SDK's own take. They differ in two defaults, and in the resources `chat` and `beta`.
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

import openai

from catena.client._pools import LoopPools

if TYPE_CHECKING:
    from catena.client._beta import AsyncBeta, Beta
    from catena.client._completions import AsyncChat, Chat

__all__ = ["LOCAL_SERVER", "AsyncOpenAI", "OpenAI"]

LOCAL_SERVER: Final = "http://127.0.0.1:8080/v1"

_P = ParamSpec("_P")
_T = TypeVar("_T")

# A copy (`with_options`) shares the HTTP client of its original, and so its asynchronous twins. An HTTP
# client that the caller made is not in here: nobody but the caller knows what its twin would be.
_twins: Final[WeakKeyDictionary[object, LoopPools]] = WeakKeyDictionary()


def _takes(sdk: Callable[_P, object]) -> Callable[[Callable[..., _T]], Callable[_P, _T]]:
    """Show a method with the parameters of `sdk`, which are those of the version that is installed."""
    return functools.wraps(sdk, assigned=())


def _resolved(options: dict[str, Any]) -> dict[str, Any]:
    """A constructor's options with address and key filled in.

    A provider, a workload identity and a data residency bring their own, and the SDK wants them alone.
    """
    resolved = dict(options)
    if not (options.get("provider") or options.get("data_residency")):
        resolved["base_url"] = options.get("base_url") or os.environ.get("OPENAI_BASE_URL") or LOCAL_SERVER
    if not (options.get("provider") or options.get("workload_identity")):
        named = options.get("api_key") or os.environ.get("OPENAI_API_KEY") or os.environ.get("CATENA_API_KEY")
        resolved["api_key"] = named or "no-key"  # the SDK wants one, a local server may not
    return resolved


def _replace_assigned(client: Any) -> None:
    """Make way for our resources, which are made on demand: the oldest SDKs assign theirs in `__init__`."""
    if "chat" not in vars(client):
        return
    del client.chat, client.beta
    client.with_raw_response = type(client.with_raw_response)(client)
    client.with_streaming_response = type(client.with_streaming_response)(client)


class OpenAI(openai.OpenAI):
    """The SDK's `OpenAI` for a Catena server.

    `chat.completions.create` takes `previous_response_id`; so do `parse` and `stream` where the SDK has them.
    `await client.chat.completions.acreate(...)` is the same call in asyncio.

    The address is `base_url`, else `OPENAI_BASE_URL`, else the local server `http://127.0.0.1:8080/v1`: never
    api.openai.com, unless you name it. The key is `api_key`, else `OPENAI_API_KEY`, else `CATENA_API_KEY`,
    else a placeholder, as a local server may ask for none.

    `acreate` has connections of its own, a set for each event loop, which are closed when the loop ends. It
    goes by the options that the constructor was given. Of these an `http_client` cannot be shared, as it is
    synchronous: a client that was given one refuses `acreate`, and `AsyncOpenAI` takes an asynchronous one.
    """

    @_takes(openai.OpenAI.__init__)
    def __init__(self, **options: Any) -> None:
        resolved = _resolved(options)
        super().__init__(**resolved)
        _replace_assigned(self)
        if resolved.pop("http_client", None) is None:
            _twins[self._client] = LoopPools()
        self._asked_for = resolved

    @functools.cached_property
    def chat(self) -> Chat:
        from catena.client._completions import Chat

        return Chat(self)

    @functools.cached_property
    def beta(self) -> Beta:
        from catena.client._beta import Beta

        return Beta(self)

    async def _asynchronous(self) -> AsyncOpenAI:
        """This client for the running event loop. Raises RuntimeError where there cannot be one."""
        pools = _twins.get(self._client)
        if pools is None:
            raise RuntimeError(
                "acreate() cannot use the http_client that this OpenAI was given, as it is synchronous: "
                "give an asynchronous one to AsyncOpenAI(http_client=...)"
            )
        options = dict(self._asked_for)
        if callable(options.get("api_key")):
            options["api_key"] = _in_a_thread(options["api_key"])
        return AsyncOpenAI(**options, http_client=await pools.of_running_loop())


class AsyncOpenAI(openai.AsyncOpenAI):
    """The SDK's `AsyncOpenAI` for a Catena server.

    `chat.completions.create` takes `previous_response_id`; so do `parse` and `stream` where the SDK has them.
    `acreate` is another name of `create`.

    The address is `base_url`, else `OPENAI_BASE_URL`, else the local server `http://127.0.0.1:8080/v1`: never
    api.openai.com, unless you name it. The key is `api_key`, else `OPENAI_API_KEY`, else `CATENA_API_KEY`,
    else a placeholder, as a local server may ask for none.
    """

    @_takes(openai.AsyncOpenAI.__init__)
    def __init__(self, **options: Any) -> None:
        super().__init__(**_resolved(options))
        _replace_assigned(self)

    @functools.cached_property
    def chat(self) -> AsyncChat:
        from catena.client._completions import AsyncChat

        return AsyncChat(self)

    @functools.cached_property
    def beta(self) -> AsyncBeta:
        from catena.client._beta import AsyncBeta

        return AsyncBeta(self)


def _in_a_thread(api_key: Callable[[], str]) -> Callable[[], Awaitable[str]]:
    """A function that fetches the key, for an asynchronous client; as it may block, in a thread."""
    return functools.partial(asyncio.to_thread, api_key)
