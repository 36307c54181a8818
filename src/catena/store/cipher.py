"""Contents at rest, sealed or in clear: what stands in a column that has something a client said.

    c1 63 73 01 · key id (8) · nonce (12) · AES-256-GCM of the content

No JSON, no MessagePack and no UTF-8 text begins with the byte c1, so a column tells by itself which of the two it is,
and a database may have both. Each content is bound to its column and to the row that it stands in: moved anywhere else
it cannot be opened. Pure: where keys come from, and which rows there are, is the business of others.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec

from catena.errors import StoreUnavailable
from catena.seal import key_id

__all__ = ["CLEAR", "MARK", "Cipher", "Clear", "KeyRing", "Sealing", "is_sealed"]

_FAMILY: Final = b"\xc1cs"
MARK: Final = _FAMILY + b"\x01"
"""What every sealed content begins with."""

_PLAIN: Final = _FAMILY + b"\x00"
"""What a content in clear is put behind that would look like one of ours: files may be any bytes."""

_KEY_ID: Final = 8
_NONCE: Final = 12
_HEAD: Final = len(MARK) + _KEY_ID
_DIGEST: Final = 16

_framed: Final = msgspec.msgpack.Encoder().encode
"""Several parts as one, so that no others look the same."""


def is_sealed(content: bytes) -> bool:
    """Whether this stands for a content that can only be read with a key."""
    return content.startswith(MARK)


class Cipher(Protocol):
    """Between contents and what is stored of them. `column` and `row` are where a content stands, the same for both
    ways."""

    @property
    def sealing(self) -> bool:
        """Whether anything is sealed."""
        ...

    def seal(self, content: bytes, column: str, *row: bytes) -> bytes:
        """What is stored for a content."""
        ...

    def open(self, stored: bytes, column: str, *row: bytes) -> bytes:
        """The content. Raises StoreUnavailable if it was sealed and cannot be opened."""
        ...

    def digest(self, content: bytes, *place: bytes) -> bytes:
        """16 bytes to find an equal content of the same place by; if it is sealed, they tell nobody without a key
        anything."""
        ...


class Clear:
    """Everything is stored as it is."""

    sealing = False

    def seal(self, content: bytes, column: str, *row: bytes) -> bytes:
        return _PLAIN + content if content.startswith(_FAMILY) else content

    def open(self, stored: bytes, column: str, *row: bytes) -> bytes:
        if not stored.startswith(_FAMILY):
            return stored
        if stored.startswith(_PLAIN):
            return stored[len(_PLAIN) :]
        raise _unknown_key(stored)

    def digest(self, content: bytes, *place: bytes) -> bytes:
        return hashlib.blake2b(content, digest_size=_DIGEST).digest()


CLEAR: Final = Clear()


class KeyRing:
    """Keys of 32 bytes, the newest last: that one seals, each of them opens."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        # Loading it takes longer than everything else that a server does when it starts.
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._broken: Final = (InvalidTag, ValueError)
        self._ciphers: dict[bytes, Any] = {key_id(key): AESGCM(key) for key in keys}
        self.ids: Sequence[str] = [each.hex() for each in self._ciphers]
        newest = key_id(keys[-1])
        self._newest = self._ciphers[newest]
        self.head: Final = MARK + newest
        """What contents begin with that the newest key has sealed."""

    def seal(self, content: bytes, column: str, *row: bytes) -> bytes:
        """The content as it is stored."""
        nonce = os.urandom(_NONCE)
        sealed: bytes = self._newest.encrypt(nonce, content, _bound_to(column, row))
        return self.head + nonce + sealed

    def open(self, stored: bytes, column: str, *row: bytes) -> bytes:
        """The content of what was sealed. Raises StoreUnavailable."""
        cipher = self._ciphers.get(stored[len(MARK) : _HEAD])
        if cipher is None:
            raise _unknown_key(stored)
        nonce, sealed = stored[_HEAD : _HEAD + _NONCE], stored[_HEAD + _NONCE :]
        try:
            content: bytes = cipher.decrypt(nonce, sealed, _bound_to(column, row))
        except self._broken:
            raise StoreUnavailable(
                f"A stored content ({column}) cannot be opened: it was changed, or does not belong where it stands."
            ) from None
        return content


class Sealing:
    """New contents are sealed; those in clear, from before that, are read as they are."""

    sealing = True

    def __init__(self, ring: KeyRing, digest_key: bytes) -> None:
        self.ring = ring
        self._digest_key = digest_key

    def seal(self, content: bytes, column: str, *row: bytes) -> bytes:
        return self.ring.seal(content, column, *row)

    def open(self, stored: bytes, column: str, *row: bytes) -> bytes:
        if stored.startswith(MARK):
            return self.ring.open(stored, column, *row)
        return CLEAR.open(stored, column, *row)

    def digest(self, content: bytes, *place: bytes) -> bytes:
        digest = hashlib.blake2b(_framed(place), digest_size=_DIGEST, key=self._digest_key)
        digest.update(content)
        return digest.digest()


def _bound_to(column: str, row: Sequence[bytes]) -> bytes:
    return b"catena at rest\0" + _framed((column, *row))


def _unknown_key(stored: bytes) -> StoreUnavailable:
    missing = stored[len(MARK) : _HEAD].hex()
    return StoreUnavailable(
        f"A stored content was sealed with the key {missing}, which is not in the file of store.encryption_key_file."
    )
