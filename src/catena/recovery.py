"""What becomes of a run whose server died: pure.

Its log has the chunks that its engine had sent. Folded again, they are the response as far as it came, with the same
events under the same numbers as were told before.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from catena.chunks import Chunk
from catena.errors import CatenaError
from catena.fold import Fold
from catena.ids import TurnIds
from catena.journal import record
from catena.wire.response import Response

__all__ = ["ended_with_what_it_had"]


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
