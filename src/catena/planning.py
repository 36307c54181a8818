"""From an order to a plan: everything that can be refused is refused here, before anything is stored or asked.

An order is what a door asks for; a plan is a good order with all that its run needs: the chain behind it, the items
with their ids, the prompt in its engine's dialect, and the response as it is before anything was produced.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence, Set
from typing import Any, Final, TypeAlias

import msgspec
from msgspec.structs import replace

from catena.attachments import Attachments
from catena.context.chain import Link, admit
from catena.context.ledger import answering
from catena.context.offer import Offer
from catena.context.prompting import Context
from catena.context.sealed import opened
from catena.context.view import is_talk
from catena.errors import BadRequest, ConversationLocked, ConversationNotFound, NotFound
from catena.history import History
from catena.ids import TurnIds, new_tree, tree_of
from catena.incoming import dereferenced, foreign_ids, identified
from catena.orders import Order, decode_order
from catena.prompts import Prompts
from catena.questions import Place, Question, Questions, compacts, context_tools
from catena.revival import ids_of
from catena.store import Claim, Door, Store, Turn
from catena.upstream import CHAT_DIALECTS, Dialect, Prompt, Upstream
from catena.upstream.routing import Router, Served
from catena.vault import Vault
from catena.wire.echo import echo
from catena.wire.items import normalise_input
from catena.wire.request import CreateRequest, require_tool_choice
from catena.wire.response import Item, Response, ResponseStatus, stored_fields
from catena.wire.settings import PromptRef

__all__ = ["Order", "Plan", "Planner", "Planning", "Recollection", "decode_order"]

_ANSWERED: Final = ("completed", "incomplete")
_PREFIX: Final = {"responses": "resp_", "chat": "chatcmpl-"}

Recollection: TypeAlias = Callable[[str, Dialect], Awaitable[Link | None]]
"""What a door remembers by itself: the chain that ends in a turn which is not stored, or None if it is not there."""

_encode = msgspec.json.Encoder().encode
_decode_items = msgspec.json.Decoder(list[dict[str, Any]]).decode


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was found good, with all that its run needs."""

    project: str
    order: Order
    link: Link | None
    items: Sequence[Item]
    ids: TurnIds
    upstream: Upstream
    question: Question
    response: Response
    vault: Vault
    fence: int = 0
    tip: str | None = None
    """The turn that its conversation ended with when it was planned."""
    generates: bool = True
    """Whether the engine is asked; else the turn is complete with its input."""

    # What follows from the rest, and is asked for many times.
    request: CreateRequest
    stored: bool
    background: bool
    announced: bool
    """Whether the client hears of the response before it is finished, so that its row must exist before."""
    begun_first: bool
    """Whether its row must exist before its end: its client hears of it, or it holds a conversation."""

    @property
    def prompt(self) -> Prompt:
        return self.question.prompt

    @property
    def offer(self) -> Offer:
        return self.question.offer

    @property
    def compacts(self) -> bool:
        """Whether the context is to be compacted here, and no answer made."""
        return self.upstream.dialect in CHAT_DIALECTS and compacts(self.items)

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


class Planning(msgspec.Struct, frozen=True, kw_only=True):
    """What plans are made with. With `require_same_model`, a chain stays on the model of its last turn; of hosted tools
    of the `omitted_tools`, engines without them are not told."""

    require_same_model: bool = False
    omitted_tools: Set[str] = frozenset()
    attachments: Attachments | None = None
    prompts: Prompts = msgspec.field(default_factory=Prompts)


