"""From an order to a plan: everything that can be refused is refused here, before anything is stored or asked.

An order is what a door asks for; a plan is a good order with all that its run needs: the chain behind it, the items
with their ids, the prompt in its engine's dialect, and the response as it is before anything was produced.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from typing import Any, Final, TypeAlias

import msgspec

from catena.context.chain import Link, admit, fragments
from catena.context.ledger import answering
from catena.context.offer import Offer, added_tools
from catena.errors import BadRequest, ConversationLocked, ConversationNotFound, NotFound
from catena.history import RENDERINGS, History
from catena.ids import TurnIds, new_tree, tree_of
from catena.incoming import dereferenced, foreign_ids, identified
from catena.store import Claim, Door, RequestKey, Store, Turn
from catena.upstream import Dialect, Prompt, Upstream
from catena.upstream.routing import Router
from catena.wire.echo import echo
from catena.wire.items import normalise_input
from catena.wire.request import CreateRequest, require_tool_choice
from catena.wire.response import Item, Response, ResponseStatus, stored_fields
from catena.wire.settings import TextFormat
from catena.wire.tools import Tool

__all__ = ["Order", "Plan", "Planner", "Recollection"]

log = logging.getLogger("catena.runs")

_ANSWERED: Final = ("completed", "incomplete")
_PREFIX: Final = {"responses": "resp_", "chat": "chatcmpl-"}

Recollection: TypeAlias = Callable[[str, Dialect], Awaitable[Link | None]]
"""What a door remembers by itself: the chain that ends in a turn which is not stored, or None if it is not there."""

_encode = msgspec.json.Encoder().encode
_decode_items = msgspec.json.Decoder(list[dict[str, Any]]).decode


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a door asks for. `extra_options` are settings that only the chat dialect has, passed on as they are. `key`
    is what the request was sent under, if its turn is to be found by that."""

    request: CreateRequest
    door: Door = "responses"
    listed: bool = False
    extra_options: dict[str, Any] | None = None
    key: RequestKey | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was found good, with all that its run needs.

    `form` is what the answer must be, where its engine does not see to that itself.
    """

    project: str
    order: Order
    link: Link | None
    items: Sequence[Item]
    ids: TurnIds
    upstream: Upstream
    prompt: Prompt
    offer: Offer
    form: TextFormat | None
    response: Response
    fence: int = 0
    tip: str | None = None
    """The turn that its conversation ended with when it was planned."""
    generates: bool = True
    """Whether the engine is asked; else the turn is complete with its input."""

    @property
    def request(self) -> CreateRequest:
        return self.order.request

    @property
    def stored(self) -> bool:
        return self.response.store

    @property
    def background(self) -> bool:
        return self.response.background

    @property
    def announced(self) -> bool:
        """Whether the client hears of the response before it is finished, so that its row must exist before."""
        return self.stored and bool(self.request.stream or self.background)

    @property
    def begun_first(self) -> bool:
        """Whether its row must exist before its end: its client hears of it, or it holds a conversation."""
        return self.announced or (self.stored and self.request.conversation is not None)

    def turn(self, response: Response, cuts: bytes = b"") -> Turn:
        """The row of this turn in the state of `response`."""
        return Turn(
            project=self.project,
            id=response.id,
            tree=self.ids.tree,
            parent=self.tip or self.request.previous_response_id,
            door=self.order.door,
            status=response.status,
            model=response.model,
            created_at=response.created_at,
            # What has not ended, or not with an answer, is no completion that could be listed.
            listed=self.order.listed and response.status in _ANSWERED,
            input=_encode(self.items),
            output=_encode(response.output),
            fields=stored_fields(response),
            cuts=cuts,
            foreign_ids=foreign_ids(self.items, self.ids),
            fence=self.fence,
            key=self.order.key,
            conversation=self.request.conversation_id,
        )


class Planner:
    """Makes plans.

    With `require_same_model`, a chain stays on the model of its last turn. `omitted_tools` are the kinds of hosted
    tools that an engine without them is just not told of.
    """

    def __init__(
        self,
        store: Store,
        router: Router,
        history: History,
        *,
        clock: Callable[[], float],
        require_same_model: bool = False,
        omitted_tools: Set[str] = frozenset(),
    ) -> None:
        self._store = store
        self._router = router
        self._history = history
        self._clock = clock
        self._require_same_model = require_same_model
        self._omitted_tools = omitted_tools

    async def plan(self, project: str, order: Order, recollection: Recollection | None = None) -> Plan:
        """The plan of a new turn, which may continue one that only its door remembers.

        Raises BadRequest, PreviousResponseNotFound, NotFound (a conversation, an item reference), ConversationLocked
        or StoreUnavailable; nothing was stored then.
        """
        request = order.request
        upstream, model = self._route(request.model, order.door)
        if request.conversation is not None:
            link, tip = await self._conversed(project, request, upstream)
        else:
            link, tip = await self._link(project, request, upstream, recollection), None
        items = await dereferenced(self._store, project, normalise_input(request.input))
        if order.door == "chat" and link is not None:
            items = answering(link.open_calls, items)
        admit(link, items)
        require_tool_choice(request, _context_tools(order, link, items))
        now = int(self._clock())
        tree = tree_of(request.conversation_id or request.previous_response_id or "")
        ids = TurnIds.new(tree or new_tree(), now)
        items = [identified(item, ids) for item in items]
        status: ResponseStatus = "queued" if request.background else "in_progress"
        prompt, offer = self._prompt(order, link, items, ids.tree, upstream, model)
        return Plan(
            project=project,
            order=order,
            link=link,
            items=items,
            ids=ids,
            upstream=upstream,
            prompt=prompt,
            offer=offer,
            form=_form(request, upstream),
            response=echo(request, response_id=ids.turn(_PREFIX[order.door]), created_at=now, status=status),
            tip=tip,
        )

    async def again(self, claim: Claim, order: Order, response: Response) -> Plan:
        """The plan of a turn that is stored already and is run again, under the claim's fence.

        Raises the same errors as `plan`: the chain, or the engine, may have gone meanwhile.
        """
        turn = claim.turn
        upstream, model = self._route(order.request.model, order.door)
        if order.request.conversation is not None:
            link, tip = await self._conversed(turn.project, order.request, upstream, held=True)
        else:
            link, tip = await self._link(turn.project, order.request, upstream), None
        items = _decode_items(turn.input)
        minted = sum(item["id"][-50:-4] == turn.id[-50:-4] for item in items)
        ids = TurnIds.of(turn.id, used=minted)
        prompt, offer = self._prompt(order, link, items, ids.tree, upstream, model)
        return Plan(
            project=turn.project,
            order=order,
            link=link,
            items=items,
            ids=ids,
            upstream=upstream,
            prompt=prompt,
            offer=offer,
            form=_form(order.request, upstream),
            response=response,
            fence=turn.fence,
            tip=tip,
        )

    def _prompt(
        self,
        order: Order,
        link: Link | None,
        items: Sequence[Item],
        tree: str,
        upstream: Upstream,
        model: str,
    ) -> tuple[Prompt, Offer]:
        """What the engine is asked, and which tools it is offered."""
        _check_extra_options(order.extra_options, upstream)
        rendering = RENDERINGS[upstream.dialect]
        offer = rendering.offer(order.request, _context_tools(order, link, items), self._omitted_tools)
        if offer.omitted:
            log.info(
                "%s is not offered to %s, which does not have it", ", ".join(offer.omitted), upstream.name
            )
        options = {**rendering.options(order.request, offer), **(order.extra_options or {})}
        history = [*rendering.lead(order.request), *fragments(link)]
        fragment = rendering.render(items)
        return Prompt(model, [*history, fragment] if fragment else history, options, tree), offer

    async def _link(
        self,
        project: str,
        request: CreateRequest,
        upstream: Upstream,
        recollection: Recollection | None = None,
    ) -> Link | None:
        parent = request.previous_response_id
        if parent is None:
            return None
        link = await recollection(parent, upstream.dialect) if recollection is not None else None
        if link is None:
            link = await self._history.resolve(project, parent, upstream.dialect)
        self._check_model(link, request)
        return link

    async def _conversed(
        self, project: str, request: CreateRequest, upstream: Upstream, *, held: bool = False
    ) -> tuple[Link | None, str]:
        """The chain that the request's conversation ends, and the turn that it ends with.

        Raises ConversationLocked if another run holds it; `held` says that it is this one that does.
        """
        conversation_id = str(request.conversation_id)
        conversation = await self._store.load_conversation(project, conversation_id)
        if conversation is None:
            raise ConversationNotFound(conversation_id)
        if conversation.busy and not held:
            raise ConversationLocked
        link, tip = await self._history.resolve_conversation(project, conversation, upstream.dialect)
        self._check_model(link, request)
        return link, tip

    def _check_model(self, link: Link | None, request: CreateRequest) -> None:
        if self._require_same_model and link is not None and link.model not in ("", request.model):
            raise BadRequest(
                f"Previous response with id '{link.turn_id}' was made with model '{link.model}', and this server "
                f"does not mix models along a chain. Use model '{link.model}', or start a new chain.",
                param="model",
                code="model_mismatch",
            )

    def _route(self, model: str, door: Door) -> tuple[Upstream, str]:
        found = self._router.route(model)
        if found is not None:
            return found
        # The two endpoints answer differently (spec §1.4.15).
        if door == "chat":
            raise NotFound(
                f"The model '{model}' does not exist or you do not have access to it.",
                param="model",
                code="model_not_found",
            )
        raise BadRequest(
            f"The requested model '{model}' does not exist.", param="model", code="model_not_found"
        )


def _form(request: CreateRequest, upstream: Upstream) -> TextFormat | None:
    # An engine of the Responses API promises what it answers; of the others many take the setting and forget it.
    return request.text.format if request.text is not None and upstream.dialect == "chat" else None


def _context_tools(order: Order, link: Link | None, items: Sequence[Item]) -> Sequence[Tool]:
    """The tools that the context offers besides the request's own. The chat dialect has no words for calls of them."""
    if order.door == "chat":
        return ()
    inherited = link.tools if link is not None else ()
    return [*inherited, *added_tools(items)]


def _check_extra_options(given: Mapping[str, Any] | None, upstream: Upstream) -> None:
    if given and upstream.dialect != "chat":
        name = next(iter(given))
        raise BadRequest(
            f"Unsupported parameter: '{name}' is not supported with this model: it is served by an engine that does "
            "not speak Chat Completions.",
            param=name,
            code="unsupported_parameter",
        )
