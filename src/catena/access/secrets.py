"""Keys as text: 256 random bits after a prefix that scanners of secrets can look for.

As they are random, a plain hash keeps them safe at rest, and nothing of them can be guessed from a list.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from typing import Final

__all__ = ["PREFIX", "digest_of", "hint_of", "id_of", "is_ours", "masked", "new_secret"]

PREFIX: Final = "sk-catena-"

_OURS: Final = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
_SHOWN_FROM: Final = 24
"""How long a text must be for its ends to be shown."""


def new_secret() -> str:
    """A key that nobody has."""
    return PREFIX + base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()


def is_ours(secret: str) -> bool:
    """Whether this has the form of `new_secret`, so that it may be one that is stored."""
    return _OURS.fullmatch(secret) is not None


def digest_of(secret: str) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def id_of(digest: bytes) -> str:
    """The id of the key with this digest: a part of it, so that a key is found without looking at any other."""
    return f"key_{digest[:12].hex()}"


def hint_of(secret: str) -> str:
    """As much of a key as tells its owner which one it is."""
    return f"{secret[: len(PREFIX) + 3]}…{secret[-4:]}"


def masked(secret: str) -> str:
    """A wrong key as the API shows it in an error: its ends, as it may be the right one somewhere else."""
    shown = "".join(letter if "!" <= letter <= "~" else "*" for letter in secret[:200])
    if len(shown) < _SHOWN_FROM:
        return f"{shown[:3]}{'*' * max(0, len(shown) - 3)}"
    return f"{shown[:8]}{'*' * (len(shown) - 12)}{shown[-4:]}"
