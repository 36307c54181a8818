"""The turns that a list wants, one after another, also by what was said in them.

Turns in which words were found are few or many. Few are looked up, and put in order; if there are many, a page of them
is full soon when all turns are gone through in order. The planner cannot know which it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from catena.store.cipher import Cipher
from catena.store.lineage import Sketch, Wanted
from catena.store.paging import Page
from catena.store.postgres.database import Row, Session
from catena.store.postgres.rows import keys_of, labels_of, sealed_labels
from catena.store.postgres.statements import Q, ordered
from catena.store.postgres.words import of_project, query_for
from catena.store.rows import id_of, status_number
from catena.wire.words import excerpt, words_of

__all__ = ["Finding", "excerpted"]

_MANY: Final = 1000
"""Turns that are not looked up one by one any more; also in queries.sql, as the planner wants to know."""


class Finding:
    """Goes through the turns of a project that are as they are wanted, within a transaction."""

    def __init__(self, session: Session, which: dict[str, Any], how: str) -> None:
        self._session = session
        self._which = which
        self._how = how

    @classmethod
    async def begin(cls, session: Session, project: str, wanted: Wanted) -> Finding:
        which = _which(project, wanted, session.cipher)
        if not wanted.words:
            return cls(session, which, "")
        query = query_for(wanted.words)
        found: Sequence[Row] = ()
        if query is not None:
            which["query"] = f"{of_project(project)} & {query}"
            found = await session.fetch(Q["few"], which)
        if len(found) == _MANY:
            return cls(session, which, "_many")
        which["found_trees"] = [row["tree"] for row in found]
        which["found_ids"] = [row["turn"] for row in found]
        return cls(session, which, "_few")

    async def walk(self, page: Page, after: int | None) -> Sequence[Row]:
        """As many turns as the page has, and one more, from behind a number on."""
        values = {**self._which, "after": after, "limit": page.limit + 1}
        return await self._session.fetch(ordered(f"walk{self._how}", page), values)

    async def newest(self, trees: Sequence[bytes]) -> Sequence[Row]:
        """Of these trees the newest turns that are wanted."""
        return await self._session.fetch(Q[f"newest_wanted{self._how}"], {**self._which, "trees": trees})


async def excerpted(session: Session, sketches: Sequence[Sketch], wanted: Wanted) -> Sequence[Sketch]:
    """The sketches, each with where in it the words were found."""
    if not wanted.words or not sketches:
        return sketches
    rows = await session.fetch(Q["contents"], keys_of(sketch.id for sketch in sketches))
    texts = {
        id_of(row["tree"], row["id"]): words_of(row["input"] or b"[]", row["output"] or b"[]") for row in rows
    }
    return [
        msgspec.structs.replace(sketch, excerpt=excerpt(texts[sketch.id], wanted.words))
        for sketch in sketches
    ]


def _which(project: str, wanted: Wanted, cipher: Cipher) -> dict[str, Any]:
    labels = labels_of(wanted.metadata, wanted.conversation) or None
    return {
        "project": project,
        "model": wanted.model.encode() if wanted.model is not None else None,
        "status": status_number(wanted.status) if wanted.status is not None else None,
        "created_after": wanted.created_after,
        "created_before": wanted.created_before,
        "labels": labels,
        "sealed_labels": sealed_labels(labels, project, cipher),
    }
