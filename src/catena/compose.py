"""Output items under construction: each takes pieces and tells the events they make (spec §4.2).

One class for each shape of item. All share three verbs: `open` (the item is announced), `close` (it is final)
and `partial` (what it is so far, for a run that ends early). Which item is open, and when it ends, is the fold's
business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Literal, Protocol, TypeAlias

import msgspec

from catena.chunks import ItemEvent, TextDelta
from catena.tool_shapes import Shape
from catena.wire import events as ev
from catena.wire.response import Item

__all__ = [
    "Counter",
    "HeldCall",
    "ItemStatus",
    "OpenCall",
    "OpenItem",
    "OpenMessage",
    "OpenReasoning",
    "PassedOnItem",
    "message_item",
]

ItemStatus: TypeAlias = Literal["completed", "incomplete"]

_NO_LOGPROBS: Final[list[dict[str, Any]]] = []
"""The same for every delta that has none, as there are thousands of them."""


class Counter:
    """The sequence numbers of one response."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def take(self) -> int:
        number = self.value
        self.value = number + 1
        return number


class OpenItem(Protocol):
    """What the fold needs of any item under construction."""

    index: int

    def open(self) -> list[ev.Event]: ...
    def close(self, status: ItemStatus) -> list[ev.Event]: ...
    def partial(self) -> Item: ...


def message_item(item_id: str, status: str, content: list[dict[str, Any]]) -> Item:
    """What an assistant says."""
    return {"id": item_id, "type": "message", "status": status, "role": "assistant", "content": content}


class OpenMessage:
    """An assistant message: text parts and refusal parts, one open at a time."""

    def __init__(self, item_id: str, index: int, counter: Counter, phase: str | None = None) -> None:
        self.index = index
        self._id = item_id
        self._counter = counter
        self._phase = phase
        self._parts: list[dict[str, Any]] = []
        self._kind = ""
        self._pieces: list[str] = []
        self._logprobs: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def _item(self, status: str, content: list[dict[str, Any]]) -> Item:
        item = message_item(self._id, status, content)
        if self._phase is not None:
            item["phase"] = self._phase
        return item

    def _place(self) -> dict[str, Any]:
        return {
            "item_id": self._id,
            "output_index": self.index,
            "content_index": len(self._parts),
            "sequence_number": self._counter.take(),
        }

    def open(self) -> list[ev.Event]:
        return [
            ev.OutputItemAdded(
                item=self._item("in_progress", []),
                output_index=self.index,
                sequence_number=self._counter.take(),
            )
        ]

    def text(self, chunk: TextDelta) -> list[ev.Event]:
        events = [] if self._kind == "output_text" else self._open_part("output_text")
        self._pieces.append(chunk.text)
        logprobs = chunk.logprobs
        if logprobs:
            self._logprobs += logprobs
        events.append(
            ev.TextDeltaEvent(
                item_id=self._id,
                output_index=self.index,
                content_index=len(self._parts),
                delta=chunk.text,
                logprobs=logprobs or _NO_LOGPROBS,
                sequence_number=self._counter.take(),
            )
        )
        return events

    def refusal(self, text: str) -> list[ev.Event]:
        events = [] if self._kind == "refusal" else self._open_part("refusal")
        self._pieces.append(text)
        events.append(ev.RefusalDeltaEvent(delta=text, **self._place()))
        return events

    def annotate(self, annotation: dict[str, Any]) -> list[ev.Event]:
        events = [] if self._kind == "output_text" else self._open_part("output_text")
        place = self._place()
        events.append(
            ev.AnnotationAdded(annotation_index=len(self._annotations), annotation=annotation, **place)
        )
        self._annotations.append(annotation)
        return events

    def _open_part(self, kind: str) -> list[ev.Event]:
        events = self.end_part()
        self._kind = kind
        events.append(ev.ContentPartAdded(part=self._part(), **self._place()))
        return events

    def _part(self) -> dict[str, Any]:
        text = "".join(self._pieces)
        if self._kind == "refusal":
            return {"type": "refusal", "refusal": text}
        return {
            "type": "output_text",
            "text": text,
            "annotations": list(self._annotations),
            "logprobs": list(self._logprobs),
        }

    def end_part(self) -> list[ev.Event]:
        """End the content part that is open, if any; a next piece begins a new one."""
        if not self._kind:
            return []
        part = self._part()
        done: ev.Event
        if self._kind == "refusal":
            done = ev.RefusalDone(refusal=part["refusal"], **self._place())
        else:
            done = ev.TextDone(text=part["text"], logprobs=part["logprobs"], **self._place())
        part_done = ev.ContentPartDone(part=part, **self._place())
        self._parts.append(part)
        self._kind = ""
        self._pieces, self._logprobs, self._annotations = [], [], []
        return [done, part_done]

    def close(self, status: ItemStatus) -> list[ev.Event]:
        events = self.end_part()
        item = self._item(status, self._parts)
        events.append(
            ev.OutputItemDone(item=item, output_index=self.index, sequence_number=self._counter.take())
        )
        return events

    def partial(self) -> Item:
        content = [*self._parts, self._part()] if self._kind else list(self._parts)
        return self._item("incomplete", content)


