"""The upstreams, asked for what they serve; and the embedded model, which is looked for and not started."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from catena.config import Config, UpstreamSettings
from catena.doctor.finding import Finding
from catena.embedded import CODER, find
from catena.embedded.runtime import Unfit, import_runtime
from catena.engines import open_upstream
from catena.errors import UpstreamError
from catena.upstream import ModelInfo, Upstream

__all__ = ["examine_engines"]

_SHOWN: Final = 5

_SMALL_WINDOW: Final = 8192
"""Tokens. A chain of some turns with tools does not fit below that."""

_ADVICE: Final[Mapping[str, str]] = {
    "upstream_unreachable": "Start the engine, or correct {place}.url; is a firewall in between?",
    "upstream_timeout": "The engine is there but does not answer: look at its own log.",
    "upstream_authentication_error": "Set {place}.key_env to a variable with a key that the engine accepts.",
    "model_not_found": "Does {place}.url end with /v1 (or what the engine has there)?",
}
_OTHERWISE: Final = "Look at the engine's own log; is {place}.url right, with /v1 at its end?"


async def examine_engines(config: Config) -> Sequence[Finding]:
    """What there is to say about each upstream, and each of its base URLs."""
    upstreams = config.upstreams or {"embedded": UpstreamSettings(kind="embedded")}
    remote = [
        (name, replace(settings, url=[url]))
        for name, settings in upstreams.items()
        if settings.kind != "embedded"
        for url in settings.urls
    ]
    asked = await asyncio.gather(*(_ask(config, name, settings) for name, settings in remote))
    embedded = {name: settings for name, settings in upstreams.items() if settings.kind == "embedded"}
    return [
        *(finding for found in asked for finding in found),
        *(finding for name, settings in embedded.items() for finding in _embedded(name, settings)),
    ]


async def _ask(config: Config, name: str, settings: UpstreamSettings) -> list[Finding]:
    subject, (url,) = f"upstream {name}", settings.urls
    upstream = open_upstream(name, settings)
    try:
        listed = await upstream.models()
        models = [*[await _measured(upstream, model) for model in listed[:_SHOWN]], *listed[_SHOWN:]]
    except UpstreamError as error:
        advice = _ADVICE.get(error.code or "", _OTHERWISE).format(place=f"upstreams.{name}")
        why = f" ({error.__cause__})" if error.__cause__ is not None else ""
        return [Finding(subject, "failure", f"{url}: {error.message}{why}", advice)]
    finally:
        await upstream.close()
    return [Finding(subject, "ok", f"{url} answers: {_named(models)}"), *_models(config, name, models)]


async def _measured(upstream: Upstream, model: ModelInfo) -> ModelInfo:
    return replace(model, context_window=model.context_window or await upstream.window(model.id))


def _named(models: Sequence[ModelInfo]) -> str:
    shown = [
        f"{model.id} ({model.context_window} tokens)" if model.context_window else model.id
        for model in models[:_SHOWN]
    ]
    more = f" and {len(models) - _SHOWN} more" if len(models) > _SHOWN else ""
    return ", ".join(shown) + more if models else "it lists no models"


def _models(config: Config, name: str, models: Sequence[ModelInfo]) -> Iterator[Finding]:
    """Whether the models that are wanted of it are there, and whether their context is of use."""
    subject = f"upstream {name}"
    listed = {model.id for model in models}
    wanted = {
        route.model or asked
        for asked, route in config.models.items()
        if route.upstream == name and (route.model or not any(sign in asked for sign in "*?["))
    }
    for model in sorted(wanted) if listed else ():
        if not any(fnmatchcase(each, model) for each in listed):
            yield Finding(
                subject,
                "warning",
                f"it does not list '{model}', which is mapped to it",
                "Correct the name below [models], or load the model in the engine.",
            )
    for each in models:
        if each.context_window is not None and each.context_window < _SMALL_WINDOW:
            yield Finding(
                subject,
                "warning",
                f"'{each.id}' has a context of {each.context_window} tokens: chains outgrow it soon",
                "Start the engine with a larger context.",
            )


def _embedded(name: str, settings: UpstreamSettings) -> Iterator[Finding]:
    subject = f"upstream {name}"
    path = Path(settings.model_path) if settings.model_path else None
    found = find(path)
    if found is not None:
        yield Finding(subject, "ok", f"the weights are at {found}")
    elif path is not None:
        text = f"there is no file {path}"
        yield Finding(
            subject, "failure", text, f"Correct upstreams.{name}.model_path, which names a GGUF file."
        )
    else:
        text = f"the weights of {CODER.name} are not here ({CODER.size / 1e9:.1f} GB)"
        yield Finding(subject, "warning", text, "catena model pull (catena serve does it too)")
    try:
        import_runtime()
    except Unfit as error:
        yield Finding(
            subject, "failure", str(error), "Or set an upstream of your own: catena serve --upstream URL"
        )
    else:
        yield Finding(subject, "ok", "its runtime is installed and fits this machine")
