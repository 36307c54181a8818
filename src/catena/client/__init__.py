"""The drop-in client: the official SDK's classes, whose chat completions remember.

    from catena import OpenAI, AsyncOpenAI

`chat.completions.create` takes `previous_response_id`, and there is an awaitable `acreate`, also on the plain
`OpenAI`. All else is the SDK's, whichever version from 1.66 on is installed. Of the server this package
knows the address of a local one and nothing more.
"""

from __future__ import annotations

try:
    import openai  # noqa: F401  # asked for first, so that its absence is told apart from a bug of ours
except ModuleNotFoundError as missing:
    if missing.name != "openai":
        raise
    raise ImportError(
        "Catena's client is built on the official SDK, which is not here: pip install openai", name="openai"
    ) from missing

from catena.client._clients import LOCAL_SERVER, AsyncOpenAI, OpenAI

__all__ = ["LOCAL_SERVER", "AsyncOpenAI", "OpenAI"]
