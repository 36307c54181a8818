"""Telling a response more while it is being produced: it is stopped, and another goes on with what was told.

What was accepted is owned here until a successor took it in; what cannot be taken in is given back.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias

import msgspec
from msgspec.structs import replace

from catena.context.ledger import OUTPUT_OF, due, open_after
from catena.errors import BadRequest
from catena.fold import TERMINAL
from catena.run import Run
from catena.tool_shapes import is_output
from catena.wire.items import normalise_input
from catena.wire.request import CreateRequest
from catena.wire.response import Item
from catena.wire.socket import decode_steer, frame

__all__ = ["Steer", "Steering"]

Send: TypeAlias = Callable[[str], Awaitable[None]]

_AT_MOST: Final = 16
"""How much may wait for one response."""


class Steer(msgspec.Struct, frozen=True):
    """What was told, and to which response."""

    id: str
    previous_response_id: str
    input: str | list[Item]


class _Target(msgspec.Struct):
    """A response that is being produced, or that waits for its client's tools with something to be told."""

    run: Run
    lane: str | None
    steers: list[Steer] = []
    ended: bool = False


class Steering:
    """What one connection's responses are still to be told."""

    def __init__(self) -> None:
        self._targets: dict[str, _Target] = {}
        self._ended: dict[str | None, str] = {}

    def begin(self, run: Run, lane: str | None) -> None:
        """A response can be steered from now on."""
        self._targets[run.plan.response.id] = _Target(run, lane)

    async def take(self, send: Send, message: bytes) -> None:
        """A `response.steer` of the client's: accept it, or say why not. Raises BadRequest for one without a target."""
        fields: dict[str, Any] = msgspec.json.decode(message)
        target_id, given = fields.get("previous_response_id"), fields.get("input")
        if not isinstance(target_id, str):
            raise BadRequest(
                "Missing required parameter: 'previous_response_id'.",
                param="previous_response_id",
                code="missing_required_parameter",
            )
        target = self._targets.get(target_id)
        refusal = self._refusal(target_id, target)
        try:
            asked = decode_steer(message)
        except BadRequest as error:
            refusal = ("invalid_input", error.message)
        if refusal is not None or target is None:
            told = {"previous_response_id": target_id, "input": given}
            await send(_failed(*(refusal or _UNKNOWN), told, target))
            return
        steer = Steer(f"steer_{os.urandom(16).hex()}", target_id, asked.input)
        target.steers.append(steer)
        await send(_told("response.steer.accepted", target, steer))
        target.run.steer()

    def _refusal(self, target_id: str, target: _Target | None) -> tuple[str, str] | None:
        if target is None:
            return _COMPLETED if target_id in self._ended.values() else _UNKNOWN
        # One that was stopped to hear more hears all that comes before its successor begins.
        if target.ended or (target.run.response.status in TERMINAL and not target.steers):
            return _COMPLETED
        if target.run.plan.request.conversation is not None:
            return "steering_not_supported", "A response of a conversation cannot be steered."
        if target.run.plan.request.context_management or target.run.plan.compacts:
            return "steering_not_supported", "A response that may be compacted cannot be steered."
        return _TOO_MANY if len(target.steers) >= _AT_MOST else None

    async def end(self, send: Send, run: Run) -> CreateRequest | None:
        """A response has ended and its end was told: the request for its successor, if it was told more.

        If it waits for its client's tools, what it was told waits for the request that brings their outputs.
        """
        response = run.response
        target = self._targets[response.id]
        target.ended = True
        self._ended[target.lane] = response.id
        if not target.steers or response.status not in ("completed", "incomplete"):
            await self.give_up(send, response.id, "The response ended without an answer.")
            return None
        waiting = _required(run)
        if not waiting:
            return replace(run.plan.request, previous_response_id=response.id, input=self._said(target))
        for steer in target.steers:
            fields = {"reason": "waiting_for_required_input", "required_input": waiting}
            await send(_told("response.steer.pending", target, steer, **fields))
        return None

    def joined(self, request: CreateRequest, lane: str | None) -> CreateRequest:
        """A request of the client's, with what waited for it: after the outputs that it brings, for many engines take
        nothing between a call and its output, and before the rest of its input."""
        target = self._targets.get(request.previous_response_id or "")
        if target is None or target.lane != lane or not target.steers:
            return request
        items = normalise_input(request.input)
        outputs = [item for item in items if is_output(item)]
        rest = [item for item in items if not is_output(item)]
        return replace(request, input=[*outputs, *self._said(target), *rest])

    def committed(self, parent_id: str | None, lane: str | None) -> None:
        """A response on this lane, which goes on from the parent, took in what that was told."""
        target = self._targets.get(parent_id or "")
        if target is not None and target.lane == lane:
            del self._targets[target.run.plan.response.id]

    async def give_up(self, send: Send, response_id: str, why: str) -> bool:
        """Give back what a response was told and nobody can take in. False if it was taken in already."""
        target = self._targets.pop(response_id, None)
        if target is None:
            return False
        for steer in target.steers:
            await send(_failed("successor_creation_failed", why, msgspec.to_builtins(steer), target))
        return True

    def _said(self, target: _Target) -> list[Item]:
        return [item for steer in target.steers for item in normalise_input(steer.input)]


_UNKNOWN: Final = ("response_not_found", "There is no such response on this connection.")
_COMPLETED: Final = (
    "response_already_completed",
    "The response has ended. Continue it with response.create.",
)
_TOO_MANY: Final = ("too_many_pending_steers", f"At most {_AT_MOST} can wait for one response.")


def _told(kind: str, target: _Target, steer: Steer, **fields: Any) -> str:
    named = {"id": steer.id, "previous_response_id": steer.previous_response_id}
    # They are no events of the response's own, so they bear the number of its last one.
    number = len(target.run.feed) - 1
    return frame(kind, target.lane, steer=named, sequence_number=number, **fields)


def _failed(code: str, why: str, steer: dict[str, Any], target: _Target | None) -> str:
    error = {"type": "invalid_request_error", "code": code, "message": why}
    number = len(target.run.feed) - 1 if target is not None else 0
    lane = target.lane if target is not None else None
    return frame("response.steer.failed", lane, error=error, steer=steer, sequence_number=number)


def _required(run: Run) -> Sequence[Item]:
    """Stubs of the outputs that the client owes before the model can go on."""
    output = run.response.output
    assert not isinstance(output, msgspec.Raw)  # it was produced here
    calls = due(open_after({}, output))
    named = {str(item.get("call_id")): item.get("name") for item in output}
    stubs = []
    for call_id, kind in calls.items():
        stub: dict[str, Any] = {"type": OUTPUT_OF[kind], "call_id": call_id}
        if kind == "function_call" and named.get(call_id):
            stub["name"] = named[call_id]
        if kind == "tool_search_call":
            stub["execution"] = "client"
        stubs.append(stub)
    approvals = [item for item in output if item.get("type") == "mcp_approval_request"]
    return [
        *stubs,
        *({"type": "mcp_approval_response", "approval_request_id": item["id"]} for item in approvals),
    ]
