"""Words as PostgreSQL looks for them: pure. They are cut here, as the database's own way depends on its locale.

A word is letters and digits, whatever their case and their accents; all else stands between words.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from catena.wire.words import Term

__all__ = ["of_project", "query_for", "vector_of"]

_WORD: Final = re.compile(r"[^\W_]+")

_ACCENT: Final = re.compile("[\u0300-\u036f]+")

_LONGEST: Final = 200
"""Letters of a word that is kept; longer ones nobody looks for."""

_MOST_PLACES: Final = 256
_LAST_PLACE: Final = 16_383
_MOST_BYTES: Final = 900_000
"""What a `tsvector` takes: places of one word, the highest of them, and a megabyte in all."""


def vector_of(text: str) -> str | None:
    """The words of a text with their places, as PostgreSQL reads a `tsvector`; None if there are none."""
    places: dict[str, list[int]] = {}
    size = 0
    for place, word in enumerate(_words(text), start=1):
        at = places.get(word)
        if at is None:
            size += 4 * len(word) + 4
            at = places[word] = []
        if len(at) < _MOST_PLACES:
            size += 2
            at.append(min(place, _LAST_PLACE))
        if size > _MOST_BYTES:
            break
    return " ".join(f"'{word}':{','.join(map(str, at))}" for word, at in places.items()) or None


def of_project(project: str) -> str:
    """A word that goes with all that a project said and is said by nobody, as vectors and queries have it: so one
    project's search does not go through what others said."""
    return f"'@{hashlib.blake2b(project.encode(), digest_size=8).hexdigest()}'"


def query_for(terms: Sequence[Term]) -> str | None:
    """All of these terms, as PostgreSQL reads a `tsquery`; None if there is no word in them."""
    phrases = (_phrase(term) for term in terms)
    return " & ".join(phrase for phrase in phrases if phrase) or None


def _phrase(term: Term) -> str:
    words = [f"'{word}'" for word in _words(term.text)]
    if words and term.prefix:
        words[-1] += ":*"
    return f"({' <-> '.join(words)})" if words else ""


def _words(text: str) -> list[str]:
    if not text.isascii():
        text = _ACCENT.sub("", unicodedata.normalize("NFKD", text))
    return [word[:_LONGEST] for word in _WORD.findall(text.casefold())]
