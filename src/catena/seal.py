"""Sealed content: what clients carry for this server and cannot read or change.

A summary that stands for old turns, and thoughts that are to come back, travel as tokens:

    catena.1.<base64url of: 8 bytes key id, 12 bytes nonce, AES-256-GCM of the content>

The project is authenticated with it, so that a token of one project means nothing in another. The keys are in a file,
one a line, the newest last: the last one seals, each of them opens. So a key is replaced by adding a line, and what an
older key sealed can be read for as long as its line stays.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from catena.errors import CatenaError

__all__ = ["BrokenSeal", "Seals", "UnknownKey", "kept_keys", "key_id", "read_keys"]

_MARK: Final = "catena.1."
_KEY_ID: Final = 8
_NONCE: Final = 12
_KEY: Final = 32


class BrokenSeal(Exception):
    """It looks as if this server had sealed it for this project, and that is not so."""


class UnknownKey(BrokenSeal):
    """Its key is not here: it is gone, or another such server has it."""


class Seals:
    """Seals and opens with the keys in `path`, a file that is made when it is first needed.

    Without a path the keys live as long as this object.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._ciphers: dict[bytes, Any] = {}

    def seal(self, project: str, content: bytes) -> str:
        """The token of `content`. Raises CatenaError if there is no key and none can be kept."""
        ciphers = self._loaded()
        key_id, cipher = list(ciphers.items())[-1]
        nonce = os.urandom(_NONCE)
        sealed = cipher.encrypt(nonce, content, _bound_to(project))
        return _MARK + base64.urlsafe_b64encode(key_id + nonce + sealed).decode().rstrip("=")

    def open(self, project: str, token: str) -> bytes | None:
        """What was sealed; None for what is not of such a server at all. Raises BrokenSeal."""
        if not token.startswith(_MARK):
            return None
        text = token[len(_MARK) :]
        try:
            whole = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise BrokenSeal from None
        from cryptography.exceptions import InvalidTag

        cipher = self._loaded().get(whole[:_KEY_ID])
        nonce, sealed = whole[_KEY_ID : _KEY_ID + _NONCE], whole[_KEY_ID + _NONCE :]
        if len(nonce) < _NONCE:
            raise BrokenSeal
        if cipher is None:
            raise UnknownKey
        try:
            content: bytes = cipher.decrypt(nonce, sealed, _bound_to(project))
        except InvalidTag:
            raise BrokenSeal from None
        return content

    def _loaded(self) -> Mapping[bytes, Any]:
        if not self._ciphers:
            # Loading it takes longer than everything else that a server does when it starts.
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            keys = [os.urandom(_KEY)] if self._path is None else kept_keys(self._path)
            self._ciphers = {key_id(key): AESGCM(key) for key in keys}
        return self._ciphers


def read_keys(path: Path) -> list[bytes]:
    """The keys in a file, oldest first. Raises CatenaError for one without any, or with a line that is none."""
    try:
        lines = path.read_text(encoding="ascii").split()
        keys = [base64.urlsafe_b64decode(line) for line in lines]
    except (OSError, ValueError) as error:
        raise CatenaError(f"The file of keys, {path}, cannot be read.") from error
    if not keys or any(len(key) != _KEY for key in keys):
        raise CatenaError(f"The file of keys, {path}, must have one key of {_KEY} bytes in base64 a line.")
    return keys


def kept_keys(path: Path) -> list[bytes]:
    """The keys in the file, which gets a first one if it is not there. Of two servers at once one makes it.

    Raises CatenaError, as `read_keys`, and where no file can be made.
    """
    if path.exists():
        return read_keys(path)
    line = base64.urlsafe_b64encode(os.urandom(_KEY)) + b"\n"
    draft = path.with_name(f"{path.name}.{os.urandom(4).hex()}")
    try:
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # unlike a rename this never replaces what another one made
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    except OSError as error:
        raise CatenaError(f"The file of keys, {path}, cannot be made.") from error
    return read_keys(path)


def key_id(key: bytes) -> bytes:
    """What is written beside what a key has sealed; it tells nothing of the key."""
    return hashlib.blake2b(key, digest_size=_KEY_ID, person=b"catena key id").digest()


def _bound_to(project: str) -> bytes:
    return b"catena sealed content\0" + project.encode()
