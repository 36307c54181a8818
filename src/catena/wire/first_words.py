"""The first words of a turn: enough to tell it from others in a list or a tree.

They are taken from the two ends of a content, as a large one is not read for them. What is cut in the middle of a JSON
text is closed at its end, or opened at its next item.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from catena.wire.response import Item

__all__ = ["MOST", "answered", "asked"]

MOST: Final = 120
"""Characters, with the one that says that there is more."""

_MOST_CALLS: Final = 3

_SHOWN_AS: Final = {"input_image": "[image]", "input_file": "[file]", "input_audio": "[audio]"}

_decode = msgspec.json.Decoder(list[dict[str, Any]]).decode
_TOKENS: Final = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_ITEM: Final = re.compile(rb'\},(?=\{")')


def asked(head: bytes, tail: bytes = b"") -> str:
    """What the last user message of an input says; else what else it brings."""
    items = _items(head, tail)
    return _shown(_spoken(items[::-1], ("user",)) or _called(items) or _spoken(items[::-1], None))


def answered(head: bytes, tail: bytes = b"") -> str:
    """What the first message of an output says; else what it calls."""
    items = _items(head, tail)
    return _shown(_spoken(items, ("assistant",)) or _called(items))


def _items(head: bytes, tail: bytes) -> list[Item]:
    if not tail:
        return _decode(head)
    return [*_closed(head), *_opened(tail)]


def _closed(head: bytes) -> list[Item]:
    """The items that a JSON array begins with, the last of them as far as it goes."""
    ends: list[bytes] = []
    whole, closing = b"[", b"]"
    for token in _TOKENS.finditer(head):
        match token[0]:
            case b"[" | b"{":
                ends.append(b"]" if token[0] == b"[" else b"}")
            case b"]" | b"}":
                ends.pop()
            case _:
                continue
        whole, closing = head[: token.end()], b"".join(reversed(ends))
    for candidate in _endings(head, whole, closing):
        try:
            return _decode(candidate)
        except (msgspec.DecodeError, RecursionError):
            continue
    return []


def _endings(head: bytes, whole: bytes, closing: bytes) -> Sequence[bytes]:
    # The text may have been cut inside of a string, even of a character or of an escape; what is cut elsewhere, or in a
    # key, is left away up to the last bracket.
    rest = head[len(whole) :]
    cuts = [rest[: len(rest) - lost] for lost in range(12)]
    strings = [whole + _valid(cut) + b'"' + closing for cut in cuts]
    return [*strings, whole + closing]


def _valid(text: bytes) -> bytes:
    return text.decode(errors="ignore").encode()


def _opened(tail: bytes) -> list[Item]:
    """The whole items that a JSON array ends with."""
    for border in _ITEM.finditer(tail):
        try:
            return _decode(b"[" + tail[border.end() :])
        except (msgspec.DecodeError, RecursionError):
            continue  # inside of an item
    return []


def _spoken(items: Sequence[Item], roles: Sequence[str] | None) -> str:
    for item in items:
        if item.get("type", "message") == "message" and (roles is None or item.get("role") in roles):
            text = _text(item.get("content"))
            if text:
                return text
    return ""


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return " ".join(text for part in content if (text := _part(part)))


def _part(part: Any) -> str:
    if not isinstance(part, dict):
        return ""
    text = part.get("text") or part.get("refusal")
    if isinstance(text, str):
        return text
    return _SHOWN_AS.get(str(part.get("type")), "")


def _called(items: Sequence[Item]) -> str:
    """Calls of tools as `→ name(…)`, and what came of them as `← …`."""
    shown = []
    for item in items:
        kind = str(item.get("type", ""))
        if kind.endswith("_call"):
            shown.append(f"→ {item.get('name') or kind.removesuffix('_call')}(…)")
        elif kind.endswith("_output"):
            output = item.get("output")
            shown.append(f"← {output if isinstance(output, str) else _text(output) or '…'}")
    more = " …" if len(shown) > _MOST_CALLS else ""
    return " ".join(shown[:_MOST_CALLS]) + more


def _shown(text: str) -> str:
    """On one line, and no longer than `MOST`."""
    line = " ".join(text[: 4 * MOST].split())
    return line if len(line) <= MOST else line[: MOST - 1].rstrip() + "…"
