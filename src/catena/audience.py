"""Who follows a run, and what becomes of it when they are gone.

A run belongs to the server, not to the socket. When its last follower goes before the end, the grace time begins:
whoever comes back finds it as if nothing had been. After it the run is ended, unless it is followed through another
server.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator

from catena.errors import CatenaError
from catena.feed import Feed

__all__ = ["Audience"]


class Audience:
    """The followers of the run that `feed` tells of.

    `end` is called when it had none for `grace` seconds: 0 is at once, -1 never. `is_attended` asks whether it has some
    elsewhere, and raises a CatenaError where that cannot be said.
    """

    def __init__(
        self,
        feed: Feed,
        grace: float,
        end: Callable[[], None],
        is_attended: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self.size = 0
        self._feed = feed
        self._grace = grace
        self._end = end
        self._is_attended = is_attended
        self._timer: asyncio.TimerHandle | None = None
        self._asking: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def member(self) -> Iterator[None]:
        """While inside, somebody follows."""
        self.size += 1
        self.disperse()
        try:
            yield
        finally:
            self.size -= 1
            if self.size == 0 and not self._feed.ended:
                self._wait()

    def disperse(self) -> None:
        """The grace time is over, or needless."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        if self._grace == 0:
            self._end()
        elif self._grace > 0:
            self._timer = asyncio.get_running_loop().call_later(self._grace, self._grace_is_over)

    def _grace_is_over(self) -> None:
        if self._is_attended is None:
            self._end()
        else:
            self._asking = asyncio.create_task(self._end_unless(self._is_attended))

    async def _end_unless(self, is_attended: Callable[[], Awaitable[bool]]) -> None:
        attended = True  # a store that cannot say is asked later
        with contextlib.suppress(CatenaError):
            attended = await is_attended()
        if self.size or self._feed.ended:
            return
        if attended:
            self._wait()
        else:
            self._end()
