"""The words for what a key may do.

Operators write the short ones (`responses.read`). Routes ask for those of the API (`api.responses.read`), which are
what its error messages name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["ADMIN", "EVERYTHING", "READ_ONLY", "SCOPES", "USUAL", "official", "unknown_scopes"]

ADMIN: Final = "admin"

SCOPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "responses.read": "api.responses.read",
        "responses.write": "api.responses.write",
        "conversations.read": "api.conversations.read",
        "conversations.write": "api.conversations.write",
        "files.read": "api.files.read",
        "files.write": "api.files.write",
        "models.read": "api.model.read",
        "models.request": "api.model.request",
        "webhooks.read": "api.webhooks.read",
        "webhooks.write": "api.webhooks.write",
        ADMIN: "*",
    }
)
"""The scopes of keys, each with what routes ask for. `admin` is all of them, and what only operators may."""

EVERYTHING: Final = frozenset({"*"})
READ_ONLY: Final = frozenset(asked for name, asked in SCOPES.items() if name.endswith(".read"))
USUAL: Final = tuple(name for name in SCOPES if name != ADMIN)
"""What a key may do, if nothing is said."""


def official(scopes: Iterable[str]) -> frozenset[str]:
    """What routes ask for, of the operators' words. Words of the API stay as they are; unknown ones give nothing."""
    known = SCOPES.values()
    return frozenset(
        scope if scope in known else SCOPES[scope] for scope in scopes if scope in known or scope in SCOPES
    )


def unknown_scopes(scopes: Iterable[str]) -> list[str]:
    """Those that are no operators' words."""
    return [scope for scope in scopes if scope not in SCOPES]
