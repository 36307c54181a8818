"""What the model saw, once more: a stored turn's context, made again by the code that made it.

Contexts are not stored: they follow from the chain. So what is told here is what the same request would have its engine
read today; it differs from what was read then only where something in the chain was deleted since, or where the model's
name leads to another kind of engine now.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from catena.errors import CatenaError, StoreUnavailable
from catena.history import chain_turns
from catena.planning import Order, Planner
from catena.revival import response_of
from catena.store import Claim, Store, Turn
from catena.upstream import Prompt
from catena.wire.request import CreateRequest
from catena.wire.response import Item, Response, ResponseFields

__all__ = ["Asked", "Seen", "alone", "seen"]

_OURS: Final = ("background", "conversation", "prompt", "store")
"""What was done with the response, rather than what its engine was told."""

_DEFAULTS: Final = dict(
    zip(ResponseFields.__struct_fields__, ResponseFields.__struct_defaults__, strict=True)
)

_decode_items = msgspec.json.Decoder(list[dict[str, Any]]).decode


class Asked(msgspec.Struct, frozen=True):
    """What an engine is sent: messages in the chat dialect, items in that of the Responses API."""

    dialect: str
    model: str
    messages: Sequence[dict[str, Any]]
    tools: Sequence[dict[str, Any]]


class Seen(msgspec.Struct, frozen=True):
    """A turn with its context: the items before its output, oldest first.

    `engine` is None where no engine is asked, or none could be asked today; `why_not` says why. If the chain is not
    `whole`, something in it was deleted.
    """

    turn: Turn
    response: Response
    items: Sequence[Item]
    whole: bool
    engine: Asked | None
    why_not: str | None = None


async def alone(store: Store, project: str, turn_id: str) -> Seen | None:
    """A turn without what came before it; None if it is not there. Raises StoreUnavailable."""
    turn = await store.load(project, turn_id)
    if turn is None:
        return None
    return Seen(turn=turn, response=_response(turn), items=_decode_items(turn.input), whole=True, engine=None)


async def seen(store: Store, planner: Planner, project: str, turn_id: str) -> Seen | None:
    """The context of a turn, whichever door it came through; None if it is not there. Raises StoreUnavailable."""
    turn = await store.load(project, turn_id)
    if turn is None:
        return None
    chain = await store.load_chain(project, turn_id)
    *earlier, own = chain_turns(chain)
    response = _response(turn)
    engine, why_not = await _asked(planner, turn, response)
    return Seen(
        turn=turn,
        response=response,
        items=[item for each in (*earlier, replace(own, output=())) for item in (*each.input, *each.output)],
        whole=not any(each.deleted for each in chain),
        engine=engine,
        why_not=why_not,
    )


def _response(turn: Turn) -> Response:
    # What is put into a conversation by hand has the fields of no response.
    return response_of(turn if turn.door != "conversation" else replace(turn, fields=b"{}"))


async def _asked(planner: Planner, turn: Turn, response: Response) -> tuple[Asked | None, str | None]:
    if turn.door == "conversation":
        return None, "No engine was asked: these items were put into a conversation."
    try:
        order = Order(request=_request(turn, response), door=turn.door)
        plan = await planner.again(Claim(turn=turn, request=b"", tries=0), order, response)
    except StoreUnavailable:
        raise
    except CatenaError as error:
        return None, error.message
    except msgspec.ValidationError as error:
        return None, f"The request cannot be made again: {error}."
    return _shown(plan.prompt, plan.upstream.dialect), None


def _request(turn: Turn, response: Response) -> CreateRequest:
    """The request of a turn, as far as its engine was told of it. In a conversation too it continues its parent, for
    the conversation has moved on."""
    fields: dict[str, Any] = {}
    for name in ResponseFields.__struct_fields__:
        value = getattr(response, name)
        if name in CreateRequest.__struct_fields__ and name not in _OURS and value != _default(name):
            fields[name] = value
    given: dict[str, Any] = {"model": turn.model, "input": [], "previous_response_id": turn.parent}
    return msgspec.convert(msgspec.to_builtins({**fields, **given}), CreateRequest)


def _default(name: str) -> Any:
    default = _DEFAULTS[name]
    return default.factory() if hasattr(default, "factory") else default


def _shown(prompt: Prompt, dialect: str) -> Asked:
    messages = msgspec.json.decode(b"[" + b",".join(prompt.fragments) + b"]")
    tools = prompt.options.get("tools", ())
    return Asked("responses" if dialect == "responses" else "chat", prompt.model, messages, tools)
