"""Which of an upstream's base URLs is asked next.

Requests of one tree go to the same base URL, as its prefix cache is warm: each base URL has a rank for each tree
(rendezvous hashing), so that adding or losing one moves only its own trees, and every process of ours ranks
alike. Two things come before affinity: a base URL that is much busier than the others is passed over, and one
that failed sits out for a time that grows with each failure. Nothing is asked here, and the clock is given.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from types import TracebackType
from typing import Final, Self

__all__ = ["Replica", "Replicas"]

_LOAD_BOUND: Final = 1.25
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0


class Replica:
    """One base URL. Entered as a context, it counts a request in flight.

    Tell it how the request went: `failed` where it could not be reached, broke off or answered that it cannot
    serve, `succeeded` where it answered. A refusal of the request itself is an answer.
    """

    __slots__ = ("_clock", "_failures", "_key", "_on_trial", "_out_until", "in_flight", "url")

    def __init__(self, url: str, clock: Callable[[], float]) -> None:
        self.url = url
        self.in_flight = 0
        self._clock = clock
        self._key = blake2b(url.encode(), digest_size=32).digest()
        self._failures = 0
        self._out_until = 0.0
        self._on_trial = False

    def __enter__(self) -> Self:
        self.in_flight += 1
        if self._failures and not self.sits_out:
            # The first request after a pause is a trial; until its outcome is known, the others go elsewhere.
            self._on_trial = True
            self._out_until = self._clock() + self._pause
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.in_flight -= 1

    @property
    def sits_out(self) -> bool:
        """Whether it failed and its pause is not over."""
        return self._failures > 0 and self._clock() < self._out_until

    def failed(self) -> None:
        """It sits out from now on. Requests that fail with it at the same time count as one failure."""
        if self.sits_out and not self._on_trial:
            return
        self._on_trial = False
        self._failures += 1
        self._out_until = self._clock() + self._pause

    def succeeded(self) -> None:
        """It is well, whatever was before."""
        self._failures = 0

    def rank(self, tree: bytes) -> bytes:
        """How much `tree` prefers it; the greatest of all replicas is the tree's own."""
        return blake2b(tree, digest_size=8, key=self._key).digest()

    def back_in(self) -> float:
        """Seconds until its pause is over."""
        return max(0.0, self._out_until - self._clock()) if self._failures else 0.0

    @property
    def _pause(self) -> float:
        return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self._failures - 1, 16))


class Replicas:
    """The base URLs of one upstream, which serve the same."""

    def __init__(self, urls: Iterable[str], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._all = tuple(Replica(url, clock) for url in dict.fromkeys(urls))
        if not self._all:
            raise ValueError("an upstream needs a base URL")

    def __len__(self) -> int:
        return len(self._all)

    def order(self, tree: str) -> Sequence[Replica]:
        """All of them, in the order in which a request of `tree` should try them.

        Those that are well come first, by rank, the overloaded ones behind the others; without a tree ("") by
        load. Those that sit out come last, the one that is back soonest first: asking them beats giving up.
        """
        if len(self._all) == 1:
            return self._all
        well = [replica for replica in self._all if not replica.sits_out]
        out = [replica for replica in self._all if replica not in well]
        if tree:
            key = tree.encode()
            well.sort(key=lambda replica: replica.rank(key), reverse=True)
            bound = _LOAD_BOUND * (sum(replica.in_flight for replica in well) / max(1, len(well)) + 1)
            well.sort(key=lambda replica: replica.in_flight > bound)
        else:
            well.sort(key=lambda replica: replica.in_flight)
        return (*well, *sorted(out, key=Replica.back_in))
