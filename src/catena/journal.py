"""How a finished response was told, in a few bytes: enough to tell it again, event for event.

Every event of a finished response is a function of the response itself and of where its text was cut into deltas. So
only that is kept: a run of small integers, most of them the length of one delta. A stream that is resumed after its
end gets the same events, with the same numbers and payloads, from what the store has anyway.

    record   events → journal
    replay   response, journal → events

A number that is not negative is a delta of that many characters of the text that is being told; a negative one is an
operation, followed by its arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from catena.wire import events as ev
from catena.wire.response import Item, Response

__all__ = ["record", "replay"]

_CREATED: Final = -1
_QUEUED: Final = -2
_IN_PROGRESS: Final = -3
_ITEM_ADDED: Final = -4  # output index
_ITEM_DONE: Final = -5  # output index
_PART_ADDED: Final = -6  # output index, content index
_PART_DONE: Final = -7  # output index, content index
_TELL: Final = -8  # kind of text, output index, part: the deltas that follow are of this text
_TOLD: Final = -9  # kind of text, output index, part: the text is whole
_LOGPROBS: Final = -10  # how many of them the next delta has
_ANNOTATION: Final = -11  # output index, content index, annotation index
_SUMMARY_ADDED: Final = -12  # output index, summary index
_SUMMARY_DONE: Final = -13  # output index, summary index
_VERBATIM: Final = -14  # the event itself, without its number: what cannot be derived
_TERMINAL: Final = -15
_COMMAND_ADDED: Final = -16  # output index, command index

# Kinds of text: the delta event, the event that ends it, and the names of place and text in them.
_KINDS: Final = (
    (ev.TextDeltaEvent, ev.TextDone),
    (ev.RefusalDeltaEvent, ev.RefusalDone),
    (ev.ReasoningDeltaEvent, ev.ReasoningDone),
    (ev.SummaryTextDelta, ev.SummaryTextDone),
    (ev.ArgumentsDelta, ev.ArgumentsDone),
    (ev.CustomInputDelta, ev.CustomInputDone),
    (ev.ShellCommandDelta, ev.ShellCommandDone),
)
_TEXT, _REFUSAL, _REASONING, _SUMMARY, _ARGUMENTS, _INPUT, _COMMAND = range(7)
_DELTAS: Final = {delta: kind for kind, (delta, _) in enumerate(_KINDS)}
_DONES: Final = {done: kind for kind, (_, done) in enumerate(_KINDS)}

_OPENING: Final[dict[int, Callable[..., ev.Event]]] = {
    _CREATED: ev.Created,
    _QUEUED: ev.Queued,
    _IN_PROGRESS: ev.InProgress,
}
_ENDING: Final[dict[str, Callable[..., ev.Event]]] = {"completed": ev.Completed, "incomplete": ev.Incomplete}

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Any]).decode


# Recording


def record(events: Iterable[ev.Event]) -> bytes:
    """The journal of a response's events, from the first to the last, which has the response as it ended."""
    events = list(events)
    output = _output_of(events)
    ops: list[Any] = []
    target: tuple[int, int, int] | None = None
    for event in events:
        kind = _DELTAS.get(type(event))
        if kind is None:
            ops += _operation(event, output)
            continue
        part = event.content_index if type(event) is ev.TextDeltaEvent else _part_of(event)
        place = (kind, event.output_index, part)  # type: ignore[union-attr]  # the deltas all have one
        if place != target:
            ops += (_TELL, *place)
            target = place
        if kind == _TEXT and event.logprobs:  # type: ignore[union-attr]  # a text delta
            ops += (_LOGPROBS, len(event.logprobs))  # type: ignore[union-attr]  # a text delta
        ops.append(len(event.delta))  # type: ignore[union-attr]  # the deltas all have one
    return _encode(ops)


def _output_of(events: Sequence[ev.Event]) -> list[Item]:
    response: Response | None = getattr(events[-1], "response", None) if events else None
    return [] if response is None else _items(response)


def _items(response: Response) -> list[Item]:
    output = response.output
    items: list[Item] = msgspec.json.decode(output) if isinstance(output, msgspec.Raw) else output
    return items


def _part_of(event: Any) -> int:
    for name in ("content_index", "summary_index", "command_index"):
        part: int | None = getattr(event, name, None)
        if part is not None:
            return part
    return 0


def _operation(event: ev.Event, output: Sequence[Item]) -> list[Any]:
    derived = _DERIVED.get(type(event))
    operation = None if derived is None else derived(event, output)
    return operation or [_VERBATIM, msgspec.json.decode(ev.encode_event(event))]


