"""Who is asking, and what they may do.

Keys are kept as hashes. Without any key the server is open, which it only is on loopback.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

import msgspec

from catena.errors import Forbidden, Unauthorized

__all__ = ["DEFAULT_PROJECT", "EVERYTHING", "READ_ONLY", "Grant", "Keys"]

DEFAULT_PROJECT = "default"

EVERYTHING = frozenset({"*"})
READ_ONLY = frozenset({"api.responses.read", "api.conversations.read", "api.model.read", "api.webhooks.read"})


class Grant(msgspec.Struct, frozen=True):
    """What a key gives: a project, and scopes in it."""

    project: str
    scopes: frozenset[str]

    def check(self, scope: str) -> None:
        """Raise Forbidden, in the official wording, unless this grant has `scope`."""
        if scope not in self.scopes and "*" not in self.scopes:
            raise Forbidden(
                f"You have insufficient permissions for this operation. Missing scopes: {scope}. Check that the "
                "API key you use has the necessary scopes.",
                code="missing_scope",
            )


_OPEN = Grant(DEFAULT_PROJECT, EVERYTHING)


class Keys:
    """API keys, by their hashes."""

    def __init__(self, grants: Mapping[str, Grant]) -> None:
        self._grants = {_hash(key): grant for key, grant in grants.items()}

    @property
    def required(self) -> bool:
        return bool(self._grants)

    def grant(self, authorization: str | None) -> Grant:
        """What the `Authorization` header gives. Raises Unauthorized."""
        if not self._grants:
            return _OPEN
        kind, _, key = (authorization or "").partition(" ")
        if kind.lower() != "bearer" or not key.strip():
            raise Unauthorized(
                "You didn't provide an API key. You need to provide your API key in an Authorization header using "
                "Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
            )
        given = _hash(key.strip())
        # Every key is compared, so that the time tells nothing.
        found = [grant for known, grant in self._grants.items() if hmac.compare_digest(known, given)]
        if not found:
            raise Unauthorized(
                "Incorrect API key provided. Use the key that this server was started with (CATENA_API_KEY).",
                code="invalid_api_key",
            )
        return found[0]


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
