"""Tool calls from the pieces that chat engines send, however they number and name them.

By the book, a piece has the `index` of its call, and the first one its `id` and name. But Ollama and Gemini send
whole calls that all have index 0; others send no index, no id, a new id with every piece, the name twice or late.
What comes out has indexes of our own, one for each call, and begins with the name.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from catena.chunks import ToolCallDelta

__all__ = ["ToolCalls"]

_encode: Final = msgspec.json.Encoder().encode
_LONGEST_ID: Final = 64


class _Call:
    __slots__ = ("call_id", "index", "name", "pieces")

    def __init__(self) -> None:
        self.index = -1
        self.call_id = ""
        self.name = ""
        self.pieces: list[str] = []

    def is_whole(self) -> bool:
        try:
            msgspec.json.decode("".join(self.pieces))
        except msgspec.DecodeError:
            return False
        return True


class ToolCalls:
    """The calls of one answer."""

    __slots__ = ("_by_position", "_calls", "_ids", "_latest", "_told")

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_position: dict[int, _Call] = {}
        self._latest: _Call | None = None
        self._ids: set[str] = set()
        self._told = 0

    @property
    def begun(self) -> bool:
        """Whether there was a call at all."""
        return self._told > 0

    def piece(self, position: int | None, call_id: str, name: str, arguments: Any) -> list[ToolCallDelta]:
        """What a piece adds. `arguments` may be an object, as some engines send it, instead of its JSON text."""
        call = self._find(position, call_id, name)
        text = (
            arguments
            if isinstance(arguments, str)
            else ""
            if arguments is None
            else _encode(arguments).decode()
        )
        if text:
            call.pieces.append(text)
        if call.index >= 0:
            return [ToolCallDelta(call.index, arguments=text)] if text else []
        call.call_id = call.call_id or call_id
        call.name = name
        return [self._begin(call)] if name else []

    def end(self) -> list[ToolCallDelta]:
        """What is missing now that every call is whole: arguments, where an engine sends nothing for none.

        Raises ValueError for a call whose name never came, as nobody could run it.
        """
        if not self._calls:
            return []
        if any(call.pieces and call.index < 0 for call in self._calls):
            raise ValueError("a tool call has no name")
        return [
            ToolCallDelta(call.index, arguments="{}") for call in self._calls if call.name and not call.pieces
        ]

    def _find(self, position: int | None, call_id: str, name: str) -> _Call:
        call = self._latest if position is None else self._by_position.get(position)
        if call is None or _begins_another(call, call_id, name):
            call = _Call()
            self._calls.append(call)
        if position is not None:
            self._by_position[position] = call
        self._latest = call
        return call

    def _begin(self, call: _Call) -> ToolCallDelta:
        call.index = self._told
        self._told += 1
        # An id that two calls share tells no output where it belongs; without one, a fresh one is made.
        usable = 0 < len(call.call_id) <= _LONGEST_ID and call.call_id not in self._ids
        self._ids.add(call.call_id)
        return ToolCallDelta(call.index, call.call_id if usable else "", call.name, "".join(call.pieces))


def _begins_another(call: _Call, call_id: str, name: str) -> bool:
    """Whether a piece with this id and name belongs to another call than `call`, which has its place."""
    if not name or not call.name:
        return False
    if call_id and call.call_id:
        return call_id != call.call_id
    return call.is_whole()