class Planner:
    """Makes plans, with `questions` to the engines."""

    def __init__(
        self,
        store: Store,
        router: Router,
        history: History,
        *,
        clock: Callable[[], float],
        planning: Planning,
    ) -> None:
        self._store = store
        self._prompts = planning.prompts
        self._router = router
        self._history = history
        self._clock = clock
        self._require_same_model = planning.require_same_model
        self._questions = Questions(
            history,
            planning.attachments or Attachments(store.files, clock=clock),
            self._prompts,
            omitted_tools=planning.omitted_tools,
        )

    async def plan(
        self, project: str, order: Order, recollection: Recollection | None = None, *, bounded: bool = True
    ) -> Plan:
        """The plan of a new turn, which may continue one that only its door remembers.

        Unless it is `bounded`, its context may be longer than its model can read. Raises BadRequest,
        PreviousResponseNotFound, NotFound (a conversation, an item reference), ConversationLocked or
        StoreUnavailable; nothing was stored then.
        """
        request = order.request
        served = self._served(request.model, order.door)
        upstream = served.upstream
        if request.prompt is not None:
            self._check_prompt(request.prompt, upstream)
        link, tip = await self._before(project, request, upstream, recollection)
        items: Sequence[Item] = normalise_input(request.input)
        talk = is_talk(items)
        if not talk:
            items = await self._looked_through(project, order, link, items, upstream)
        admit(link, items)
        inside = items if talk else opened(items, self._history.vault.opener(project))
        tools = context_tools(order, link, () if talk else inside)
        require_tool_choice(request, tools)
        now = int(self._clock())
        tree = tree_of(request.conversation_id or request.previous_response_id or "")
        ids = TurnIds.new(tree or new_tree(now), now)
        items = [identified(item, ids) for item in items]
        place = Place(
            project=project,
            order=order,
            link=link,
            items=items,
            inside=inside,
            tools=tools,
            ids=ids,
            served=served,
            talk=talk,
            tip=tip,
        )
        question = await self._questions.put(place, bounded=bounded)
        status: ResponseStatus = "queued" if request.background else "in_progress"
        response = echo(request, response_id=ids.turn(_PREFIX[order.door]), created_at=now, status=status)
        if not talk or (link is not None and link.withheld):
            response = _with_removals(response, link, () if talk else items, question.material.context)
        return _planned(place, question, response, self._history.vault)

    async def _looked_through(
        self, project: str, order: Order, link: Link | None, items: Sequence[Item], upstream: Upstream
    ) -> Sequence[Item]:
        """New input with what its references mean; what is sealed in it was checked."""
        items = await dereferenced(self._store, project, items)
        if order.door == "chat" and link is not None:
            items = answering(link.open_calls, items)
        self._history.vault.check(project, items, engine_reads=upstream.dialect not in CHAT_DIALECTS)
        return items

    def _check_prompt(self, prompt: PromptRef, upstream: Upstream) -> None:
        # An engine of the Responses API may have the prompts that this server has not.
        if upstream.dialect in CHAT_DIALECTS and not self._prompts.knows(prompt.id):
            raise self._prompts.unknown(prompt.id)

    async def again(self, claim: Claim, order: Order, response: Response) -> Plan:
        """The plan of a turn that is stored already and is run again, under the claim's fence.

        Raises the same errors as `plan`: the chain, or the engine, may have gone meanwhile.
        """
        turn = claim.turn
        served = self._served(order.request.model, order.door)
        upstream = served.upstream
        link, tip = await self._before(turn.project, order.request, upstream, held=True)
        items = _decode_items(turn.input)
        inside = opened(items, self._history.vault.opener(turn.project))
        place = Place(
            project=turn.project,
            order=order,
            link=link,
            items=items,
            inside=inside,
            tools=context_tools(order, link, inside),
            ids=ids_of(turn),
            served=served,
            tip=tip,
        )
        question = await self._questions.put(place)
        return _planned(place, question, response, self._history.vault, fence=turn.fence)

    async def _before(
        self,
        project: str,
        request: CreateRequest,
        upstream: Upstream,
        recollection: Recollection | None = None,
        *,
        held: bool = False,
    ) -> tuple[Link | None, str | None]:
        """The chain that the request continues, and in a conversation the turn that this ends with.

        Raises ConversationLocked if another run holds the conversation; `held` says that it is this one that does.
        """
        if request.conversation is not None:
            return await self._conversed(project, request, upstream, held=held)
        parent = request.previous_response_id
        if parent is None:
            return None, None
        link = await recollection(parent, upstream.dialect) if recollection is not None else None
        if link is None:
            link = await self._history.resolve(project, parent, upstream.dialect)
        self._check_model(link, request)
        return link, None

    async def _conversed(
        self, project: str, request: CreateRequest, upstream: Upstream, *, held: bool
    ) -> tuple[Link | None, str]:
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

    def _served(self, model: str, door: Door) -> Served:
        found = self._router.served(model)
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


def _planned(place: Place, question: Question, response: Response, vault: Vault, fence: int = 0) -> Plan:
    request, stored, background = place.order.request, response.store, response.background
    announced = stored and bool(request.stream or background)
    return Plan(
        project=place.project,
        order=place.order,
        link=place.link,
        items=place.items,
        ids=place.ids,
        upstream=place.served.upstream,
        question=question,
        response=response,
        vault=vault,
        fence=fence,
        tip=place.tip,
        request=request,
        stored=stored,
        background=background,
        announced=announced,
        begun_first=announced or (stored and request.conversation is not None),
    )


def _with_removals(
    response: Response, link: Link | None, items: Sequence[Item], context: Context
) -> Response:
    """The response, telling of the reasoning that this engine is the first not to be shown."""
    removed = [*link.withheld] if link is not None else []
    if items:
        removed += context.writer.withheld(items)
    if not removed:
        return response
    told = [
        {"id": each, "action": "removed", "reason": "model_mismatch", "type": "reasoning"} for each in removed
    ]
    return replace(response, input_transformations=told)
