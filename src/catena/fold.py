"""The fold: an engine's chunks in, a response's events and the response itself out.

A pure state machine: it awaits nothing and knows no clock, no store and no engine. Time and ids come in from
outside, so that the same chunks make the same events again, byte for byte.

    start ─► feed* ─► finish | fail | cancel ─► terminal

Two rules hold everything together. All that changes the state of a response happens in this file. And the
terminal event is a step of its own, so that the caller can commit the response before anybody hears its end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from msgspec.structs import replace

from catena.chunks import (
    Annotation,
    Boundary,
    Chunk,
    Finish,
    ItemDone,
    ItemEvent,
    ItemStarted,
    Offered,
    PartEnd,
    ReasoningDelta,
    RefusalDelta,
    SummaryDelta,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from catena.compose import (
    Called,
    Counter,
    HeldCall,
    ItemStatus,
    OpenCall,
    OpenItem,
    OpenMessage,
    OpenReasoning,
    PassedOnItem,
    Slot,
    message_item,
)
from catena.errors import CatenaError
from catena.ids import TurnIds, item_prefix
from catena.tool_shapes import SHAPES
from catena.whole import whole_text
from catena.wire import events as ev
from catena.wire.response import (
    IncompleteDetails,
    InputTokensDetails,
    Item,
    OutputTokensDetails,
    Response,
    ResponseError,
    ResponseStatus,
    Usage,
)

__all__ = ["TERMINAL", "TRANSITIONS", "Fold"]

TRANSITIONS: Final[dict[ResponseStatus, frozenset[ResponseStatus]]] = {
    "queued": frozenset({"in_progress", "failed", "cancelled"}),
    "in_progress": frozenset({"completed", "incomplete", "failed", "cancelled", "queued"}),
    "completed": frozenset(),
    "incomplete": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}
"""The life of a response. `in_progress → queued` is a background run given back after a crash or a stop."""

TERMINAL: Final = frozenset(status for status, onward in TRANSITIONS.items() if not onward)

_TERMINAL_EVENTS: Final[dict[str, type[ev.Completed | ev.Incomplete]]] = {
    "completed": ev.Completed,
    "incomplete": ev.Incomplete,
}

_OFFERED: Final = Offered()

_UNFIT: Final = re.compile(r"[^a-zA-Z0-9_-]")
"""What no name in a request may have: a client can send back the call of a function that a model made up, too."""
_LONGEST_NAME: Final = 128

_INCOMPLETE: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}


class Fold:
    """One response being made.

    `response` is what clients would read at this moment.
    """

    _message: OpenMessage | None = None
    _reasoning: OpenReasoning | None = None
    _passed: PassedOnItem | None = None
    _called = False
    _phase: str | None = None
    _reason: str | None = None
    _error: CatenaError | None = None

    def __init__(self, response: Response, ids: TurnIds) -> None:
        self._response = response
        self._ids = ids
        self._offered = _OFFERED
        self._counter = Counter()
        self._output: list[Item | None] = []
        self._calls: dict[int, OpenCall | HeldCall] = {}
        self._closed_calls: set[int] = set()

    # What the caller may ask at any moment

    @property
    def response(self) -> Response:
        """The response as it stands, open items included as far as they came."""
        if self._response.status in TERMINAL:
            return self._response
        return replace(self._response, output=self._snapshot())

    @property
    def finished(self) -> bool:
        """Whether the engine said why it stopped: without that, its stream was cut."""
        return self._reason is not None

    @property
    def answer(self) -> str | None:
        """The text of the answer that the engine has finished; None where it was cut off, refuses or makes calls."""
        if self._reason != "stop" or self._called:
            return None
        parts = [part for item in self._snapshot() if item["type"] == "message" for part in item["content"]]
        if any(part["type"] == "refusal" for part in parts):
            return None
        return "".join(part["text"] for part in parts)

    @property
    def calling(self) -> bool:
        """Whether the engine has begun to call a tool."""
        return self._called or bool(self._calls)

    # The verbs

    def start(self) -> list[ev.Event]:
        """The opening events: created, queued where the response waits for a worker, in_progress."""
        events: list[ev.Event] = [
            ev.Created(response=self._response, sequence_number=self._counter.take()),
        ]
        if self._response.status == "queued":
            events.append(ev.Queued(response=self._response, sequence_number=self._counter.take()))
        else:
            events.append(ev.InProgress(response=self._response, sequence_number=self._counter.take()))
        return events

    def begin(self) -> list[ev.Event]:
        """A queued response is taken up."""
        self._move("in_progress")
        return [ev.InProgress(response=self._response, sequence_number=self._counter.take())]

    def feed(self, chunks: Iterable[Chunk]) -> list[ev.Event]:
        """The events that these chunks make. Raises ValueError for a chunk that cannot come now."""
        events: list[ev.Event] = []
        for chunk in chunks:
            if type(chunk) is TextDelta and self._message is not None and chunk.text:
                events += self._message.text(chunk)
            else:
                events += self._FEED[type(chunk)](self, chunk)
        return events

    def finish(self, now: int) -> list[ev.Event]:
        """The engine has stopped by itself: close what is open and settle how the response ended."""
        incomplete = _INCOMPLETE.get(self._reason or "")
        events = self._close_all("incomplete" if incomplete else "completed")
        if incomplete:
            self._settle("incomplete", incomplete_details=IncompleteDetails(incomplete))
            return events
        if not self._output:
            # An answer of no words is still an answer; a client that reads the first message must find one.
            events += self._open_message().open()
            events += self._close_all("completed")
        self._settle("completed", completed_at=now)
        return events

    def whole(self, chunks: Sequence[Chunk], now: int) -> bool:
        """An answer of which nobody heard anything, and nobody will hear but the response: all of it at once.

        It makes no events. Only for one of nothing but text; for any other, False: it is to be fed.
        """
        answer = whole_text(chunks)
        if answer is None:
            return False
        self._reason = answer.reason
        incomplete = _INCOMPLETE.get(answer.reason)
        status: ItemStatus = "incomplete" if incomplete else "completed"
        self._check_move(status)
        self._response = replace(
            self._response,
            status=status,
            output=[message_item(self._ids.item("msg_"), status, [answer.content])],
            usage=None if answer.usage is None else _usage_of(answer.usage),
            completed_at=None if incomplete else now,
            incomplete_details=IncompleteDetails(incomplete) if incomplete else None,
        )
        return True

    def prepare(self, now: int) -> None:
        """Nothing is to be produced: the response is complete as it is."""
        self._settle("completed", completed_at=now)

    def stop(self, reason: str) -> list[ev.Event]:
        """We stop the engine at a safe place; the response is incomplete for this reason."""
        events = self._close_all("incomplete")
        self._settle("incomplete", incomplete_details=IncompleteDetails(reason))
        return events

    def fail(self, error: CatenaError) -> list[ev.Event]:
        """The run failed. What was produced is kept; open items stay incomplete."""
        self._error = error
        self._settle("failed", error=ResponseError(_response_error_code(error), error.message))
        return []

    def cancel(self) -> list[ev.Event]:
        """The run was cancelled. What was produced is kept; open items stay incomplete."""
        self._settle("cancelled", usage=None)
        return []

    def terminal(self) -> list[ev.Event]:
        """The events that tell the end: to be told after the response is committed, and made anew if it could not
        be."""
        if self._response.status not in TERMINAL:
            raise ValueError("the response has not ended")
        number = self._counter.value
        events: list[ev.Event] = []
        if self._error is not None:
            body = self._error.body()
            events.append(
                ev.ErrorEvent(
                    code=body["code"],
                    message=body["message"],
                    param=body["param"],
                    error=body,
                    sequence_number=number,
                )
            )
            number += 1
        event: type[ev.TerminalEvent] = _TERMINAL_EVENTS.get(self._response.status, ev.Failed)
        events.append(event(response=self._response, sequence_number=number))
        return events

    # One method for each kind of chunk

    def _offer(self, chunk: Offered) -> list[ev.Event]:
        self._offered = chunk
        return []

    def _text(self, chunk: TextDelta) -> list[ev.Event]:
        if not chunk.text and not chunk.logprobs:
            return []
        events = self._enter_message()
        assert self._message is not None
        return events + self._message.text(chunk)

    def _refusal(self, chunk: RefusalDelta) -> list[ev.Event]:
        if not chunk.text:
            return []
        events = self._enter_message()
        assert self._message is not None
        return events + self._message.refusal(chunk.text)

    def _annotation(self, chunk: Annotation) -> list[ev.Event]:
        events = self._enter_message()
        assert self._message is not None
        return events + self._message.annotate(chunk.annotation)

    def _part_end(self, chunk: PartEnd) -> list[ev.Event]:
        return [] if self._message is None else self._message.end_part()

    def _raw_reasoning(self, chunk: ReasoningDelta) -> list[ev.Event]:
        if not chunk.text:
            return []
        events = self._enter_reasoning()
        assert self._reasoning is not None
        return events + self._reasoning.raw(chunk.text)

    def _summary(self, chunk: SummaryDelta) -> list[ev.Event]:
        events = self._enter_reasoning()
        assert self._reasoning is not None
        return events + self._reasoning.summary(chunk.text, chunk.part)

    def _tool_call(self, chunk: ToolCallDelta) -> list[ev.Event]:
        events: list[ev.Event] = []
        call = self._calls.get(chunk.index)
        if call is None:
            if chunk.index in self._closed_calls:
                # Nothing can follow whole arguments but white space, and nothing of what is not to be told.
                return []
            if not chunk.name:
                raise ValueError(f"a piece of tool call {chunk.index} came before its name")
            if not self._may_call(chunk.name):
                self._closed_calls.add(chunk.index)
                return []
            events += self._leave()
            call = self._open_call(chunk)
            events += call.open()
        if chunk.arguments:
            events += call.piece(chunk.arguments)
        return events

    def _may_call(self, name: str) -> bool:
        """Whether the request allows this call, whatever its engine thinks (spec §9.5, §9.9)."""
        allowed = self._offered.allowed
        if allowed is not None and name not in allowed:
            return False
        return self._offered.parallel or not self._called

    def _boundary(self, chunk: Boundary) -> list[ev.Event]:
        events: list[ev.Event] = []
        if chunk.encrypted_content is not None:
            events += self._enter_reasoning()
            assert self._reasoning is not None
            self._reasoning.encrypted_content = chunk.encrypted_content
        self._phase = chunk.phase
        return events + self._close_all("completed")

    def _item_started(self, chunk: ItemStarted) -> list[ev.Event]:
        events = self._close_all("completed")
        return events + self._open_passed(chunk.item).open()

    def _item_event(self, chunk: ItemEvent) -> list[ev.Event]:
        if self._passed is None:
            raise ValueError(f"an event {chunk.type!r} came for no item")
        return self._passed.event(chunk)

    def _item_done(self, chunk: ItemDone) -> list[ev.Event]:
        events: list[ev.Event] = []
        if self._passed is None:
            events += self._item_started(ItemStarted(chunk.item))
        assert self._passed is not None
        self._passed.final(chunk.item)
        return events + self._close_all("completed")

    def _usage(self, chunk: UsageReport) -> list[ev.Event]:
        self._response = replace(self._response, usage=_usage_of(chunk))
        return []

    def _finish(self, chunk: Finish) -> list[ev.Event]:
        self._reason = chunk.reason
        return []

    _FEED: Final[dict[type, Callable[..., list[ev.Event]]]] = {
        Offered: _offer,
        TextDelta: _text,
        RefusalDelta: _refusal,
        Annotation: _annotation,
        PartEnd: _part_end,
        ReasoningDelta: _raw_reasoning,
        SummaryDelta: _summary,
        ToolCallDelta: _tool_call,
        Boundary: _boundary,
        ItemStarted: _item_started,
        ItemEvent: _item_event,
        ItemDone: _item_done,
        UsageReport: _usage,
        Finish: _finish,
    }

    # Opening and closing items

    def _slot(self, prefix: str) -> Slot:
        """The next place in the output, for an item whose id begins so: an item's place is settled when it opens."""
        self._output.append(None)
        return Slot(self._ids.item(prefix), len(self._output) - 1, self._counter)

    def _open_message(self) -> OpenMessage:
        self._message = OpenMessage(self._slot("msg_"), self._phase)
        self._phase = None
        return self._message

    def _open_reasoning(self) -> OpenReasoning:
        self._reasoning = OpenReasoning(self._slot("rs_"))
        return self._reasoning

    def _open_call(self, chunk: ToolCallDelta) -> OpenCall | HeldCall:
        # An engine that knows custom tools itself sends the bare input, which may look like anything.
        form = None if chunk.custom else self._offered.forms.get(chunk.name)
        own = chunk.name if chunk.custom else _UNFIT.sub("_", chunk.name)[:_LONGEST_NAME]
        kind, name, namespace = form or ("function", own, chunk.namespace)
        shape = SHAPES[kind]
        call: OpenCall | HeldCall
        if shape.read is not None:
            call = HeldCall(
                lambda kind: self._slot(item_prefix(kind)),
                shape=shape,
                call_id=chunk.call_id or self._ids.call(),
                name=chunk.name,
            )
        else:
            called = Called(
                call_id=chunk.call_id or self._ids.call(),
                name=name,
                namespace=namespace,
                custom=chunk.custom,
                wrapped=kind == "custom",
                late=chunk.name in self._offered.late,
            )
            call = OpenCall(
                self._slot(item_prefix("custom_tool_call" if chunk.custom else shape.call)), called
            )
        self._calls[chunk.index] = call
        self._called = True
        return call

    def _open_passed(self, item: Item) -> PassedOnItem:
        self._passed = PassedOnItem(self._slot(item_prefix(str(item.get("type", "item")))), item)
        return self._passed

    def _enter_message(self) -> list[ev.Event]:
        """Have a message open: the one that is, or a new one."""
        if self._message is not None:
            return []
        events = self._leave()
        return events + self._open_message().open()

    def _enter_reasoning(self) -> list[ev.Event]:
        """Have reasoning open: that which is, or new one."""
        if self._reasoning is not None:
            return []
        events = self._leave()
        return events + self._open_reasoning().open()

    def _leave(self) -> list[ev.Event]:
        """Close what is open, but for tool calls that are not whole: pieces of parallel calls may interleave, with
        each other and with text."""
        events: list[ev.Event] = []
        for item in (self._reasoning, self._message, self._passed):
            if item is not None:
                events += self._close(item, "completed")
        self._reasoning = self._message = self._passed = None
        if self._calls:
            events += self._close_whole_calls()
        return events

    def _close_whole_calls(self) -> list[ev.Event]:
        """Close the calls to which nothing can be added, so that clients hear of them at once."""
        events: list[ev.Event] = []
        for index, call in list(self._calls.items()):
            if call.is_whole():
                events += self._close(call, "completed")
                self._closed_calls.add(index)
                del self._calls[index]
        return events

    def _close_all(self, status: ItemStatus) -> list[ev.Event]:
        events: list[ev.Event] = []
        for item in self._open_items():
            events += self._close(item, status)
        self._reasoning = self._message = self._passed = None
        self._closed_calls.update(self._calls)
        self._calls.clear()
        return events

    def _close(self, item: OpenItem, status: ItemStatus) -> list[ev.Event]:
        events = item.close(status)
        done = events[-1]
        assert isinstance(done, ev.OutputItemDone)
        self._output[item.index] = done.item
        return events

    def _open_items(self) -> list[OpenItem]:
        slots = (self._reasoning, self._message, self._passed)
        return [*(item for item in slots if item is not None), *self._calls.values()]

    # The state of the response

    def _snapshot(self) -> list[Item]:
        output = list(self._output)
        for item in self._open_items():
            if item.index >= 0:
                output[item.index] = item.partial()
        return [item for item in output if item is not None]

    def _move(self, status: ResponseStatus) -> None:
        self._check_move(status)
        self._response = replace(self._response, status=status)

    def _check_move(self, status: ResponseStatus) -> None:
        if status not in TRANSITIONS[self._response.status]:
            raise ValueError(f"a response that is {self._response.status} cannot become {status}")

    def _settle(self, status: ResponseStatus, **changes: object) -> None:
        """Move to a terminal status. A response that ended but could not be committed may still fail."""
        output = self._snapshot() if self._response.status not in TERMINAL else self._response.output
        if self._response.status in TERMINAL and status == "failed":
            self._response = replace(
                self._response, status="in_progress", completed_at=None, incomplete_details=None
            )
        self._check_move(status)
        self._response = replace(self._response, status=status, output=output, **changes)


def _usage_of(report: UsageReport) -> Usage:
    return Usage(
        input_tokens=report.input_tokens,
        output_tokens=report.output_tokens,
        total_tokens=report.input_tokens + report.output_tokens,
        input_tokens_details=InputTokensDetails(report.cached_tokens, report.cache_write_tokens),
        output_tokens_details=OutputTokensDetails(report.reasoning_tokens),
    )


def _response_error_code(error: CatenaError) -> str:
    """The nearest of the official codes of a failed response (spec §2.1.23), or the one that is on no list but that the
    official API sends: by it clients know that they must compact."""
    if error.code in ("rate_limit_exceeded", "invalid_prompt", "server_error", "context_length_exceeded"):
        return error.code
    if error.http_status == 429:
        return "rate_limit_exceeded"
    return "invalid_prompt" if 400 <= error.http_status < 500 else "server_error"
