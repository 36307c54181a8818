"""Whose a turn is: pure, over what the stores read of it."""

from __future__ import annotations

import msgspec

from catena.store.housekeeping import PersonsTurn
from catena.store.rows import id_of, is_over
from catena.store.shorthand import expand

__all__ = ["persons_turn"]


class _Fields(msgspec.Struct):
    safety_identifier: str | None = None
    user: str | None = None
    conversation: dict[str, str] | None = None


_decode_fields = msgspec.json.Decoder(_Fields).decode


def persons_turn(
    tree: bytes, rest: bytes, status: int, fields: bytes, end_user: str | None
) -> PersonsTurn | None:
    """The turn in these columns, if it was made for this end user; with None, for anybody."""
    said = _decode_fields(expand(fields))
    if end_user not in (None, said.safety_identifier, said.user):
        return None
    return PersonsTurn(id_of(tree, rest), (said.conversation or {}).get("id"), is_over(status))
