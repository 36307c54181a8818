"""Images, files and sounds in a context: where they stand, what they are, and how engines are given them. Pure.

A fragment is rendered once and kept; what its attachments become depends on the engine that is asked and on files that
may be deleted meanwhile. So they are left in it as the client named them, which makes it a `Draft`, and are put in
whenever an engine is asked.
"""

from __future__ import annotations

import base64
import binascii
import mimetypes
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from catena.wire.response import Item

__all__ = [
    "ATTACHED",
    "Draft",
    "NotBase64",
    "Part",
    "data_url",
    "drafted",
    "filled",
    "joined",
    "media_type",
    "parts_of",
    "split_data",
    "text_in",
]

Part: TypeAlias = dict[str, Any]

ATTACHED: Final = frozenset({"input_image", "input_file", "input_audio", "computer_screenshot"})
"""The content parts that are not text."""

_NAMED: Final = re.compile(rb'"type":"(?:%b)"' % "|".join(sorted(ATTACHED)).encode())
_HELD_IN: Final = ("content", "output")
_DATA_URL: Final = re.compile(r"data:([^;,]*)((?:;[^;,]*)*?)(;base64)?,", re.ASCII)

_MAGIC: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[dict[str, Any]]).decode


class NotBase64(ValueError):
    """What should be contents is none."""


# Where they stand


class Draft(bytes):
    """A fragment whose attachments still stand as the client named them."""


def drafted(rendered: Sequence[dict[str, Any]]) -> bytes:
    """The fragment of these messages or items; a Draft if they have attachments."""
    fragment = _encode(rendered)[1:-1]
    # Nearly all have none, and that is seen soonest in the bytes.
    if _NAMED.search(fragment) is None or not any(True for each in rendered for _ in parts_of(each)):
        return fragment
    return Draft(fragment)


def joined(first: bytes, second: bytes) -> bytes:
    """Two fragments as one."""
    if not first or not second:
        return first or second
    both = b"%b,%b" % (first, second)
    return Draft(both) if type(first) is Draft or type(second) is Draft else both


def parts_of(holder: Item) -> Iterator[tuple[str, int | None, Part]]:
    """The attachments of a message or item, each with where it stands: under which name, at which place in a list.

    The place is None for what stands there by itself, as the screenshot of a computer does.
    """
    for name in _HELD_IN:
        held = holder.get(name)
        if isinstance(held, list):
            for place, part in enumerate(held):
                if isinstance(part, dict) and part.get("type") in ATTACHED:
                    yield name, place, part
        elif isinstance(held, dict) and held.get("type") in ATTACHED:
            yield name, None, held


def filled(draft: Draft, fill: Callable[[Part], Part]) -> bytes:
    """The fragment with what `fill` makes of each attachment."""
    holders = _decode(b"[%b]" % draft)
    for holder in holders:
        attached = list(parts_of(holder))
        for name, place, part in attached:
            if place is None:
                holder[name] = fill(part)
            else:
                holder[name][place] = fill(part)
        for name in {name for name, place, _ in attached if place is not None}:
            holder[name] = _plain(holder[name])
    return _encode(holders)[1:-1]


def _plain(parts: list[Any]) -> str | list[Any]:
    # Where only text is left of a chat message it is sent as such: many engines take nothing else.
    if all(isinstance(part, dict) and part.get("type") == "text" for part in parts):
        return "\n\n".join(part["text"] for part in parts)
    return parts


# What they are


def media_type(content: bytes, filename: str = "") -> str:
    """The type of some contents: by how they begin, else by the name."""
    for magic, kind in _MAGIC:
        if content.startswith(magic):
            return kind
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return mimetypes.guess_type(filename, strict=False)[0] or "application/octet-stream"


def text_in(content: bytes, filename: str = "") -> str | None:
    """The text that some contents are, None if they are none: UTF-8, UTF-16 with its mark, or what is named as text."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _decoded(content, "utf-16")
    if b"\0" in content or content.startswith(b"%PDF-"):
        return None
    text = _decoded(content, "utf-8-sig")
    if text is None and (media_type(b"", filename).startswith("text/")):
        return content.decode("latin-1")
    return text


def _decoded(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def data_url(content: bytes, kind: str) -> str:
    """Contents as a URL that holds them."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def split_data(text: str) -> tuple[str, bytes]:
    """The type and the contents of a data URL, or of Base64 alone, whose type is "". Raises NotBase64."""
    kind = ""
    if text.startswith("data:"):
        head = _DATA_URL.match(text)
        if head is None or not head[3]:
            raise NotBase64
        kind, text = head[1], text[head.end() :]
    try:
        return kind, base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NotBase64 from None
