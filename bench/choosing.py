"""Which rows are wanted: `--only W3,growth`."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["Choice"]

_BREAK: Final = re.compile(r"\w")


class Choice:
    """The beginnings of names, divided by commas; none is all."""

    def __init__(self, text: str) -> None:
        self._beginnings = [part.strip().lower() for part in text.split(",") if part.strip()]

    def __contains__(self, name: str) -> bool:
        """Whether the row is wanted: `W1` is not the beginning of `W10`."""
        known = name.lower()
        return not self._beginnings or any(
            known.startswith(each) and not _BREAK.match(known[len(each) :]) for each in self._beginnings
        )

    def takes_any(self, *beginnings: str) -> bool:
        """Whether rows may be wanted whose names begin with one of these."""
        return not self._beginnings or any(
            each in self or any(wanted.startswith(each.lower()) for wanted in self._beginnings)
            for each in beginnings
        )
