"""Lists of models, in the shapes that engines send them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from catena.upstream import ModelInfo
from catena.upstream.loose import objects_in, text_in

__all__ = ["listed_models"]


def listed_models(body: bytes) -> Sequence[ModelInfo]:
    """The models in the reply to `GET /models`. Raises ValueError for what is no list of models.

    The list is called `data` (OpenAI and most others; null with an Ollama that has none) or `models` (Ollama's and
    llama.cpp's own), or it is the whole reply (Together).
    """
    match msgspec.json.decode(body):
        case {"data": list(entries)} | {"models": list(entries)} | [*entries]:
            return [_model(entry) for entry in objects_in(entries) if _name(entry)]
        case {"data": None} | {"models": None}:
            return []
        case _:
            raise ValueError("not a list of models")


def _model(entry: Mapping[str, Any]) -> ModelInfo:
    created = entry.get("created")
    return ModelInfo(
        id=_name(entry),
        created=created if isinstance(created, int) else 0,
        owned_by=text_in(entry.get("owned_by")) or "system",
    )


def _name(entry: Mapping[str, Any]) -> str:
    return text_in(entry.get("id") or entry.get("model") or entry.get("name"))
