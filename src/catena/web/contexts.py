"""`/v1/responses/input_tokens` and `/v1/responses/compact`: about contexts, without a response."""

from __future__ import annotations

import time
from typing import Any, Final

import msgspec

from catena.bounds import measured
from catena.chunks import UsageReport
from catena.compaction import summed_up
from catena.errors import BadRequest
from catena.history import chain_turns
from catena.ids import TurnIds, new_tree
from catena.planning import Order, Plan
from catena.runs import Runs
from catena.upstream import CHAT_DIALECTS
from catena.web.http import Reply, Request
from catena.web.routes import Routes
from catena.wire.contexts import Compacted, CompactRequest, TokenCount, decode_compact, decode_tokens
from catena.wire.items import listed_item, normalise_input
from catena.wire.request import require_input
from catena.wire.response import InputTokensDetails, Item, OutputTokensDetails, Usage

__all__ = ["ContextRoutes"]

_encode = msgspec.json.Encoder().encode

_NO_SUCH_ENDPOINT: Final = (404, 405, 501)


class ContextRoutes:
    """The handlers of one server."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def register(self, routes: Routes) -> None:
        write = "api.responses.write"
        routes.add("POST", "/v1/responses/input_tokens", self.input_tokens, scope=write, cost="run")
        routes.add("POST", "/v1/responses/compact", self.compact, scope=write, cost="run")

    async def input_tokens(self, request: Request) -> Reply:
        asked = decode_tokens(await request.body())
        if asked.personality is not None:
            raise BadRequest(
                "Unsupported parameter: 'personality' is not supported by this server.",
                param="personality",
                code="unsupported_parameter",
            )
        order = Order(request=asked.created())
        # Who counts wants to know by how much it is too long.
        bounded = asked.truncation == "auto"
        plan = await self._runs.planner.plan(request.project, order, bounded=bounded)
        require_input(order.request)
        found = await measured(plan.upstream, plan.prompt)
        source = "engine" if found.exact else "estimate"
        return Reply(_encode(TokenCount(input_tokens=found.tokens)), headers={"catena-token-count": source})

    async def compact(self, request: Request) -> Reply:
        asked = decode_compact(await request.body())
        order = Order(request=asked.created(input=normalise_input(asked.input or [])))
        require_input(order.request)
        plan = await self._runs.planner.plan(request.project, order, bounded=False)
        if plan.upstream.dialect not in CHAT_DIALECTS:
            made = await _compacted_there(plan, asked)
            if made is not None:
                return made
        now = int(time.time())
        ids = TurnIds.new(new_tree(now), now)
        sealed, usage = await summed_up(plan, ())
        said = await self._said_by_users(request.project, plan)
        item: Item = {"id": ids.item("cmp_"), "type": "compaction", "encrypted_content": sealed}
        told = Compacted(
            id=ids.turn("resp_"),
            created_at=now,
            output=[*said, item],
            usage=_usage(usage),
        )
        return Reply(_encode(told))

    async def _said_by_users(self, project: str, plan: Plan) -> list[Item]:
        parent = plan.request.previous_response_id
        chain = [] if parent is None else await self._runs.store.load_chain(project, parent)
        earlier = [item for turn in chain_turns(chain) for item in (*turn.input, *turn.output)]
        return [listed_item(item) for item in (*earlier, *plan.items) if item.get("role") == "user"]


async def _compacted_there(plan: Plan, asked: CompactRequest) -> Reply | None:
    """What an engine of the Responses API makes of it; None if it has no such endpoint."""
    fields: dict[str, Any] = {
        name: msgspec.to_builtins(value)
        for name in asked.__struct_fields__
        if name not in ("input", "previous_response_id") and (value := getattr(asked, name)) is not None
    }
    items = msgspec.Raw(b"[" + b",".join(plan.prompt.fragments) + b"]")
    body = _encode({**fields, "model": plan.prompt.model, "input": items})
    status, content_type, answer = await plan.upstream.forward("/responses/compact", body)
    return None if status in _NO_SUCH_ENDPOINT else Reply(answer, status, content_type)


def _usage(report: UsageReport) -> Usage:
    return Usage(
        input_tokens=report.input_tokens,
        output_tokens=report.output_tokens,
        total_tokens=report.input_tokens + report.output_tokens,
        input_tokens_details=InputTokensDetails(report.cached_tokens, report.cache_write_tokens),
        output_tokens_details=OutputTokensDetails(report.reasoning_tokens),
    )
