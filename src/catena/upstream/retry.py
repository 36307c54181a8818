"""Whether a request that failed is tried again, when and where: one decision, made of values.

Only what is safe is tried again: the error says that the engine had produced nothing yet. Another base URL is
asked at once; the same one again after a pause that doubles and is drawn at random, so that a crowd does not
come back as a crowd. An engine that asks for patience gets it if it is short; a longer wait is the client's to
decide, who is told how long it is.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from catena.errors import UpstreamError

__all__ = ["GiveUp", "Retry", "RetryPolicy", "Step", "next_step"]


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How patient we are; all but `tries` in seconds.

    `tries` counts the first one. The pause before the second try is at most `first_pause`, and no pause is longer
    than `longest_pause`. `longest_wait` is the most that an engine may ask for. No try begins later than
    `within` after the first one began, so that a request that took its full time is not sent again.
    """

    tries: int = 3
    first_pause: float = 0.5
    longest_pause: float = 8.0
    longest_wait: float = 5.0
    within: float = 60.0


class Retry(msgspec.Struct, frozen=True):
    """Try again in `delay` seconds; on another base URL if `elsewhere`, which was not tried yet."""

    delay: float
    elsewhere: bool


class GiveUp(msgspec.Struct, frozen=True):
    """Tell the client; `why` there is no other try."""

    why: Literal["final", "tries", "time", "wait"]


Step: TypeAlias = Retry | GiveUp

_DEFAULT: Final = RetryPolicy()


def next_step(
    error: UpstreamError,
    *,
    attempt: int,
    replicas_left: int,
    spent: float,
    jitter: float,
    policy: RetryPolicy = _DEFAULT,
) -> Step:
    """What to do after the try with the number `attempt` (the first is 1) failed with `error`.

    `replicas_left` counts the base URLs that were not tried yet, `spent` is the time since the first try began,
    and `jitter` is a random number from 0 to 1.
    """
    if not error.retryable:
        return GiveUp("final")
    if attempt >= policy.tries:
        return GiveUp("tries")
    if replicas_left:
        delay = 0.0  # what the one asks for does not bind the others
    elif error.retry_after is not None:
        if error.retry_after > policy.longest_wait:
            return GiveUp("wait")
        delay = error.retry_after + policy.first_pause * jitter
    else:
        pause = min(policy.longest_pause, policy.first_pause * 2.0 ** (attempt - 1))
        delay = pause * (1 - jitter / 2)
    if spent + delay > policy.within:
        return GiveUp("time")
    return Retry(delay, elsewhere=replicas_left > 0)
