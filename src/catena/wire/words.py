"""All words of a turn, to be found again, and where in them something was found."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from catena.wire.response import Item

__all__ = ["VERSION", "Term", "excerpt", "terms", "words_of"]

VERSION: Final = 1
"""Goes up when `words_of` gives other words for the same items: what was made of the earlier ones is of no use then."""

_MOST: Final = 1_000_000
"""Characters of a turn. What comes after is not found."""

_ENCODED: Final = re.compile(r"[A-Za-z0-9+/=_-]{200,}")
"""What nobody said: files and keys, written down as text."""

_TERM: Final = re.compile(r'"([^"]*)"?|(\S+)')
_AROUND: Final = 60

_decode = msgspec.json.Decoder(list[dict[str, Any]]).decode


class Term(msgspec.Struct, frozen=True):
    """A word, or several in their order; with `prefix`, what begins so."""

    text: str
    prefix: bool = False


def terms(query: str) -> Sequence[Term]:
    """The terms of a query, all of which must be found: words, "phrases in quotes", beginn* of words.

    Empty if there is no letter and no digit in it.
    """
    found = []
    for match in _TERM.finditer(query):
        text = match[1] if match[1] is not None else match[2]
        if any(character.isalnum() for character in text):
            found.append(Term(text.rstrip("*"), prefix=match[1] is None and text.endswith("*")))
    return found


def words_of(input: bytes, output: bytes) -> str:  # noqa: A002 - the API's word
    """What was said in a turn, what its tools were asked and what they answered."""
    said = " \n".join(text for items in (input, output) for item in _items(items) for text in _said(item))
    return _ENCODED.sub(" ", said[:_MOST])


def _items(items: bytes) -> Sequence[Item]:
    try:
        return _decode(items)
    except RecursionError:
        return ()  # nobody says anything so deep inside


def _said(item: Item) -> Iterator[str]:
    for name in ("name", "arguments", "content", "input", "output", "summary"):
        yield from _texts(item.get(name))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            if isinstance(part, dict):
                yield from _texts(part.get("text") or part.get("refusal"))


def excerpt(text: str, wanted: Sequence[Term]) -> str:
    """The surroundings of the first term that is found, on one line; empty if it is written otherwise there."""
    for term in wanted:
        pattern = r"\W+".join(re.escape(word) for word in re.findall(r"\w+", term.text))
        found = re.search(rf"(?<!\w){pattern}", text, re.IGNORECASE)
        if found is not None:
            start, end = max(0, found.start() - _AROUND), found.end() + _AROUND
            line = " ".join(text[start:end].split())
            return f"{'…' if start else ''}{line}{'…' if end < len(text) else ''}"
    return ""
