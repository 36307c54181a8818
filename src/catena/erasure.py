"""All that belongs to one end user of a project, removed at once and for good, with a report of what that was.

What is theirs is told by `safety_identifier` or `user`, which a client sends with each request. Where a server keeps
end users apart, everything under their own name is theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from catena.errors import ConversationNotFound
from catena.history import History
from catena.store import Page, Store
from catena.store.housekeeping import PersonsTurn

__all__ = ["Erased", "Erasure"]

_PAGE: Final = 100


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """The ids of what was removed, or would be.

    `conversations` went whole, as nobody else had a response in them. `running` was left: it is to be cancelled first.
    """

    responses: Sequence[str] = ()
    conversations: Sequence[str] = ()
    files: Sequence[str] = ()
    running: Sequence[str] = ()


class Erasure:
    """Finds and removes what is one person's."""

    def __init__(self, store: Store, history: History) -> None:
        self._store = store
        self._history = history

    async def erase(self, project: str, end_user: str, *, now: int, dry_run: bool = False) -> Erased:
        """Remove what the project has of an end user; with `dry_run` only find it. `now` is in unix seconds."""
        apart = project.partition("/")[2] == end_user
        turns = await self._store.housekeeping.turns_of(project, None if apart else end_user)
        erased = Erased(
            responses=[turn.id for turn in turns if turn.ended],
            conversations=await self._conversations(project, turns, everything=apart),
            files=await self._files(project, now) if apart else (),
            running=[turn.id for turn in turns if not turn.ended],
        )
        if not dry_run:
            await self._remove(project, erased, now)
        return erased

    async def _conversations(
        self, project: str, turns: Sequence[PersonsTurn], *, everything: bool
    ) -> Sequence[str]:
        """Those in which all responses are theirs."""
        if everything:
            return await self._all_conversations(project)
        theirs = {turn.id for turn in turns}
        named = dict.fromkeys(turn.conversation for turn in turns if turn.conversation is not None)
        return [each for each in named if await self._is_all_theirs(project, each, theirs)]

    async def _is_all_theirs(self, project: str, conversation_id: str, theirs: set[str]) -> bool:
        try:
            chain = await self._store.conversation_chain(project, conversation_id)
        except ConversationNotFound:
            return False
        return all(turn.door == "conversation" or turn.deleted or turn.id in theirs for turn in chain)

    async def _all_conversations(self, project: str) -> Sequence[str]:
        found: list[str] = []
        page = Page(limit=_PAGE)
        while True:
            listed, has_more = await self._store.list_conversations(project, page)
            found += [each.id for each in listed]
            if not has_more:
                return found
            page = Page(limit=_PAGE, after=found[-1])

    async def _files(self, project: str, now: int) -> Sequence[str]:
        found: list[str] = []
        page = Page(limit=_PAGE)
        while True:
            listed, has_more = await self._store.files.list(project, page, now=now)
            found += [each.id for each in listed]
            if not has_more:
                return found
            page = Page(limit=_PAGE, after=found[-1])

    async def _remove(self, project: str, erased: Erased, now: int) -> None:
        for response_id in erased.responses:
            await self._store.delete(project, response_id)
            self._history.forget(project, response_id)
        for conversation_id in erased.conversations:
            await self._remove_conversation(project, conversation_id)
        for file_id in erased.files:
            await self._store.files.drop(project, file_id, now=now)

    async def _remove_conversation(self, project: str, conversation_id: str) -> None:
        try:
            chain = await self._store.conversation_chain(project, conversation_id)
        except ConversationNotFound:
            return
        await self._store.drop_conversation(project, conversation_id)
        for turn in chain:
            # What a response had in its context stays when a conversation goes; these responses are gone as well.
            if turn.door == "conversation" and not turn.deleted:
                await self._store.delete(project, turn.id)
        self._history.forget(project, conversation_id)
