"""Which cipher a database is opened with: what it remembers of its keys, compared with the file of keys.

A database that anything was ever sealed in has one document that names the keys which are in use. So a server without
them refuses to start, instead of failing row by row; and a key that no row needs any more can be told from one that
must not be lost. Beside the names stands, sealed, what equal contents are found by: it outlives every key.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from catena.errors import StoreUnavailable
from catena.seal import kept_keys, read_keys
from catena.store.cipher import CLEAR, Cipher, KeyRing, Sealing
from catena.store.documents import Document

__all__ = ["RECORD_ID", "RECORD_KIND", "record_document", "settled", "unlock"]

RECORD_KIND: Final = "encryption"
RECORD_ID: Final = "keys"
_DIGEST_KEY: Final = 32
_WHERE: Final = "digest key"


class _Record(msgspec.Struct):
    """The ids of the keys in use, the newest last, and what digests are made with, sealed."""

    keys: Sequence[str]
    digest_key: bytes


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_Record).decode


def unlock(record: bytes | None, key_file: Path | None) -> tuple[Cipher, bytes | None]:
    """The cipher for a database with this record (None: it has none), and the record that it must have before anything
    is written.

    A file that is not there is made where nothing was sealed yet. Raises StoreUnavailable if a key is missing, and
    CatenaError if the file cannot be used.
    """
    if record is None:
        return (CLEAR, None) if key_file is None else _first_use(key_file)
    known = _decode(record)
    if key_file is None:
        raise StoreUnavailable(
            "The contents of this database are encrypted. Set store.encryption_key_file to the file with its "
            f"{_named(known.keys)}."
        )
    if not key_file.exists():
        raise StoreUnavailable(
            f"The contents of this database are encrypted, and the file of keys {key_file} is not there. Nothing can "
            f"be read without its {_named(known.keys)}: bring the file back."
        )
    ring = KeyRing(read_keys(key_file))
    missing = [each for each in known.keys if each not in ring.ids]
    if missing:
        raise StoreUnavailable(
            f"Contents of this database are encrypted with the {_named(missing)}, not to be found in {key_file}. "
            "Bring its line back."
        )
    cipher = Sealing(ring, ring.open(known.digest_key, _WHERE))
    if known.keys[-1] != ring.ids[-1]:
        known.keys = [*(each for each in known.keys if each != ring.ids[-1]), ring.ids[-1]]
    return cipher, _encode(known)


def _first_use(key_file: Path) -> tuple[Cipher, bytes]:
    ring = KeyRing(kept_keys(key_file))
    digest_key = os.urandom(_DIGEST_KEY)
    record = _Record([ring.ids[-1]], ring.seal(digest_key, _WHERE))
    return Sealing(ring, digest_key), _encode(record)


def settled(record: bytes, cipher: Sealing) -> bytes:
    """The record of a database in which everything is sealed with the newest key."""
    digest_key = cipher.ring.open(_decode(record).digest_key, _WHERE)
    return _encode(_Record([cipher.ring.ids[-1]], cipher.ring.seal(digest_key, _WHERE)))


def record_document(record: bytes, now: int) -> Document:
    """The record as it is stored."""
    return Document(kind=RECORD_KIND, id=RECORD_ID, created_at=now, body=record)


def _named(keys: Sequence[str]) -> str:
    return ("key " if len(keys) == 1 else "keys ") + ", ".join(keys)