class OpenReasoning:
    """A reasoning item: raw reasoning text, or a summary in parts, or neither."""

    def __init__(self, item_id: str, index: int, counter: Counter) -> None:
        self.index = index
        self.encrypted_content: str | None = None
        self._id = item_id
        self._counter = counter
        self._raw: list[str] = []
        self._summary: list[list[str]] = []
        self._summary_open = False
        self._summary_part = 0

    def _item(self, status: str) -> Item:
        # Open Responses forbids null for `content` and `encrypted_content`: they are there or absent.
        item: Item = {
            "id": self._id,
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "".join(part)} for part in self._summary],
        }
        if self._raw:
            item["content"] = [{"type": "reasoning_text", "text": "".join(self._raw)}]
        if self.encrypted_content is not None:
            item["encrypted_content"] = self.encrypted_content
        if status == "incomplete":
            item["status"] = status
        return item

    def _place(self, **which: int) -> dict[str, Any]:
        return {
            "item_id": self._id,
            "output_index": self.index,
            "sequence_number": self._counter.take(),
            **which,
        }

    def open(self) -> list[ev.Event]:
        return [
            ev.OutputItemAdded(
                item=self._item("in_progress"),
                output_index=self.index,
                sequence_number=self._counter.take(),
            )
        ]

    def raw(self, text: str) -> list[ev.Event]:
        events: list[ev.Event] = []
        if not self._raw:
            part = {"type": "reasoning_text", "text": ""}
            events.append(ev.ContentPartAdded(part=part, **self._place(content_index=0)))
        self._raw.append(text)
        events.append(ev.ReasoningDeltaEvent(delta=text, **self._place(content_index=0)))
        return events

    def summary(self, text: str, part: int) -> list[ev.Event]:
        events: list[ev.Event] = []
        if not self._summary_open or part > self._summary_part:
            events += self._end_summary_part()
            self._summary.append([])
            self._summary_open = True
            self._summary_part = part  # an engine may leave numbers out
            empty = {"type": "summary_text", "text": ""}
            events.append(ev.SummaryPartAdded(part=empty, **self._summary_place()))
        self._summary[-1].append(text)
        events.append(ev.SummaryTextDelta(delta=text, **self._summary_place()))
        return events

    def _summary_place(self) -> dict[str, Any]:
        return self._place(summary_index=len(self._summary) - 1)

    def _end_summary_part(self) -> list[ev.Event]:
        if not self._summary_open:
            return []
        self._summary_open = False
        text = "".join(self._summary[-1])
        return [
            ev.SummaryTextDone(text=text, **self._summary_place()),
            ev.SummaryPartDone(part={"type": "summary_text", "text": text}, **self._summary_place()),
        ]

    def close(self, status: ItemStatus) -> list[ev.Event]:
        events = self._end_summary_part()
        if self._raw:
            text = "".join(self._raw)
            part = {"type": "reasoning_text", "text": text}
            events.append(ev.ReasoningDone(text=text, **self._place(content_index=0)))
            events.append(ev.ContentPartDone(part=part, **self._place(content_index=0)))
        item = self._item(status)
        events.append(
            ev.OutputItemDone(item=item, output_index=self.index, sequence_number=self._counter.take())
        )
        return events

    def partial(self) -> Item:
        return self._item("incomplete")


