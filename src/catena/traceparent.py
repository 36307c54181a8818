"""Which trace a request belongs to, in the words of W3C Trace Context: what came in is passed on to the engine.

That holds whether or not this server keeps traces of its own.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from typing import Final

__all__ = ["accepted", "passed_on"]

_FORM: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")

passed_on: Final[ContextVar[str | None]] = ContextVar("traceparent", default=None)
"""The `traceparent` that requests to engines carry in this context."""


def accepted(header: str) -> str | None:
    """A client's `traceparent`, or None where it is none: then the trace begins anew (Trace Context §3.2.2.3)."""
    if _FORM.fullmatch(header) is None or (header.startswith("00") and len(header) != 55):
        return None
    return header
