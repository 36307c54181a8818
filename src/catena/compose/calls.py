"""Calls of the tools that clients run, as their arguments come."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from catena.compose.slots import ItemStatus, Slot
from catena.tool_shapes import Shape
from catena.wire import events as ev
from catena.wire.response import Item

__all__ = ["Called", "HeldCall", "OpenCall"]


class Called(msgspec.Struct, frozen=True, kw_only=True):
    """What is called: a function or, if it is `custom`, a tool whose input is free text.

    `wrapped` is a custom tool that had to be offered to the engine as a function: its input comes inside the JSON
    arguments and is told in one piece at the end. A `late` call may be answered at any later time.
    """

    call_id: str
    name: str
    namespace: str | None = None
    custom: bool = False
    wrapped: bool = False
    late: bool = False


class OpenCall:
    """A call of a function or of a custom tool."""

    def __init__(self, slot: Slot, called: Called) -> None:
        self.index = slot.index
        self._slot = slot
        self._called = called
        self._custom = called.custom or called.wrapped
        self._pieces: list[str] = []

    def _item(self, status: str, text: str) -> Item:
        kind, field = ("custom_tool_call", "input") if self._custom else ("function_call", "arguments")
        called = self._called
        item: Item = {
            "id": self._slot.id,
            "type": kind,
            "status": status,
            "call_id": called.call_id,
            "name": called.name,
            field: text,
        }
        if called.namespace is not None:
            item["namespace"] = called.namespace
        if called.late:
            item["async"] = True
        return item

    def open(self) -> list[ev.Event]:
        return [self._slot.added(self._item("in_progress", ""))]

    def piece(self, text: str) -> list[ev.Event]:
        self._pieces.append(text)
        return [] if self._called.wrapped else [self._delta(text)]

    def _delta(self, text: str) -> ev.Event:
        if self._custom:
            return ev.CustomInputDelta(delta=text, **self._slot.here())
        return ev.ArgumentsDelta(delta=text, **self._slot.here())

    def is_whole(self) -> bool:
        """Whether the arguments are a finished JSON value, to which nothing can be added."""
        if self._custom and not self._called.wrapped:
            return False
        return _is_json(self._pieces)

    def _text(self) -> str:
        text = "".join(self._pieces)
        return _unwrap(text) if self._called.wrapped else text

    def close(self, status: ItemStatus) -> list[ev.Event]:
        text = self._text()
        events: list[ev.Event] = []
        if self._called.wrapped and text:
            events.append(self._delta(text))
        if self._custom:
            events.append(ev.CustomInputDone(input=text, **self._slot.here()))
        else:
            events.append(ev.ArgumentsDone(name=self._called.name, arguments=text, **self._slot.here()))
        events.append(self._slot.done(self._item(status, text)))
        return events

    def partial(self) -> Item:
        return self._item("incomplete", self._text())


class HeldCall:
    """A call of a tool that the engine knows as a function and that clients know by an item of its own.

    It is announced when its arguments are whole, as only then it is known what it does. Arguments that make no sense
    as such a call, or that were cut off, are told as they are: as those of a function call.
    """

    def __init__(
        self,
        take_slot: Callable[[str], Slot],
        *,
        shape: Shape,
        call_id: str,
        name: str,
    ) -> None:
        self.index = -1
        self._take_slot = take_slot
        self._shape = shape
        self._call_id = call_id
        self._name = name
        self._pieces: list[str] = []

    def open(self) -> list[ev.Event]:
        return []

    def piece(self, text: str) -> list[ev.Event]:
        self._pieces.append(text)
        return []

    def is_whole(self) -> bool:
        """Whether the arguments are a finished JSON value, to which nothing can be added."""
        return _is_json(self._pieces)

    def close(self, status: ItemStatus) -> list[ev.Event]:
        arguments = "".join(self._pieces)
        assert self._shape.read is not None
        fields = self._shape.read(arguments) if status == "completed" else None
        if fields is None:
            return self._as_function(arguments, status)
        slot = self._take_slot(self._shape.call)
        self.index = slot.index
        item = {"id": slot.id, "type": self._shape.call, "call_id": self._call_id, **fields}
        return [
            slot.added(_announced(item)),
            *_commands(slot, item),
            slot.done({**item, "status": status}),
        ]

    def _as_function(self, arguments: str, status: ItemStatus) -> list[ev.Event]:
        slot = self._take_slot("function_call")
        self.index = slot.index
        call = OpenCall(slot, Called(call_id=self._call_id, name=self._name))
        return [*call.open(), *(call.piece(arguments) if arguments else ()), *call.close(status)]

    def partial(self) -> Item:
        raise AssertionError("a call that was not announced is told to nobody")


def _announced(item: Item) -> Item:
    if item["type"] == "shell_call":
        return {**item, "status": "in_progress", "action": {**item["action"], "commands": []}}
    return {**item, "status": "in_progress"}


def _commands(slot: Slot, item: Item) -> Iterator[ev.Event]:
    """The events of a shell call, which tell each command (spec A.1)."""
    if item["type"] != "shell_call":
        return
    take = slot.counter.take
    for number, command in enumerate(item["action"]["commands"]):
        here = {"output_index": slot.index, "command_index": number}
        yield ev.ShellCommandAdded(command="", sequence_number=take(), **here)
        yield ev.ShellCommandDelta(delta=command, sequence_number=take(), **here)
        yield ev.ShellCommandDone(command=command, sequence_number=take(), **here)


def _is_json(pieces: list[str]) -> bool:
    try:
        msgspec.json.decode("".join(pieces))
    except msgspec.DecodeError:
        return False
    return True


def _unwrap(arguments: str) -> str:
    """The free text inside the arguments of a custom tool that was offered as a function of one `input`."""
    try:
        decoded = msgspec.json.decode(arguments)
    except msgspec.DecodeError:
        return arguments
    if isinstance(decoded, dict) and isinstance(decoded.get("input"), str):
        return str(decoded["input"])
    return arguments