class OpenCall:
    """A call of a function, or of a custom tool, whose input is free text.

    `wrapped` is for a custom tool that had to be offered to the engine as a function: its input comes inside
    the JSON arguments and is told in one piece at the end. A `late` call may be answered at any later time.
    """

    def __init__(
        self,
        item_id: str,
        index: int,
        counter: Counter,
        *,
        call_id: str,
        name: str,
        namespace: str | None = None,
        custom: bool = False,
        wrapped: bool = False,
        late: bool = False,
    ) -> None:
        self.index = index
        self._id = item_id
        self._counter = counter
        self._call_id = call_id
        self._name = name
        self._namespace = namespace
        self._custom = custom or wrapped
        self._wrapped = wrapped
        self._late = late
        self._pieces: list[str] = []

    def _item(self, status: str, text: str) -> Item:
        kind, field = ("custom_tool_call", "input") if self._custom else ("function_call", "arguments")
        item: Item = {
            "id": self._id,
            "type": kind,
            "status": status,
            "call_id": self._call_id,
            "name": self._name,
            field: text,
        }
        if self._namespace is not None:
            item["namespace"] = self._namespace
        if self._late:
            item["async"] = True
        return item

    def _place(self) -> dict[str, Any]:
        return {
            "item_id": self._id,
            "output_index": self.index,
            "sequence_number": self._counter.take(),
        }

    def open(self) -> list[ev.Event]:
        return [
            ev.OutputItemAdded(
                item=self._item("in_progress", ""),
                output_index=self.index,
                sequence_number=self._counter.take(),
            )
        ]

    def piece(self, text: str) -> list[ev.Event]:
        self._pieces.append(text)
        return [] if self._wrapped else [self._delta(text)]

    def _delta(self, text: str) -> ev.Event:
        if self._custom:
            return ev.CustomInputDelta(delta=text, **self._place())
        return ev.ArgumentsDelta(delta=text, **self._place())

    def is_whole(self) -> bool:
        """Whether the arguments are a finished JSON value, to which nothing can be added."""
        if self._custom and not self._wrapped:
            return False
        return _is_json(self._pieces)

    def _text(self) -> str:
        text = "".join(self._pieces)
        return _unwrap(text) if self._wrapped else text

    def close(self, status: ItemStatus) -> list[ev.Event]:
        text = self._text()
        events: list[ev.Event] = []
        if self._wrapped and text:
            events.append(self._delta(text))
        if self._custom:
            events.append(ev.CustomInputDone(input=text, **self._place()))
        else:
            events.append(ev.ArgumentsDone(name=self._name, arguments=text, **self._place()))
        item = self._item(status, text)
        events.append(
            ev.OutputItemDone(item=item, output_index=self.index, sequence_number=self._counter.take())
        )
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
        place: Callable[[str], tuple[str, int]],
        counter: Counter,
        *,
        shape: Shape,
        call_id: str,
        name: str,
    ) -> None:
        self.index = -1
        self._take_place = place
        self._counter = counter
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
        item_id, self.index = self._take_place(self._shape.call)
        item = {"id": item_id, "type": self._shape.call, "call_id": self._call_id, **fields}
        return [
            self._added({**item, "status": "in_progress"}),
            *self._commands(item),
            ev.OutputItemDone(
                item={**item, "status": status},
                output_index=self.index,
                sequence_number=self._counter.take(),
            ),
        ]

    def _as_function(self, arguments: str, status: ItemStatus) -> list[ev.Event]:
        item_id, self.index = self._take_place("function_call")
        call = OpenCall(item_id, self.index, self._counter, call_id=self._call_id, name=self._name)
        return [*call.open(), *(call.piece(arguments) if arguments else ()), *call.close(status)]

    def _added(self, item: Item) -> ev.Event:
        if item["type"] == "shell_call":
            item["action"] = {**item["action"], "commands": []}
        return ev.OutputItemAdded(item=item, output_index=self.index, sequence_number=self._counter.take())

    def _commands(self, item: Item) -> Iterator[ev.Event]:
        """The events of a shell call, which tell each command (spec A.1)."""
        if item["type"] != "shell_call":
            return
        for number, command in enumerate(item["action"]["commands"]):
            place = {"output_index": self.index, "command_index": number}
            yield ev.ShellCommandAdded(command="", sequence_number=self._counter.take(), **place)
            yield ev.ShellCommandDelta(delta=command, sequence_number=self._counter.take(), **place)
            yield ev.ShellCommandDone(command=command, sequence_number=self._counter.take(), **place)

    def partial(self) -> Item:
        raise AssertionError("a call that was not announced is told to nobody")


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


# The only events of an item that name it by its place alone (spec §4.2.22).
_WITHOUT_ITEM_ID: Final = "response.shell_call_command."

# What an item is that was cut off, where the API knows no `incomplete` for its type.
_CUT_OFF: Final = {
    "apply_patch_call": "in_progress",
    "image_generation_call": "failed",
    "web_search_call": "failed",
}


class PassedOnItem:
    """An item that the engine composes itself (a hosted tool's): its events pass, renumbered."""

    def __init__(self, item_id: str, index: int, counter: Counter, item: Item) -> None:
        self.index = index
        self._id = item_id
        self._counter = counter
        self._latest: Item = {**item, "id": item_id}

    def open(self) -> list[ev.Event]:
        return [
            ev.OutputItemAdded(
                item=self._latest, output_index=self.index, sequence_number=self._counter.take()
            )
        ]

    def event(self, chunk: ItemEvent) -> list[ev.Event]:
        data = {
            "type": chunk.type,
            **chunk.data,
            "item_id": self._id,
            "output_index": self.index,
            "sequence_number": self._counter.take(),
        }
        if chunk.type.startswith(_WITHOUT_ITEM_ID):
            del data["item_id"]
        return [ev.PassedOn(chunk.type, data)]

    def final(self, item: Item) -> None:
        """The item in its final form has arrived; `close` tells it."""
        self._latest = {**item, "id": self._id}

    def close(self, status: ItemStatus) -> list[ev.Event]:
        if status == "incomplete":
            self._latest = self.partial()
        elif self._latest.get("status") == "in_progress":
            self._latest = {**self._latest, "status": status}
        return [
            ev.OutputItemDone(
                item=self._latest, output_index=self.index, sequence_number=self._counter.take()
            )
        ]

    def partial(self) -> Item:
        if self._latest.get("status", "completed") == "completed":
            return self._latest
        return {**self._latest, "status": _CUT_OFF.get(str(self._latest.get("type")), "incomplete")}
