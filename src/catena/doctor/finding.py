"""One thing that was looked at."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Finding"]


class Finding(msgspec.Struct, frozen=True):
    """`state` says whether the server works with it: `ok`, well enough (`warning`), or not (`failure`); `advice` is
    what to do then."""

    subject: str
    state: Literal["ok", "warning", "failure"]
    text: str
    advice: str = ""
