"""From a request in its place to what its engine is asked: the context written down, the tools, the settings.

Everything is in the engine's own dialect when it leaves here, and as long as the engine's window allows.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence, Set
from functools import partial
from typing import Any

import msgspec

from catena.attachments import Attachments, Reader
from catena.bounds import Material, fitted, threshold_of
from catena.context.chain import Link
from catena.context.grammars import Sole, sole_tool
from catena.context.in_force import NOTHING_SET, configured, in_force
from catena.context.ledger import NOTHING_OPEN, open_after
from catena.context.offer import Offer, added_tools
from catena.context.passing import passed
from catena.context.prompting import Context
from catena.context.view import View, shown, standing
from catena.errors import BadRequest
from catena.history import RENDERINGS, History
from catena.ids import TurnIds
from catena.orders import Order
from catena.prompts import Prompts
from catena.upstream import Prompt
from catena.upstream.routing import Served
from catena.wire.request import CreateRequest
from catena.wire.response import Item
from catena.wire.settings import TextFormat
from catena.wire.tools import Tool

__all__ = ["Place", "Question", "Questions", "compacts", "context_tools"]

log = logging.getLogger("catena.runs")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """An order, where it stands: the chain before it, its items with the ids of its turn, and who is to answer.

    `inside` are the items with what was sealed in them in plain words, `tools` those that the context offers besides
    the request's own. If all of the items are `talk`, which most are, nothing else has to be looked for in them.
    """

    project: str
    order: Order
    link: Link | None
    items: Sequence[Item]
    inside: Sequence[Item]
    tools: Sequence[Tool]
    ids: TurnIds
    served: Served
    talk: bool = False
    tip: str | None = None
    """The turn that its conversation ends with."""

    @property
    def model(self) -> str:
        """The engine's name of the model."""
        return self.served.model or self.order.request.model


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine is asked, and what becomes of its answer.

    `prompt` is of `material`, with what is left of it. `written` is the fragment of the new input, where that is the
    same whatever comes after it. `left_out` are the settings of the request that the engine does not take, `sole` is
    the custom tool whose input the engine writes as its whole answer. `form` is what the answer must be, where the
    engine does not see to that itself; `compact_at` the size in tokens from which on the context is compacted behind
    it.
    """

    material: Material
    prompt: Prompt
    offer: Offer
    written: bytes | None = None
    left_out: Sequence[str] = ()
    sole: str | None = None
    form: TextFormat | None = None
    compact_at: int | None = None


class Questions:
    """Puts questions. `omitted_tools` are the kinds of hosted tools that an engine without them is not told of."""

    def __init__(
        self,
        history: History,
        attachments: Attachments,
        prompts: Prompts,
        *,
        omitted_tools: Set[str],
    ) -> None:
        self._history = history
        self._attachments = attachments
        self._prompts = prompts
        self._omitted_tools = omitted_tools

    async def put(self, place: Place, *, bounded: bool = True) -> Question:
        """What is asked at a place. Unless it is `bounded`, that may be longer than the model can read.

        Raises BadRequest for what its engine cannot be asked, or StoreUnavailable.
        """
        _check_extra_options(place)
        asked, served, model = place.order.request, place.served, place.model
        request = _in_force(place)
        rendering = RENDERINGS[served.upstream.dialect]
        offer = rendering.offer(request, place.tools, self._omitted_tools)
        if offer.omitted:
            _tell_what_is_omitted(offer.omitted, served)
        options, left_out = self._options(place, request, rendering.options(request, offer))
        lead = rendering.lead(request)
        sole = _sole(place, request, offer)
        if sole is not None:
            options = sole.options(options)
            lead.append(sole.lead)
        material = Material(self._context(place, lead), partial(self._put_in, place))
        prompt = Prompt(model, await material.fragments(), options, place.ids.tree)
        if bounded:
            auto = asked.truncation == "auto"
            material, prompt = await fitted(
                served.upstream, material, prompt, auto=auto, window=served.window
            )
        compact_at = None
        if served.chats:
            compact_at = await threshold_of(asked, served.upstream, model, served.window)
        return Question(
            material=material,
            prompt=prompt,
            offer=offer,
            written=material.context.own[0] if place.talk else None,
            left_out=left_out,
            sole=None if sole is None else sole.name,
            form=_form(place, request),
            compact_at=compact_at,
        )

    def _options(
        self, place: Place, request: CreateRequest, options: dict[str, Any]
    ) -> tuple[dict[str, Any], Sequence[str]]:
        """The settings that the engine is given, of those in its own words, and the names of what it does not take."""
        left_out: Sequence[str] = ()
        if place.served.chats:
            options, left_out = passed(request, options, place.served.traits.passes)
        if place.order.extra_options:
            options |= place.order.extra_options
        if request.prompt is not None and self._prompts.knows(request.prompt.id):
            options.pop("prompt", None)  # it is filled in
        return options, left_out

    async def _put_in(self, place: Place, fragments: Sequence[bytes]) -> list[bytes]:
        """Fragments at a place, with what they attach."""
        served, order = place.served, place.order
        return await self._attachments.put_in(
            place.project,
            fragments,
            own=place.items,
            reader=Reader(served.upstream.dialect, served.traits, order.request.model),
            place="messages" if order.door == "chat" else None,
        )

    def _context(self, place: Place, lead: Sequence[bytes]) -> Context:
        link = place.link
        writer = self._history.writer(place.project, place.served.upstream.dialect)
        before = link.open_calls if link is not None else NOTHING_OPEN
        if place.talk:
            view, waiting = View(place.items), before
        else:
            view = shown(before, place.items, writer.reads, follows=link is not None)
            waiting = open_after(before, place.items)
        return Context(
            lead=lead,
            link=None if view.begins else link,
            own=[writer.render(view.items)],
            writer=writer,
            waiting=waiting,
            standing=standing(view.items),
        )


def compacts(items: Sequence[Item]) -> bool:
    """Whether this input asks for a compaction of its context."""
    return bool(items) and items[-1].get("type") == "compaction_trigger"


def context_tools(order: Order, link: Link | None, items: Sequence[Item]) -> Sequence[Tool]:
    """The tools that the context offers besides the request's own. The chat dialect has no words for calls of them."""
    if order.door == "chat":
        return ()
    inherited = link.tools if link is not None else ()
    return [*inherited, *added_tools(items)] if items else inherited


