"""Conversations: items that are kept under one id, put in and taken out by hand or by the turns that use them.

A conversation is a name for the end of a chain. Each turn that answers in it moves that end on, and so does each call
that changes its items: what is put in is a turn without a model, what is taken out is a turn that says so. So nothing
is ever rewritten, a response keeps the context that it was made in, and chains and conversations are one thing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from catena.context.chain import ChainTurn, admit_part
from catena.errors import BadRequest, ConversationLocked, ConversationNotFound, NotFound
from catena.history import History
from catena.ids import TurnIds, new_tree, tree_of
from catena.incoming import dereferenced, foreign_ids, identified
from catena.pages import ItemPage, find_in_conversation, page_of_conversation
from catena.store import Conversation, Page, Store, Turn
from catena.wire.items import normalise_input
from catena.wire.response import Item

__all__ = ["Conversations"]

_encode = msgspec.json.Encoder().encode


class Conversations:
    """All conversations of a store.

    While a response is made in a conversation, its items stay as they are: who would change them is told
    ConversationLocked, as the next response is.
    """

    def __init__(self, store: Store, history: History, *, clock: Callable[[], float]) -> None:
        self._store = store
        self._history = history
        self._clock = clock

    async def create(self, project: str, items: Sequence[Item], metadata: Mapping[str, str]) -> Conversation:
        """A new one, which begins with `items`. Raises BadRequest, or NotFound for an item reference."""
        now = int(self._clock())
        ids = TurnIds.new(new_tree(now), now)
        given = await dereferenced(self._store, project, normalise_input(items))
        admit_part(None, given)
        first = self._turn(project, ids, [identified(item, ids) for item in given])
        conversation = Conversation(
            id=first.id, created_at=first.created_at, metadata=_encode(metadata), tip=first.id
        )
        await self._store.open_conversation(conversation, first)
        return conversation

    async def find(self, project: str, conversation_id: str) -> Conversation:
        """One that is there. Raises ConversationNotFound."""
        found = await self._store.load_conversation(project, conversation_id)
        if found is None:
            raise ConversationNotFound(conversation_id)
        return found

    async def list(
        self, project: str, page: Page, metadata: Mapping[str, str]
    ) -> tuple[Sequence[Conversation], bool]:
        """A page of those whose metadata has these pairs, and whether there is more. Raises BadRequest."""
        try:
            return await self._store.list_conversations(project, page, metadata=metadata)
        except ConversationNotFound as error:
            raise BadRequest(
                f"Invalid 'after': no conversation with id '{page.after}'.",
                param="after",
                code="invalid_value",
            ) from error

    async def update(self, project: str, conversation_id: str, metadata: Mapping[str, str]) -> Conversation:
        """Replace the metadata. Raises ConversationNotFound."""
        if not await self._store.set_conversation_metadata(project, conversation_id, _encode(metadata)):
            raise ConversationNotFound(conversation_id)
        return await self.find(project, conversation_id)

    async def delete(self, project: str, conversation_id: str) -> None:
        """Forget it. Its items stay in the context of the responses that were made in it.

        Raises ConversationNotFound.
        """
        if not await self._store.drop_conversation(project, conversation_id):
            raise ConversationNotFound(conversation_id)
        self._history.forget(project, conversation_id)

    async def items(
        self, project: str, conversation_id: str, *, limit: int, after: str | None, ascending: bool
    ) -> ItemPage:
        """A page of what is in it. Raises ConversationNotFound, or BadRequest for an `after` that is not."""
        return await page_of_conversation(
            self._store, project, conversation_id, limit=limit, after=after, ascending=ascending
        )

    async def item(self, project: str, conversation_id: str, item_id: str) -> Item:
        """One item of it. Raises ConversationNotFound, or NotFound."""
        item = await find_in_conversation(self._store, project, conversation_id, item_id)
        if item is None:
            raise NotFound(f"Item with id '{item_id}' not found in conversation.")
        return item

    async def add(self, project: str, conversation_id: str, items: Sequence[Item]) -> Sequence[Item]:
        """Put items in at its end. Returns them as they are kept.

        Raises ConversationNotFound, ConversationLocked, NotFound for an item reference, or BadRequest for an output
        without call and for an id that is there already.
        """
        given = await dereferenced(self._store, project, normalise_input(items))
        while True:
            conversation = await self._unheld(project, conversation_id)
            link, tip = await self._history.outline(project, conversation)
            admit_part(link, given)
            ids = self._ids(conversation_id)
            kept = [identified(item, ids) for item in given]
            turn = self._turn(project, ids, kept, parent=tip, conversation=conversation_id)
            if await self._append(turn):
                self._history.grow(project, tip, ChainTurn(turn.id, "", kept, ()))
                return kept

    async def remove(self, project: str, conversation_id: str, item_id: str) -> Conversation:
        """Take an item out, so that no later response sees it.

        Raises ConversationNotFound, ConversationLocked, or NotFound if the item is not there.
        """
        while True:
            conversation = await self._unheld(project, conversation_id)
            await self.item(project, conversation_id, item_id)
            turn = self._turn(
                project, self._ids(conversation_id), (), parent=conversation.tip, conversation=conversation_id
            )
            if await self._append(replace(turn, fields=_encode({"removed": [item_id]}))):
                return conversation

    async def _unheld(self, project: str, conversation_id: str) -> Conversation:
        conversation = await self.find(project, conversation_id)
        if conversation.busy:
            raise ConversationLocked
        return conversation

    async def _append(self, turn: Turn) -> bool:
        """Whether the conversation still ended with the turn's parent. If not, another has changed it just now."""
        try:
            await self._store.extend_conversation(turn)
        except ConversationLocked:
            return False
        return True

    def _ids(self, conversation_id: str) -> TurnIds:
        tree = tree_of(conversation_id)
        assert tree is not None  # it is stored
        return TurnIds.new(tree, int(self._clock()))

    def _turn(
        self,
        project: str,
        ids: TurnIds,
        items: Sequence[Item],
        *,
        parent: str | None = None,
        conversation: str | None = None,
    ) -> Turn:
        return Turn(
            project=project,
            id=ids.turn("conv_"),
            tree=ids.tree,
            parent=parent,
            door="conversation",
            status="completed",
            model="",
            created_at=int(self._clock()),
            input=_encode(items),
            foreign_ids=foreign_ids(items, ids),
            conversation=conversation,
        )