def _derivable(event: ev.OutputItemAdded, output: Sequence[Item]) -> bool:
    """Whether the item as it was announced follows from the item as it ended."""
    if event.item["type"] not in _EMPTY or event.output_index >= len(output):
        return False
    return _as_announced(output[event.output_index]) == event.item


def _item_added(event: ev.OutputItemAdded, output: Sequence[Item]) -> list[Any] | None:
    return [_ITEM_ADDED, event.output_index] if _derivable(event, output) else None


def _command_added(event: ev.ShellCommandAdded, _: Sequence[Item]) -> list[Any] | None:
    return [_COMMAND_ADDED, event.output_index, event.command_index] if event.command == "" else None


_DERIVED: Final[dict[type, Callable[[Any, Sequence[Item]], list[Any] | None]]] = {
    ev.Created: lambda event, _: [_CREATED, event.response.status == "queued"],
    ev.Queued: lambda *_: [_QUEUED],
    ev.InProgress: lambda *_: [_IN_PROGRESS],
    **dict.fromkeys((ev.Completed, ev.Incomplete, ev.Failed), lambda *_: [_TERMINAL]),
    ev.OutputItemAdded: _item_added,
    ev.OutputItemDone: lambda event, _: [_ITEM_DONE, event.output_index],
    ev.ContentPartAdded: lambda event, _: [_PART_ADDED, event.output_index, event.content_index],
    ev.ContentPartDone: lambda event, _: [_PART_DONE, event.output_index, event.content_index],
    ev.AnnotationAdded: lambda event, _: [
        *(_ANNOTATION, event.output_index, event.content_index, event.annotation_index)
    ],
    ev.SummaryPartAdded: lambda event, _: [_SUMMARY_ADDED, event.output_index, event.summary_index],
    ev.SummaryPartDone: lambda event, _: [_SUMMARY_DONE, event.output_index, event.summary_index],
    ev.ShellCommandAdded: _command_added,
    **dict.fromkeys(
        _DONES,
        lambda event, _: [_TOLD, _DONES[event.__class__], event.output_index, _part_of(event)],
    ),
}
"""How to note what follows from the response; what does not, is not in here or gives None."""


# Replaying


def replay(response: Response, journal: bytes) -> list[ev.Event]:
    """The events of a finished response. Raises ValueError for a journal that is not this response's."""
    return list(_Replay(response, _decode(journal)).events())


