"""What was told while two things happened at once, and may not be true any more."""

from __future__ import annotations

from collections import defaultdict

from tests.crash.told import Heard

__all__ = ["Doubts"]


class Doubts:
    """Which numbers of which streams only one server may ever have known. Without being `forgiving` there are none.

    `concerned` are streams of which something was heard in doubt, `taken_back` those where it was told otherwise later.
    """

    def __init__(self, forgiving: bool) -> None:
        self.concerned: set[str] = set()
        self.taken_back: set[str] = set()
        self._forgiving = forgiving
        self._doubted: set[str] = set()
        self._heard_from: defaultdict[str, set[str]] = defaultdict(set)
        self._lingering: defaultdict[str, set[str]] = defaultdict(set)
        self._unsure: set[tuple[str, int]] = set()

    def begin(self, server: str) -> None:
        """What this server tells is in doubt now."""
        if self._forgiving:
            self._doubted.add(server)

    def settle(self, server: str) -> None:
        """No more, but for the streams that were heard from it until now."""
        if server in self._doubted:
            self._doubted.discard(server)
            self._lingering[server] |= self._heard_from[server]

    def hear(self, line: Heard, *, first: bool) -> None:
        """An event was heard, for the `first` time or not. Who tells it without being in doubt has it on record."""
        self._heard_from[line.server].add(line.id)
        if line.server in self._doubted or line.id in self._lingering[line.server]:
            self.concerned.add(line.id)
            if first:
                self._unsure.add((line.id, line.number))
        else:
            self._unsure.discard((line.id, line.number))

    def is_unsure(self, turn_id: str, number: int) -> bool:
        """Whether this number was heard in doubt, and not again since."""
        return (turn_id, number) in self._unsure

    def take_back(self, turn_id: str) -> None:
        """It was told otherwise."""
        self.taken_back.add(turn_id)
