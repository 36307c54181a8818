"""`GET /v1/responses`, `/v1/responses/{id}/lineage` and `…/context`: what is stored, as lists, as trees, and as models
saw it.

These are extensions: the API itself lists no responses. The entries are light: where a turn stands, what it is and its
first words; the turn itself is got by its id.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast, get_args

import msgspec

from catena.errors import BadRequest, NotFound
from catena.planning import Planner
from catena.seen import Seen, alone, seen
from catena.store import Page, Store
from catena.store.lineage import PARTS, NoSearch, Part, Shape, Sketch, Status, TreeSketch, Wanted
from catena.web.http import Query, Reply, Request, json_reply
from catena.web.lists import listing
from catena.web.routes import Routes
from catena.wire.first_words import answered, asked
from catena.wire.items import listed_item
from catena.wire.lineage import Place, lineage_object, tree_object
from catena.wire.words import Term, terms

__all__ = ["LineageRoutes"]

_NEVER: Final = -1
_MOST_TERMS: Final = 32
_LISTS: Final = (
    "limit",
    "after",
    "order",
    "model",
    "status",
    "created_after",
    "created_before",
    "conversation",
)
_KNOWN: Final = frozenset((*_LISTS, "roots", "q"))


class LineageRoutes:
    """The handlers of one server."""

    def __init__(self, store: Store, planner: Planner) -> None:
        self._store = store
        self._planner = planner

    def register(self, routes: Routes) -> None:
        read = "api.responses.read"
        routes.add("GET", "/v1/responses", self.list, scope=read)
        routes.add("GET", "/v1/responses/{response_id}/lineage", self.lineage, scope=read)
        routes.add("GET", "/v1/responses/{response_id}/context", self.context, scope=read)

    async def lineage(self, request: Request) -> Reply:
        (response_id,) = request.path_ids
        query = request.query()
        part = cast("Part", query.choice("part", "tree", PARTS))
        page = Page(limit=query.integer("limit", 100, least=1, most=1000), after=query.one("after"))
        try:
            found = await self._store.lineage.part(request.project, response_id, part, page)
        except NotFound as error:
            raise _no_such_place(error) from error
        if found is None:
            raise NotFound(f"Response with id '{response_id}' not found.")
        shape, sketches, has_more = found
        page_of_tree = listing([_entry(sketch, shape.root) for sketch in sketches], has_more=has_more)
        return json_reply({**page_of_tree, "tree": _shape(shape)})

    async def context(self, request: Request) -> Reply:
        (response_id,) = request.path_ids
        if request.query().flag("own"):
            found = await alone(self._store, request.project, response_id)
        else:
            found = await seen(self._store, self._planner, request.project, response_id)
        if found is None:
            raise NotFound(f"Response with id '{response_id}' not found.")
        return json_reply(_context(found))

    async def list(self, request: Request) -> Reply:
        query = request.query()
        _check_known(query)
        roots = query.flag("roots")
        orders = ("desc",) if roots else ("asc", "desc")
        page = Page(
            limit=query.integer("limit", 20, least=1, most=100),
            after=query.one("after"),
            ascending=query.choice("order", "desc", orders) == "asc",
        )
        wanted = _wanted(query)
        lineage = self._store.lineage
        try:
            if roots:
                trees, has_more = await lineage.list_trees(request.project, page, wanted)
                return json_reply(listing([_tree(tree) for tree in trees], has_more=has_more))
            sketches, has_more = await lineage.list_turns(request.project, page, wanted)
            return json_reply(listing([_entry(sketch) for sketch in sketches], has_more=has_more))
        except NotFound as error:
            raise _no_such_place(error) from error
        except NoSearch as error:
            raise _no_search(encrypted=error.encrypted) from error


def _wanted(query: Query) -> Wanted:
    status = query.choice("status", "", get_args(Status))
    return Wanted(
        model=query.one("model") or None,
        status=cast("Status", status) if status else None,
        metadata=query.keyed("metadata"),
        created_after=_time(query, "created_after"),
        created_before=_time(query, "created_before"),
        conversation=query.one("conversation") or None,
        words=_words(query),
    )


def _words(query: Query) -> Sequence[Term]:
    text = query.one("q")
    if not text:
        return ()
    found = terms(text)
    if not 0 < len(found) <= _MOST_TERMS:
        raise BadRequest(
            f"Invalid 'q': expected one to {_MOST_TERMS} words or \"phrases in quotes\" to look for, but got "
            f"{len(found)} instead.",
            param="q",
            code="invalid_value",
        )
    return found


def _no_search(*, encrypted: bool) -> BadRequest:
    why = "`search.enabled` is switched off, or its database has no index of them."
    if encrypted:
        why = "contents are encrypted (`store.encryption_key_file`), and an index of their words would tell them."
    return BadRequest(
        f"Unsupported parameter: 'q'. This server does not look for words: {why}",
        param="q",
        code="unsupported_parameter",
    )


def _time(query: Query, name: str) -> int | None:
    seconds = query.integer(name, _NEVER, least=0, most=2**40)
    return None if seconds == _NEVER else seconds


def _check_known(query: Query) -> None:
    for name, _ in query.pairs:
        if name not in _KNOWN and not (name.startswith("metadata[") and name.endswith("]")):
            raise BadRequest(
                f"Unknown parameter: '{name}'. This list takes {', '.join(sorted(_KNOWN))} and metadata[key].",
                param=name,
                code="unknown_parameter",
            )


def _no_such_place(error: NotFound) -> BadRequest:
    return BadRequest(f"Invalid 'after': {error.message}", param="after", code="invalid_value")


def _entry(sketch: Sketch, root: str | None = None) -> dict[str, Any]:
    # What was put into a conversation by hand stands in the tree that bears the conversation's id.
    by_hand = sketch.door == "conversation"
    entry = lineage_object(
        Place(
            id=sketch.id,
            parent=sketch.parent,
            endpoint=sketch.door,
            status=sketch.status,
            model=sketch.model,
            created_at=sketch.created_at,
            deleted=sketch.deleted,
            depth=sketch.depth,
            children=sketch.children,
            fields=sketch.fields,
            asked=asked(sketch.input.head, sketch.input.tail),
            answered=answered(sketch.output.head, sketch.output.tail),
            conversation=root if by_hand else None,
        )
    )
    return {**entry, "excerpt": sketch.excerpt} if sketch.excerpt else entry


def _context(found: Seen) -> dict[str, Any]:
    turn, response, engine = found.turn, found.response, found.engine
    return {
        "object": "response.context",
        "id": turn.id,
        "parent": turn.parent,
        "endpoint": turn.door,
        "model": turn.model,
        "status": turn.status,
        "created_at": turn.created_at,
        "instructions": response.instructions,
        "tools": response.tools,
        "input": [listed_item(item) for item in found.items],
        "output": response.output,
        "whole": found.whole,
        "engine": msgspec.to_builtins(engine) if engine is not None else None,
        "engine_unavailable": found.why_not,
    }


def _shape(shape: Shape) -> dict[str, Any]:
    return tree_object(shape.root, turns=shape.turns, branches=shape.branches, depth=shape.depth)


def _tree(tree: TreeSketch) -> dict[str, Any]:
    root = tree.shape.root
    more = {"tree": _shape(tree.shape), "newest": _entry(tree.newest, root)}
    return {**_entry(tree.root, root), **more}