class _Replay:
    """Goes through a journal with the finished response in hand."""

    def __init__(self, response: Response, ops: Sequence[Any]) -> None:
        self._response = response
        self._output = _items(response)
        self._ops = iter(ops)
        self._number = 0
        self._place = (0, 0, 0)
        self._told: dict[tuple[int, int, int], int] = {}
        self._logprobs_told: dict[tuple[int, int, int], int] = {}
        self._logprobs = 0
        self._status = "in_progress"

    def events(self) -> Iterator[ev.Event]:
        for op in self._ops:
            if op >= 0:
                yield self._delta(op)
            elif op == _TELL:
                self._place = (self._take(), self._take(), self._take())
            elif op == _LOGPROBS:
                self._logprobs = self._take()
            else:
                yield self._event(op)
            # A target or a count of logprobs is no event and takes no number.
            self._number += op >= 0 or op not in (_TELL, _LOGPROBS)

    def _take(self) -> Any:
        return next(self._ops)

    def _delta(self, length: int) -> ev.Event:
        kind, index, part = self._place
        start = self._told.get(self._place, 0)
        self._told[self._place] = start + length
        delta = self._text(kind, index, part)[start : start + length]
        if len(delta) != length:
            raise ValueError("the journal tells more text than the response has")
        more: dict[str, Any] = {"logprobs": self._next_logprobs()} if kind == _TEXT else {}
        return self._of_text(_KINDS[kind][0], kind, index, part, delta=delta, **more)

    def _next_logprobs(self) -> list[dict[str, Any]]:
        count, self._logprobs = self._logprobs, 0
        if not count:
            return []
        start = self._logprobs_told.get(self._place, 0)
        self._logprobs_told[self._place] = start + count
        _, index, part = self._place
        logprobs: list[dict[str, Any]] = self._output[index]["content"][part]["logprobs"][
            start : start + count
        ]
        return logprobs

    def _event(self, op: int) -> ev.Event:
        if op in (_CREATED, _QUEUED, _IN_PROGRESS, _TERMINAL):
            return self._of_response(op)
        if op == _VERBATIM:
            event = {**self._take(), "sequence_number": self._number}
            return ev.PassedOn(event["type"], event)
        if op == _TOLD:
            return self._text_done(self._take(), self._take(), self._take())
        return self._of_item(op, self._take())

    def _of_response(self, op: int) -> ev.Event:
        if op == _TERMINAL:
            event = _ENDING.get(self._response.status, ev.Failed)
            return event(response=self._response, sequence_number=self._number)
        if op == _CREATED:
            self._status = "queued" if self._take() else "in_progress"
        elif op == _IN_PROGRESS:
            self._status = "in_progress"
        before = replace(
            self._response,
            status=self._status,
            output=[],
            completed_at=None,
            error=None,
            incomplete_details=None,
            usage=None,
        )
        return _OPENING[op](response=before, sequence_number=self._number)

    def _of_item(self, op: int, index: int) -> ev.Event:
        item = self._output[index]
        if op == _ITEM_ADDED:
            return ev.OutputItemAdded(
                item=_as_announced(item), output_index=index, sequence_number=self._number
            )
        if op == _ITEM_DONE:
            return ev.OutputItemDone(item=item, output_index=index, sequence_number=self._number)
        part = self._take()
        if op == _COMMAND_ADDED:
            return ev.ShellCommandAdded(
                command="", command_index=part, output_index=index, sequence_number=self._number
            )
        place: dict[str, Any] = {
            "item_id": item["id"],
            "output_index": index,
            "sequence_number": self._number,
        }
        if op == _ANNOTATION:
            number = self._take()
            annotation = item["content"][part]["annotations"][number]
            return ev.AnnotationAdded(
                annotation=annotation, annotation_index=number, content_index=part, **place
            )
        if op in (_SUMMARY_ADDED, _SUMMARY_DONE):
            summary = item["summary"][part]
            if op == _SUMMARY_ADDED:
                return ev.SummaryPartAdded(part={**summary, "text": ""}, summary_index=part, **place)
            return ev.SummaryPartDone(part=summary, summary_index=part, **place)
        content = item["content"][part]
        if op == _PART_ADDED:
            return ev.ContentPartAdded(part=_emptied(content), content_index=part, **place)
        return ev.ContentPartDone(part=content, content_index=part, **place)

    def _text(self, kind: int, index: int, part: int) -> str:
        item = self._output[index]
        text: str
        if kind == _ARGUMENTS:
            text = item["arguments"]
        elif kind == _INPUT:
            text = item["input"]
        elif kind == _SUMMARY:
            text = item["summary"][part]["text"]
        elif kind == _COMMAND:
            text = item["action"]["commands"][part]
        else:
            text = item["content"][part]["refusal" if kind == _REFUSAL else "text"]
        return text

    def _text_done(self, kind: int, index: int, part: int) -> ev.Event:
        text = self._text(kind, index, part)
        match kind:
            case 0:
                more: dict[str, Any] = {
                    "text": text,
                    "logprobs": self._output[index]["content"][part]["logprobs"],
                }
            case 1:
                more = {"refusal": text}
            case 4:
                more = {"arguments": text, "name": self._output[index]["name"]}
            case 5:
                more = {"input": text}
            case 6:
                more = {"command": text}
            case _:
                more = {"text": text}
        return self._of_text(_KINDS[kind][1], kind, index, part, **more)

    def _of_text(self, event: Any, kind: int, index: int, part: int, **more: Any) -> ev.Event:
        if kind == _COMMAND:
            more["command_index"] = part
        else:
            more["item_id"] = self._output[index]["id"]
        if kind == _SUMMARY:
            more["summary_index"] = part
        elif kind in (_TEXT, _REFUSAL, _REASONING):
            more["content_index"] = part
        made: ev.Event = event(output_index=index, sequence_number=self._number, **more)
        return made


# What an item or a part was like when it was announced, by what it became

_EMPTY: Final[dict[str, dict[str, Any]]] = {
    "message": {"status": "in_progress", "content": []},
    "function_call": {"status": "in_progress", "arguments": ""},
    "custom_tool_call": {"status": "in_progress", "input": ""},
    "reasoning": {"summary": []},
    "shell_call": {"status": "in_progress"},
    "local_shell_call": {"status": "in_progress"},
    "apply_patch_call": {"status": "in_progress"},
    "computer_call": {"status": "in_progress"},
    "tool_search_call": {"status": "in_progress"},
}


def _as_announced(item: Item) -> Item:
    announced = {**item, **_EMPTY.get(item["type"], {})}
    if item["type"] == "reasoning":
        for later in ("content", "encrypted_content", "status"):
            announced.pop(later, None)
    elif item["type"] == "shell_call":
        announced["action"] = {**item["action"], "commands": []}
    return announced


def _emptied(part: dict[str, Any]) -> dict[str, Any]:
    empty: dict[str, dict[str, Any]] = {
        "output_text": {"text": "", "annotations": [], "logprobs": []},
        "refusal": {"refusal": ""},
        "reasoning_text": {"text": ""},
    }
    return {**part, **empty[part["type"]]}
