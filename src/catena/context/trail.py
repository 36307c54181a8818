"""What a chain says, one turn behind the other, as the bytes that most of its next prompt are.

Turns that each were the first to follow the one before share one trail, which grows with them: a history is a copy of
its beginning, and nothing is in memory twice. A turn that is not the first to follow another begins a trail of its own,
and so does a draft, which has to be put in order by itself before an engine is asked.
"""

from __future__ import annotations

from catena.context.media import Draft

__all__ = ["Trail"]


class Trail:
    """What was told from `fragment` on. Before it comes what the trail `before` told until `place`."""

    __slots__ = ("_before", "_place", "_told")

    def __init__(self, fragment: bytes, before: Trail | None = None, place: int = 0) -> None:
        self._told: Draft | bytearray = fragment if isinstance(fragment, Draft) else bytearray(fragment)
        self._before = before
        self._place = place

    def followed(self, end: int, fragment: bytes, *, anew: bool) -> tuple[Trail, int, int]:
        """Where a fragment stands that follows what ends at `end`: in which trail, from where, and until where.

        With `anew` nothing is shown of what came before.
        """
        told = self._told
        if anew:
            return Trail(fragment), 0, len(fragment)
        if isinstance(told, Draft) or len(told) != end or isinstance(fragment, Draft):
            return Trail(fragment, self, end), 0, len(fragment)
        if told and fragment:
            told += b","
        begin = len(told)
        told += fragment
        return self, begin, len(told)

    def between(self, begin: int, end: int) -> bytes:
        """One fragment."""
        told = self._told
        return told if isinstance(told, Draft) else bytes(memoryview(told)[begin:end])

    def until(self, end: int) -> list[bytes]:
        """All of the history that ends at `end`, oldest first: joined fragments, and drafts."""
        pieces: list[bytes] = []
        trail = self
        while True:
            if end:
                pieces.append(trail.between(0, end))
            if trail._before is None:
                break
            trail, end = trail._before, trail._place
        pieces.reverse()
        return pieces
