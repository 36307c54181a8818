"""What the log of a run tells to who does not have it: pure.

A log has the chunks that an engine has sent. Folded again, they are the response as far as it came, with the same
events under the same numbers as its own server tells. So a run can be followed through another server, and ended by
another when its own has died.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from catena.chunks import Chunk
from catena.errors import CatenaError
from catena.fold import Fold
from catena.ids import TurnIds
from catena.journal import record
from catena.wire.events import Event
from catena.wire.response import Response, ResponseStatus

__all__ = ["Retelling", "ended_with_what_it_had"]


class Retelling:
    """The events of a run, told again from its log. `response` is the run's as it was stored."""

    def __init__(self, response: Response, ids: TurnIds) -> None:
        status: ResponseStatus = "queued" if response.background else "in_progress"
        self._fold = Fold(replace(response, status=status, output=[]), ids)
        self._begun = status == "in_progress"

    @property
    def response(self) -> Response:
        """The response as far as it was told."""
        return self._fold.response

    def start(self) -> list[Event]:
        """The first events, which come before anything is logged."""
        return self._fold.start()

    def go_on(self, chunks: Sequence[Chunk], *, begun: bool = True) -> list[Event]:
        """The events that these chunks of the log make. `begun` says that the run does not wait any more."""
        events: list[Event] = []
        if (begun or chunks) and not self._begun:
            self._begun = True
            events += self._fold.begin()
        return events + self._fold.feed(chunks)


def ended_with_what_it_had(
    response: Response, ids: TurnIds, chunks: Sequence[Chunk], error: CatenaError, *, now: int
) -> tuple[Response, bytes]:
    """The response of a run that was cut off, and the journal of its events.

    If its engine had said all that it would, the response is whole, and ends so `now`; else it is failed by `error`.
    """
    queued = response.background
    before = replace(response, status="queued" if queued else "in_progress", output=[])
    fold = Fold(before, ids)
    events = [*fold.start(), *(fold.begin() if queued else ()), *fold.feed(chunks)]
    events += fold.finish(now) if fold.finished else fold.fail(error)
    return fold.response, record([*events, *fold.terminal()])
