"""What came from a model or from another person, made harmless for a terminal.

A control character could move the cursor, rename the window, or make text look like what it is not. Each is shown as
the picture of itself; in JSON it is written as its escape, which means the same.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from rich.text import Text

__all__ = ["as_json", "clean", "one_line", "said"]

_INVISIBLE: Final = (
    "\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
)
"""DEL, the second set of control characters, and those that turn the direction of text or cannot be seen at all."""

_HARMFUL: Final = re.compile(f"[\x00-\x08\x0b-\x1f{_INVISIBLE}]")
_IN_JSON: Final = re.compile(f"[{_INVISIBLE}]")


def clean(text: str) -> str:
    """The text with its line breaks and tabs, but with no other character that a terminal would act on."""
    return _HARMFUL.sub(_picture, text.replace("\r\n", "\n"))


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else "\N{REPLACEMENT CHARACTER}"


def one_line(text: str, most: int = 0) -> str:
    """The same on one line, and no longer than `most` characters, if that is given."""
    line = " ".join(clean(text).split())
    return line if not most or len(line) <= most else line[: most - 1].rstrip() + "…"


def said(text: str, style: str = "") -> Text:
    """The text for a console, which takes nothing in it for markup."""
    return Text(clean(text), style=style)


def as_json(value: Any, *, indent: int = 2) -> str:
    """The value as JSON that says the same, and that a terminal only shows. Without `indent`, on one line."""
    text = msgspec.json.encode(value)
    if indent:
        text = msgspec.json.format(text, indent=indent)
    return _IN_JSON.sub(_escape, text.decode())


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code > 0xFFFF:
        code -= 0x10000
        return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    return f"\\u{code:04x}"
