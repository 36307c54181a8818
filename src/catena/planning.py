"""From an order to a plan: everything that can be refused is refused here, before anything is stored or asked.

An order is what a door asks for; a plan is a good order with all that its run needs: the chain behind it, the items
with their ids, the prompt in its engine's dialect, and the response as it is before anything was produced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from catena.context.chain import Link, admit, fragments
from catena.context.ledger import answering
from catena.errors import BadRequest, NotFound
from catena.history import RENDERINGS, History
from catena.ids import TurnIds, item_prefix, new_tree, tree_of
from catena.store import Claim, Door, Store, Turn
from catena.upstream import Prompt, Upstream
from catena.upstream.routing import Router
from catena.wire.echo import echo
from catena.wire.items import normalise_input
from catena.wire.request import CreateRequest
from catena.wire.response import Item, Response, ResponseStatus, stored_fields

__all__ = ["Order", "Plan", "Planner"]

_ANSWERED: Final = ("completed", "incomplete")
_PREFIX: Final = {"responses": "resp_", "chat": "chatcmpl-"}

_encode = msgspec.json.Encoder().encode
_decode_items = msgspec.json.Decoder(list[dict[str, Any]]).decode


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a door asks for. `extra_options` are settings that only the chat dialect has, passed on as they are."""

    request: CreateRequest
    door: Door = "responses"
    listed: bool = False
    extra_options: dict[str, Any] | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was found good, with all that its run needs."""

    project: str
    order: Order
    link: Link | None
    items: Sequence[Item]
    ids: TurnIds
    upstream: Upstream
    prompt: Prompt
    response: Response
    fence: int = 0

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

    def turn(self, response: Response, cuts: bytes = b"") -> Turn:
        """The row of this turn in the state of `response`."""
        stem = self.ids.stem
        return Turn(
            project=self.project,
            id=response.id,
            tree=self.ids.tree,
            parent=self.request.previous_response_id,
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
            foreign_ids=[item["id"] for item in self.items if item["id"][-50:-4] != stem],
            fence=self.fence,
        )


class Planner:
    """Makes plans. With `require_same_model`, a chain stays on the model of its last turn."""

    def __init__(
        self,
        store: Store,
        router: Router,
        history: History,
        *,
        clock: Callable[[], float],
        require_same_model: bool = False,
    ) -> None:
        self._store = store
        self._router = router
        self._history = history
        self._clock = clock
        self._require_same_model = require_same_model

    async def plan(self, project: str, order: Order) -> Plan:
        """The plan of a new turn.

        Raises BadRequest, PreviousResponseNotFound, NotFound (an item reference) or StoreUnavailable; nothing was
        stored then.
        """
        request = order.request
        upstream, model = self._route(request.model, order.door)
        link = await self._link(project, request, upstream)
        items = await self._dereferenced(project, normalise_input(request.input))
        if order.door == "chat" and link is not None:
            items = answering(link.open_calls, items)
        admit(link, items)
        now = int(self._clock())
        tree = tree_of(request.previous_response_id) if request.previous_response_id else None
        ids = TurnIds.new(tree or new_tree(), now)
        items = [_identified(item, ids) for item in items]
        status: ResponseStatus = "queued" if request.background else "in_progress"
        return Plan(
            project=project,
            order=order,
            link=link,
            items=items,
            ids=ids,
            upstream=upstream,
            prompt=_prompt(order, link, items, ids.tree, upstream, model),
            response=echo(request, response_id=ids.turn(_PREFIX[order.door]), created_at=now, status=status),
        )

    async def again(self, claim: Claim, order: Order, response: Response) -> Plan:
        """The plan of a turn that is stored already and is run again, under the claim's fence.

        Raises the same errors as `plan`: the chain, or the engine, may have gone meanwhile.
        """
        turn = claim.turn
        upstream, model = self._route(order.request.model, order.door)
        link = await self._link(turn.project, order.request, upstream)
        items = _decode_items(turn.input)
        minted = sum(item["id"][-50:-4] == turn.id[-50:-4] for item in items)
        ids = TurnIds.of(turn.id, used=minted)
        return Plan(
            project=turn.project,
            order=order,
            link=link,
            items=items,
            ids=ids,
            upstream=upstream,
            prompt=_prompt(order, link, items, ids.tree, upstream, model),
            response=response,
            fence=turn.fence,
        )

    async def _link(self, project: str, request: CreateRequest, upstream: Upstream) -> Link | None:
        if request.previous_response_id is None:
            return None
        link = await self._history.resolve(project, request.previous_response_id, upstream.dialect)
        if self._require_same_model and link is not None and link.model != request.model:
            raise BadRequest(
                f"Previous response with id '{link.turn_id}' was made with model '{link.model}', and this server "
                f"does not mix models along a chain. Use model '{link.model}', or start a new chain.",
                param="model",
                code="model_mismatch",
            )
        return link

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

    async def _dereferenced(self, project: str, items: Sequence[Item]) -> Sequence[Item]:
        if not any(item.get("type") == "item_reference" for item in items):
            return items
        return [
            await self._referenced(project, item["id"]) if item.get("type") == "item_reference" else item
            for item in items
        ]

    async def _referenced(self, project: str, item_id: str) -> Item:
        found = await self._store.load_item(project, item_id)
        if found is None:
            raise NotFound(
                f"Item with id '{item_id}' not found. Items are not persisted when `store` is set to false. Try "
                "again with `store` set to true, or remove this item from your input.",
                param="input",
            )
        item: Item = msgspec.json.decode(found)
        return item


def _prompt(
    order: Order, link: Link | None, items: Sequence[Item], tree: str, upstream: Upstream, model: str
) -> Prompt:
    _check_extra_options(order.extra_options, upstream)
    rendering = RENDERINGS[upstream.dialect]
    options = {**rendering.options(order.request), **(order.extra_options or {})}
    history = [*rendering.lead(order.request), *fragments(link)]
    fragment = rendering.render(items)
    return Prompt(model, [*history, fragment] if fragment else history, options, tree)


def _check_extra_options(given: Mapping[str, Any] | None, upstream: Upstream) -> None:
    if given and upstream.dialect != "chat":
        name = next(iter(given))
        raise BadRequest(
            f"Unsupported parameter: '{name}' is not supported with this model: it is served by an engine that does "
            "not speak Chat Completions.",
            param=name,
            code="unsupported_parameter",
        )


def _identified(item: Item, ids: TurnIds) -> Item:
    """The item as it is stored: with an id, and with the status that an item of a client's has."""
    if item.get("id"):
        return item
    kind = str(item.get("type", "message"))
    identified = {"id": ids.item(item_prefix(kind)), **item}
    if kind == "message":
        identified.setdefault("status", "completed")
    return identified
