"""Between files and their rows: names and digests as they are stored.

Files of the same contents are found by their digest, which alone would tell that a known file is here. So where
contents are sealed the column begins with a keyed digest, to be found by, and behind it the digest itself is sealed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import asdict, replace

from catena.store.cipher import Cipher
from catena.store.files import StoredFile

__all__ = ["digest_sought", "file_columns", "file_of", "open_piece", "seal_piece"]

_DIGEST: Final = 32


def file_columns(file: StoredFile, cipher: Cipher) -> Mapping[str, Any]:
    """A file as it is stored; the name is bytes where it is sealed."""
    columns = asdict(file)
    if cipher.sealing:
        row = _row(file)
        columns["filename"] = cipher.seal(file.filename.encode(), "filename", *row)
        columns["digest"] = digest_sought(file, cipher) + cipher.seal(file.digest, "digest", *row)
    return columns


def digest_sought(file: StoredFile, cipher: Cipher) -> bytes:
    """What the digests of files of the same contents begin with."""
    return cipher.digest(file.digest, file.project.encode()) if cipher.sealing else file.digest


def file_of(columns: Mapping[str, Any], cipher: Cipher) -> StoredFile:
    """The file in these columns. Raises StoreUnavailable for what cannot be opened."""
    file = StoredFile(**columns)
    name: Any = file.filename
    if isinstance(name, bytes):
        file = replace(file, filename=cipher.open(name, "filename", *_row(file)).decode())
    if len(file.digest) > _DIGEST:
        sealed = file.digest[len(cipher.digest(b"")) :]
        file = replace(file, digest=cipher.open(sealed, "digest", *_row(file)))
    return file


def seal_piece(content: bytes, blob: bytes, number: int, cipher: Cipher) -> bytes:
    """A piece of a file as it is stored."""
    return cipher.seal(content, "content", blob, number.to_bytes(4))


def open_piece(stored: bytes, blob: bytes, number: int, cipher: Cipher) -> bytes:
    """The piece. Raises StoreUnavailable if it cannot be opened."""
    return cipher.open(stored, "content", blob, number.to_bytes(4))


def _row(file: StoredFile) -> tuple[bytes, bytes]:
    return file.project.encode(), file.id.encode()
