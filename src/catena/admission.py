"""What this server refuses because it cannot do it yet, by name: nothing is accepted and ignored."""

from __future__ import annotations

from catena.errors import BadRequest, NotFound
from catena.wire.request import CreateRequest

__all__ = ["check_supported"]


def check_supported(request: CreateRequest) -> None:
    """Raise BadRequest, or NotFound for an object that cannot exist here, for what would have to be ignored."""
    if request.prompt is not None:
        raise NotFound(f"Prompt with id '{request.prompt.id}' not found.")
    if request.truncation == "auto":
        raise _unsupported("truncation", "Only 'disabled' is supported: a history is whole or an error.")
    for name in ("context_management", "moderation"):
        if getattr(request, name):
            raise _unsupported(name)


def _unsupported(name: str, reason: str = "") -> BadRequest:
    text = f"Unsupported parameter: '{name}' is not supported by this server."
    return BadRequest(f"{text} {reason}".strip(), param=name, code="unsupported_parameter")
