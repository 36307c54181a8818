"""Files on the wire: the form that uploads one, and the object that clients see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec

from catena.errors import BadRequest
from catena.wire import wording

__all__ = ["LISTABLE", "FileForm", "Purpose", "file_form", "file_object"]

Purpose: TypeAlias = Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]

_PURPOSES: Final = get_args(Purpose)

LISTABLE: Final = (*_PURPOSES, "assistants_output", "batch_output", "fine-tune-results")
"""Purposes that a list can be asked for."""

_MONTH: Final = 2_592_000
_LEAST: Final = 3_600
_FIELDS: Final = ("file", "purpose", "expires_after[anchor]", "expires_after[seconds]")


class FileForm(msgspec.Struct, frozen=True):
    """What goes with the contents. `expires_after` is in seconds; None is never."""

    purpose: str
    expires_after: int | None = None


def file_form(fields: Mapping[str, str]) -> FileForm:
    """The fields of a form besides the file. Raises BadRequest in the official wording.

    A file for a batch expires after 30 days unless the form says something else.
    """
    for name in fields:
        if name not in _FIELDS:
            raise wording.unknown(name, _FIELDS)
    purpose = fields.get("purpose")
    if purpose is None:
        raise wording.missing("purpose")
    if purpose not in _PURPOSES:
        raise wording.wrong_value("purpose", purpose, _PURPOSES)
    expires_after = _expires_after(fields)
    return FileForm(purpose, _MONTH if expires_after is None and purpose == "batch" else expires_after)


def _expires_after(fields: Mapping[str, str]) -> int | None:
    anchor, seconds = fields.get("expires_after[anchor]"), fields.get("expires_after[seconds]")
    if anchor is None and seconds is None:
        return None
    if anchor is None:
        raise wording.missing("expires_after.anchor")
    if anchor != "created_at":
        raise wording.wrong_value("expires_after.anchor", anchor, ("created_at",))
    if seconds is None:
        raise wording.missing("expires_after.seconds")
    return _bounded("expires_after.seconds", seconds)


def _bounded(path: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise BadRequest(
            f"Invalid type for '{path}': expected an integer, but got a string instead.",
            param=path,
            code="invalid_type",
        )
    value = int(text)
    if value < _LEAST:
        raise wording.below_minimum(path, "integer", _LEAST, value)
    if value > _MONTH:
        raise wording.above_maximum(path, "integer", _MONTH, value)
    return value


def file_object(
    file_id: str,
    *,
    filename: str,
    purpose: str,
    size: int,
    created_at: int,
    expires_at: int | None,
) -> dict[str, Any]:
    """A file as clients see it. It is ready as soon as it is there."""
    return {
        "id": file_id,
        "object": "file",
        "bytes": size,
        "created_at": created_at,
        "expires_at": expires_at,
        "filename": filename,
        "purpose": purpose,
        "status": "processed",
        "status_details": None,
    }
