"""`/v1/conversations`: conversations and their items (spec §1.2, §6)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from catena.conversations import Conversations
from catena.errors import BadRequest, NotFound
from catena.store import Conversation, Page
from catena.web.http import Reply, Request, json_reply
from catena.web.lists import item_page, item_paging, listing
from catena.web.responses import check_include
from catena.web.routes import Routes
from catena.wire.conversations import (
    AddItems,
    CreateConversation,
    UpdateConversation,
    conversation_object,
    decode_asked,
)
from catena.wire.items import listed_item

__all__ = ["ConversationRoutes"]


class ConversationRoutes:
    """The handlers of one server."""

    def __init__(self, conversations: Conversations) -> None:
        self._conversations = conversations

    def register(self, routes: Routes) -> None:
        path = "/v1/conversations"
        one = "/v1/conversations/{conversation_id}"
        item = f"{one}/items/{{item_id}}"
        read, write = "api.conversations.read", "api.conversations.write"
        routes.add("POST", path, self.create, scope=write, cost="storage")
        routes.add("GET", path, self.list, scope=read)
        routes.add("GET", one, self.retrieve, scope=read)
        routes.add("POST", one, self.update, scope=write)
        routes.add("DELETE", one, self.delete, scope=write)
        routes.add("POST", f"{one}/items", self.add_items, scope=write, cost="storage")
        routes.add("GET", f"{one}/items", self.list_items, scope=read)
        routes.add("GET", item, self.retrieve_item, scope=read)
        routes.add("DELETE", item, self.delete_item, scope=write)

    async def create(self, request: Request) -> Reply:
        asked = decode_asked(await request.body(), CreateConversation)
        with _about_items():
            created = await self._conversations.create(
                request.project, asked.items or (), asked.metadata or {}
            )
        return _object(created)

    async def list(self, request: Request) -> Reply:
        query = request.query()
        page = Page(
            limit=query.integer("limit", 20, least=1, most=100),
            after=query.one("after"),
            ascending=query.choice("order", "desc", ("asc", "desc")) == "asc",
        )
        listed, has_more = await self._conversations.list(request.project, page, query.keyed("metadata"))
        return json_reply(listing([_shape(conversation) for conversation in listed], has_more=has_more))

    async def retrieve(self, request: Request) -> Reply:
        (conversation_id,) = request.path_ids
        return _object(await self._conversations.find(request.project, conversation_id))

    async def update(self, request: Request) -> Reply:
        (conversation_id,) = request.path_ids
        await self._conversations.find(request.project, conversation_id)
        asked = decode_asked(await request.body(), UpdateConversation)
        return _object(
            await self._conversations.update(request.project, conversation_id, asked.metadata or {})
        )

    async def delete(self, request: Request) -> Reply:
        (conversation_id,) = request.path_ids
        await self._conversations.delete(request.project, conversation_id)
        return json_reply({"id": conversation_id, "object": "conversation.deleted", "deleted": True})

    async def add_items(self, request: Request) -> Reply:
        (conversation_id,) = request.path_ids
        check_include(request.query().many("include"))
        await self._conversations.find(request.project, conversation_id)
        asked = decode_asked(await request.body(), AddItems)
        with _about_items():
            added = await self._conversations.add(request.project, conversation_id, asked.items)
        return json_reply(listing([listed_item(item) for item in added], has_more=False))

    async def list_items(self, request: Request) -> Reply:
        (conversation_id,) = request.path_ids
        query = request.query()
        paging = item_paging(query)
        check_include(query.many("include"))
        return item_page(await self._conversations.items(request.project, conversation_id, **paging))

    async def retrieve_item(self, request: Request) -> Reply:
        conversation_id, item_id = request.path_ids
        check_include(request.query().many("include"))
        item = await self._conversations.item(request.project, conversation_id, item_id)
        return json_reply(listed_item(item))

    async def delete_item(self, request: Request) -> Reply:
        conversation_id, item_id = request.path_ids
        return _object(await self._conversations.remove(request.project, conversation_id, item_id))


@contextlib.contextmanager
def _about_items() -> Iterator[None]:
    """What is called input elsewhere are items here."""
    try:
        yield
    except (BadRequest, NotFound) as error:
        if error.param == "input":
            error.param = "items"
        raise


def _object(conversation: Conversation) -> Reply:
    return json_reply(_shape(conversation))


def _shape(conversation: Conversation) -> dict[str, Any]:
    return conversation_object(conversation.id, conversation.created_at, conversation.metadata)
