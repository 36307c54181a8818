"""How much, and whose."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

__all__ = ["Allowance", "Limits"]

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How much of each; None says nothing, and 0 is without end."""

    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    concurrent_runs: Count | None = None
    stored_bytes: Count | None = None

    def over(self, defaults: Limits) -> Limits:
        """These, and where they say nothing the defaults."""
        given = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not None}
        return msgspec.structs.replace(defaults, **given)

    @property
    def any(self) -> bool:
        """Whether anything is limited."""
        return any(getattr(self, name) for name in self.__struct_fields__)


class Allowance(msgspec.Struct, frozen=True):
    """Whose limits: `owner` is what they are counted under, and `spoken` names it to clients.

    `project` is the one whose storage is limited, for the limits of a project.
    """

    owner: str
    spoken: str
    limits: Limits
    project: str = ""
