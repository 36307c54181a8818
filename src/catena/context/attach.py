"""An image, a file or a sound as an engine is given it, in the words of its dialect. Pure.

A text file is put in as text, with its name, for every engine that does not take files. What an engine cannot be given
is an error; what is gone is a note to the model, as a gap that nobody mentions would be made up for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence, Set
from typing import Final, TypeAlias

import msgspec

from catena.context.media import NotBase64, Part, data_url, media_type, split_data, text_in
from catena.wire import wording

__all__ = ["Attach", "CannotAttach", "Found", "chat_part", "gone", "responses_part", "source_of"]

_IMAGES: Final = ("input_image", "computer_screenshot")
_SOURCES: Final = {
    **dict.fromkeys(_IMAGES, ("image_url", "file_id")),
    "input_file": ("file_data", "file_id", "file_url"),
}
_NEEDS: Final = {**dict.fromkeys(_IMAGES, "image"), "input_audio": "audio", "input_file": "file"}
_IMAGE_URL: Final = re.compile(r"(https?|data):.", re.IGNORECASE)


class CannotAttach(Exception):
    """Why an engine cannot be given a part; `field` is the field of the part that is to blame, if one is."""

    def __init__(self, message: str, field: str = "", code: str = "invalid_value") -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.code = code


class Found(msgspec.Struct, frozen=True):
    """The contents that a part names, and the name that they have."""

    content: bytes
    filename: str


Attach: TypeAlias = Callable[[Part, Found | None, Set[str]], Part]
"""Makes the engine's part of a client's: with what was found of it, if it names something, and the kinds of content
that the engine takes. Raises CannotAttach."""


def source_of(part: Part) -> tuple[str, str]:
    """Where the contents of an image or a file are: the field that says so, and its value. Raises CannotAttach."""
    fields = _SOURCES[part["type"]]
    given = [name for name in fields if part.get(name)]
    if not given:
        raise CannotAttach(f"Expected one of {_spoken(fields)}.", fields[0], "missing_required_parameter")
    if len(given) > 1:
        raise CannotAttach(
            f"Expected only one of {_spoken(given)}.", given[1], "invalid_parameter_combination"
        )
    return given[0], part[given[0]]


def _spoken(fields: Sequence[str]) -> str:
    return wording.either([f"'{field}'" for field in fields])


def gone(part: Part, *, kind: str) -> Part:
    """The note in the place of a part whose contents are not there any more, as a part of type `kind`.

    Raises CannotAttach for a screenshot, in whose place nothing else can stand.
    """
    if part["type"] == "computer_screenshot":
        raise CannotAttach(f"The screenshot '{part.get('file_id')}' was deleted.")
    if part.get("file_id"):
        what = f"The file '{part['file_id']}' that was attached here was deleted"
    else:
        what = "The file that was attached here cannot be fetched any more"
    return {"type": kind, "text": f"[{what}.]"}


# Chat Completions


def chat_part(part: Part, found: Found | None, accepts: Set[str]) -> Part:
    """See `Attach`."""
    kind = part["type"]
    if kind == "input_audio":
        _require(kind, accepts)
        return {"type": kind, kind: part[kind]}
    if kind in _IMAGES:
        _require(kind, accepts)
        return _chat_image(part, _image_url(part, found))
    file = found or _given(part)
    name = part.get("filename") or file.filename
    text = text_in(file.content, name)
    if text is not None:
        return {"type": "text", "text": _framed(name, text)}
    media = media_type(file.content, name)
    if media.startswith("image/") and "image" in accepts:
        return _chat_image(part, data_url(file.content, media))
    _require(kind, accepts, media)
    return {"type": "file", "file": {"filename": name, "file_data": data_url(file.content, media)}}


def _chat_image(part: Part, url: str) -> Part:
    image = {"url": url}
    if part.get("detail"):
        # The dialect has no word for the original size.
        image["detail"] = "high" if part["detail"] == "original" else part["detail"]
    return {"type": "image_url", "image_url": image}


# The Responses API


def responses_part(part: Part, found: Found | None, accepts: Set[str]) -> Part:
    """See `Attach`."""
    kind = part["type"]
    if kind in _IMAGES:
        _require(kind, accepts)
        url = None if found is None and part.get("file_id") else _image_url(part, found)
        return part if url is None else {**_without(part, "file_id"), "image_url": url}
    if kind == "input_file" and "file" not in accepts:
        return _responses_text(part, found)
    _require(kind, accepts)
    if found is None:
        return part
    name = part.get("filename") or found.filename
    data = data_url(found.content, media_type(found.content, name))
    return {**_without(part, "file_id", "file_url"), "filename": name, "file_data": data}


def _responses_text(part: Part, found: Found | None) -> Part:
    file = found or _given(part)
    name = part.get("filename") or file.filename
    text = text_in(file.content, name)
    if text is None:
        _require("input_file", frozenset(), media_type(file.content, name))
    return {"type": "input_text", "text": _framed(name, text or "")}


def _without(part: Part, *names: str) -> Part:
    return {name: value for name, value in part.items() if name not in names}


# Both


def _require(kind: str, accepts: Set[str], media: str = "") -> None:
    need = _NEEDS[kind]
    if need not in accepts:
        what = {
            "image": "images",
            "audio": "audio",
            "file": f"files of type '{media}'" if media else "files",
        }[need]
        raise CannotAttach(f"This model does not take {what}.", code="unsupported_value")


def _image_url(part: Part, found: Found | None) -> str:
    if found is None:
        url = part.get("image_url")
        if not isinstance(url, str) or not _IMAGE_URL.match(url):
            raise CannotAttach("Expected a URL that begins with https://, http:// or data:.", "image_url")
        return url
    media = media_type(found.content, found.filename)
    if not media.startswith("image/"):
        raise CannotAttach(f"It is no image but of type '{media}'.", source_of(part)[0])
    return data_url(found.content, media)


def _given(part: Part) -> Found:
    """The contents that stand in the part itself."""
    try:
        media, content = split_data(part["file_data"])
    except NotBase64:
        raise CannotAttach("Expected Base64, or a data URL with Base64 in it.", "file_data") from None
    return Found(content, "file." + (media.partition("/")[2] or "txt"))


def _framed(name: str, text: str) -> str:
    name = re.sub(r"[\"<>\r\n]", "_", name)
    return f'<file name="{name}">\n{text}\n</file>'
