"""Keys in a file, for set-ups that are declared: a TOML table for each, in clear or hashed.

    [[keys]]
    project = "support"
    sha256 = "…"                  # of the key, in hex; or in clear: key = "…"
    scopes = ["responses.read"]   # by default all but `admin`

It is read once, when a server starts.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec

from catena.access import secrets
from catena.access.grant import DEFAULT_PROJECT
from catena.access.registry import Key, is_name
from catena.access.scopes import SCOPES, USUAL, unknown_scopes
from catena.limits import Limits

__all__ = ["KeyFileError", "load_keys"]

_SHORTEST = 16
"""Characters that a key must have. Who writes one by hand should not write a word."""


class KeyFileError(Exception):
    """A file of keys cannot be used as it is; the message names the file, the key and what was expected."""


class _Limits(Limits, frozen=True, forbid_unknown_fields=True): ...


class _Entry(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    project: str = DEFAULT_PROJECT
    key: Annotated[str, msgspec.Meta(min_length=_SHORTEST)] | None = None
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-fA-F]{64}$")] | None = None
    name: str = ""
    scopes: tuple[str, ...] = USUAL
    expires_at: datetime | None = None
    limits: _Limits = _Limits()


class _File(msgspec.Struct, forbid_unknown_fields=True):
    keys: list[_Entry] = []


def load_keys(path: Path) -> Sequence[Key]:
    """The keys in a file. Raises KeyFileError; no message has a key in it."""
    try:
        entries = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _File).keys
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise KeyFileError(f"{path}: expected UTF-8 text") from None
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise KeyFileError(f"{path}: {error}") from error
    return [_key(entry, f"{path}: keys[{number}]") for number, entry in enumerate(entries)]


def _key(entry: _Entry, place: str) -> Key:
    if (entry.key is None) == (entry.sha256 is None):
        raise KeyFileError(f"{place}: expected either `key` or `sha256`")
    if not is_name(entry.project):
        raise KeyFileError(f"{place}.project: '{entry.project}' cannot be the name of a project")
    unknown = unknown_scopes(entry.scopes)
    if unknown or not entry.scopes:
        raise KeyFileError(f"{place}.scopes: expected some of {', '.join(SCOPES)}; got {', '.join(unknown)}")
    digest = secrets.digest_of(entry.key) if entry.key is not None else bytes.fromhex(entry.sha256 or "")
    return Key(
        id=secrets.id_of(digest),
        project=entry.project,
        digest=digest.hex(),
        name=entry.name,
        scopes=entry.scopes,
        expires_at=_seconds(entry.expires_at),
        limits=entry.limits,
    )


def _seconds(moment: datetime | None) -> int | None:
    """Unix seconds; what names no time zone is in UTC."""
    if moment is None:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
