"""What clients are told of limits: the API's headers, and its sentences for who is over one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

from catena.errors import TooManyRequests

__all__ = ["Kind", "QuotaExceeded", "RateLimited", "duration", "level_headers", "over_rate", "over_runs"]

Kind: TypeAlias = Literal["requests", "tokens"]

_SPOKEN: Final[Mapping[str, str]] = {"requests": "requests per min (RPM)", "tokens": "tokens per min (TPM)"}
_MINUTE: Final = 60.0


class RateLimited(TooManyRequests):
    """Rate limit reached."""

    def __init__(self, message: str, *, kind: Kind, headers: Mapping[str, str]) -> None:
        super().__init__(message, code="rate_limit_exceeded", headers=headers)
        self.kind = kind

    def body(self) -> dict[str, Any]:
        return {**super().body(), "type": self.kind}


class QuotaExceeded(TooManyRequests):
    """You exceeded your current quota."""

    type = "insufficient_quota"

    def __init__(self, spoken: str, used: int, limit: int) -> None:
        super().__init__(
            f"You exceeded your current quota: {spoken} has {used} bytes stored, and may have {limit}. Delete what is "
            "not needed any more, or send `store: false`.",
            code="insufficient_quota",
        )


def over_rate(spoken: str, kind: Kind, *, limit: int, level: float, amount: float) -> RateLimited:
    """A bucket that has less than is asked for."""
    seconds = (amount - level) * _MINUTE / limit
    return RateLimited(
        f"Rate limit reached for {spoken} on {_SPOKEN[kind]}: Limit {limit}, Used {limit - math.floor(level)}, "
        f"Requested {math.ceil(amount)}. Please try again in {duration(seconds)}.",
        kind=kind,
        headers={
            "retry-after": str(max(1, math.ceil(seconds))),
            "retry-after-ms": str(max(1, math.ceil(seconds * 1000))),
        },
    )


def over_runs(spoken: str, limit: int) -> RateLimited:
    """As many responses are being produced as may be at once."""
    return RateLimited(
        f"Rate limit reached for {spoken} on concurrent requests: Limit {limit}, Used {limit}, Requested 1. Please try "
        "again when one of them has ended.",
        kind="requests",
        headers={"retry-after": "1"},
    )


def level_headers(kind: Kind, *, limit: int, level: float) -> dict[str, str]:
    """What is left of a limit, and when all of it will be."""
    return {
        f"x-ratelimit-limit-{kind}": str(limit),
        f"x-ratelimit-remaining-{kind}": str(max(0, math.floor(level))),
        f"x-ratelimit-reset-{kind}": duration((limit - level) * _MINUTE / limit),
    }


def duration(seconds: float) -> str:
    """A time as the API writes it: `1h2m3s`, `6m0s`, `1.5s`, `20ms`, `0s`."""
    milliseconds = max(0, math.ceil(round(seconds * 1000, 3)))
    if milliseconds < 1000:
        return f"{milliseconds}ms" if milliseconds else "0s"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest / 1000:g}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text
