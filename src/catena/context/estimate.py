"""How many tokens a prompt has, about: for engines that do not tell.

Four letters of English make a token, of most other scripts one or two do; each message and each image has a price of
its own. With real tokenizers this is right within a third for prose, and low for code and numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

__all__ = ["estimated_tokens"]

_LETTERS: Final = 4
_DENSE: Final = 1.5
_MESSAGE: Final = 4
_IMAGE: Final = 800
_FILE: Final = 2_000

# Images and files come as long texts that are not read as such.
_PAYLOADS: Final = {"image_url": _IMAGE, "file_data": _FILE, "input_audio": _FILE, "encrypted_content": 0}
_NAMES: Final = frozenset({"type", "role", "id", "status"})

_decode = msgspec.json.Decoder(list[Any]).decode


def estimated_tokens(fragments: Sequence[bytes], options: Mapping[str, Any]) -> int:
    """About how many tokens an engine reads of these messages or items, tools and instructions included."""
    messages = _decode(b"[" + b",".join(fragments) + b"]")
    further = [options.get(name) for name in ("instructions", "tools", "response_format", "text")]
    return round(sum(_MESSAGE + _tokens(each) for each in messages) + sum(map(_tokens, further)))


def _tokens(value: Any) -> float:
    if isinstance(value, str):
        plain = len(value.encode("ascii", "ignore"))
        return plain / _LETTERS + (len(value) - plain) / _DENSE
    if isinstance(value, Mapping):
        return sum(
            _PAYLOADS[name] if name in _PAYLOADS else _tokens(inner) + 1
            for name, inner in value.items()
            if name not in _NAMES and inner is not None
        )
    if isinstance(value, list):
        return sum(map(_tokens, value))
    return 0 if value is None else 1
