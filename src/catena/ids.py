"""Identifiers: `<prefix>_` + 16 hex tree key + `00` + 8 hex unix seconds + 24 hex.

Every response, item and conversation of a tree shares the tree key, so an id alone says where its tree lives.
The key begins with the day on which the tree began, in 3 digits, which 4,096 days later begin again: so keys grow
with time, and old trees stand together. Nothing depends on it; keys of other origins may begin with anything.
The last 24 digits are 20 random ones, drawn once for each turn, and 4 that number the ids of that turn: 0000 is
the response itself, 0001 its first item. So an item's id names its turn, and needs no index of its own.

This is the layout of the official API's current ids (spec §2.2). Clients must treat ids as opaque, and an id is
never a capability: every lookup includes the project.
"""

from __future__ import annotations

import hashlib
import os
import re
from functools import lru_cache
from typing import Final

__all__ = ["DAY", "RING", "TurnIds", "is_well_formed", "item_home", "item_prefix", "new_tree", "tree_of"]

DAY: Final = 86_400
"""Seconds."""

RING: Final = 4096
"""Days after which tree keys begin again."""

_WELL_FORMED: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_OURS: Final = re.compile(r"[a-z]+[_-]([0-9a-f]{16})00[0-9a-f]{8}[0-9a-f]{24}")
_CALL_ALPHABET: Final = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

# Prefixes of item ids, where they differ from the first letters of the item's type (spec §2.2).
_PREFIXES: Final = {
    "web_search_call": "ws_",
    "file_search_call": "fs_",
    "code_interpreter_call": "ci_",
    "image_generation_call": "ig_",
    "mcp_call": "mcp_",
    "mcp_list_tools": "mcpl_",
    "mcp_approval_request": "mcpr_",
    "compaction": "cmp_",
    "message": "msg_",
    "reasoning": "rs_",
    "function_call": "fc_",
    "custom_tool_call": "ctc_",
}


def new_tree(now: float) -> str:
    """A fresh key for a tree that begins at `now` (unix seconds): its day, and 52 bits of the system's randomness."""
    return f"{int(now) // DAY % RING:03x}{os.urandom(7).hex()[1:]}"


class TurnIds:
    """Mints every id of one turn. The same stem mints the same ids again, in the same order.

    `stem` is what all ids of the turn share after their prefix: tree key, time and the random digits.
    """

    __slots__ = ("_next", "stem")

    def __init__(self, stem: str) -> None:
        self.stem = stem
        self._next = 1

    @classmethod
    def new(cls, tree: str, now: int) -> TurnIds:
        """Ids for a new turn of `tree` that begins at `now` (unix seconds)."""
        return cls(f"{tree}00{now:08x}{os.urandom(10).hex()}")

    @classmethod
    def of(cls, turn_id: str, *, used: int = 0) -> TurnIds:
        """The ids of a turn that exists, as if `used` of its items had been minted already."""
        again = cls(turn_id[-50:-4])
        again._next = 1 + used
        return again

    @property
    def tree(self) -> str:
        """The tree key."""
        return self.stem[:16]

    def turn(self, prefix: str) -> str:
        """The id of the turn itself; the prefix brings its own separator (`resp_`, `chatcmpl-`)."""
        return f"{prefix}{self.stem}0000"

    def item(self, prefix: str) -> str:
        """The next item id of this turn, for instance `item("msg_")`."""
        number = self._next
        self._next = number + 1
        return f"{prefix}{self.stem}{number:04x}"

    def call(self) -> str:
        """A `call_id` for an engine that gave none: `call_` + 24 letters and digits."""
        digest = hashlib.blake2b(f"{self.stem}{self._next}".encode(), digest_size=18).digest()
        number = int.from_bytes(digest)
        self._next += 1
        digits = []
        for _ in range(24):
            number, digit = divmod(number, 62)
            digits.append(_CALL_ALPHABET[digit])
        return "call_" + "".join(digits)


def tree_of(any_id: str) -> str | None:
    """The tree key in an id of ours, or None for a foreign id."""
    match = _OURS.fullmatch(any_id)
    return match[1] if match else None


def item_home(item_id: str) -> str | None:
    """The stem of the turn that minted `item_id` (`resp_<stem>0000` is its response), or None for a foreign id."""
    return item_id[-50:-4] if _OURS.fullmatch(item_id) else None


@lru_cache(maxsize=256)
def item_prefix(item_type: str) -> str:
    """The prefix of ids of items of this type."""
    return _PREFIXES.get(item_type) or "".join(word[0] for word in item_type.split("_") if word) + "_"


def is_well_formed(any_id: str) -> bool:
    """Whether this could be an id at all: at most 64 letters, digits, underscores and dashes (spec §2.2)."""
    return _WELL_FORMED.fullmatch(any_id) is not None