def _in_force(place: Place) -> CreateRequest:
    """The request with the settings that its context has made."""
    if not place.served.chats:
        return place.order.request
    before = place.link.configuration if place.link is not None else NOTHING_SET
    return in_force(place.order.request, before if place.talk else configured(before, place.inside))


def _tell_what_is_omitted(omitted: Sequence[str], served: Served) -> None:
    log.info("%s is not offered to %s, which does not have it", ", ".join(omitted), served.upstream.name)


def _sole(place: Place, request: CreateRequest, offer: Offer) -> Sole | None:
    if offer.choice is None or not place.served.chats:
        return None
    return sole_tool(offer, [*(request.tools or ()), *place.tools], place.served.traits.grammar)


def _form(place: Place, request: CreateRequest) -> TextFormat | None:
    # An engine of the Responses API promises what it answers; of the others many take the setting and forget it.
    if request.text is None or not place.served.chats or compacts(place.items):
        return None
    return request.text.format


def _check_extra_options(place: Place) -> None:
    given: Mapping[str, Any] | None = place.order.extra_options
    if given and not place.served.chats:
        name = next(iter(given))
        raise BadRequest(
            f"Unsupported parameter: '{name}' is not supported with this model: it is served by an engine that does "
            "not speak Chat Completions.",
            param=name,
            code="unsupported_parameter",
        )
