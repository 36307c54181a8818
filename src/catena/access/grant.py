"""What somebody has who showed a key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from catena.errors import Forbidden
from catena.limits import Allowance

__all__ = ["DEFAULT_PROJECT", "Grant"]

DEFAULT_PROJECT: Final = "default"
"""The project of the keys in the settings, and of a server without keys."""


class Grant(msgspec.Struct, frozen=True):
    """A project, and scopes in it.

    `key_id` names the key in logs; `allowances` are the limits that hold for it; `unlocked`, that no key was needed.
    """

    project: str
    scopes: frozenset[str]
    key_id: str = ""
    allowances: Sequence[Allowance] = ()
    unlocked: bool = False

    def check(self, scope: str) -> None:
        """Raise Forbidden, in the official wording, unless this grant has `scope`."""
        if scope not in self.scopes and "*" not in self.scopes:
            raise Forbidden(
                f"You have insufficient permissions for this operation. Missing scopes: {scope}. Check that the "
                "API key you use has the necessary scopes.",
                code="missing_scope",
            )
