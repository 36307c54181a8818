"""Catena: a self-hosted server for the Responses API that remembers.

Here is only what a program imports from us: the official SDK's clients, for which `openai` must be installed.
Every name is loaded when it is first asked for, so that `import catena` costs nothing and needs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["AsyncOpenAI", "OpenAI", "__version__"]

if TYPE_CHECKING:
    from catena.client import AsyncOpenAI, OpenAI

    __version__: str
else:  # a type checker would take it that every name is there

    def __getattr__(name):
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = _load(name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _load(name: str) -> Any:
    if name != "__version__":
        from catena import client

        return getattr(client, name)
    from importlib import metadata

    try:
        return metadata.version("catena")
    except metadata.PackageNotFoundError:  # run from a source tree that is not installed
        return "0+unknown"
