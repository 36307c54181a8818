"""What this server refuses because it cannot do it yet, by name: nothing is accepted and ignored."""

from __future__ import annotations

from catena.errors import BadRequest
from catena.wire.request import CreateRequest

__all__ = ["check_supported"]


def check_supported(request: CreateRequest) -> None:
    """Raise BadRequest for what would have to be ignored."""
    if request.moderation:
        raise _unsupported("moderation")


def _unsupported(name: str, reason: str = "") -> BadRequest:
    text = f"Unsupported parameter: '{name}' is not supported by this server."
    return BadRequest(f"{text} {reason}".strip(), param=name, code="unsupported_parameter")
