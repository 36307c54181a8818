"""Documents in PostgreSQL. Who changes one writes it only if it is still as it was read, and else begins anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from catena.errors import NotFound
from catena.store.documents import Document
from catena.store.paging import Page
from catena.store.postgres.database import Database, Row
from catena.store.postgres.statements import Q, ordered

__all__ = ["PostgresDocuments"]


class PostgresDocuments:
    """See `Documents`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, document: Document) -> bool:
        return bool(await self._database.fetch(Q["add_document"], _values_of(document)))

    async def put(self, document: Document) -> None:
        await self._database.fetch(Q["put_document"], _values_of(document))

    async def get(self, kind: str, project: str, document_id: str) -> Document | None:
        rows = await self._database.fetch(Q["document"], _place(kind, project, document_id))
        return _document(kind, project, rows[0]) if rows else None

    async def list(self, kind: str, project: str, page: Page) -> tuple[Sequence[Document], bool]:
        which = {**_place(kind, project, ""), "created_at": None, "limit": page.limit + 1}
        if page.after is not None:
            after = await self.get(kind, project, page.after)
            if after is None:
                raise NotFound(f"No object with id '{page.after}' found.", param="after")
            which |= {"created_at": after.created_at, "id": after.id.encode()}
        rows = await self._database.fetch(ordered("list_documents", page), which)
        return [_document(kind, project, row) for row in rows[: page.limit]], len(rows) > page.limit

    async def change(
        self, kind: str, project: str, document_id: str, change: Callable[[bytes], bytes]
    ) -> Document | None:
        place = _place(kind, project, document_id)
        while rows := await self._database.fetch(Q["document"], place):
            before: bytes = rows[0]["body"]
            body = change(before)
            if await self._database.fetch(Q["set_document"], {**place, "body": body, "body_before": before}):
                return _document(kind, project, {**rows[0], "body": body})
        return None

    async def drop(self, kind: str, project: str, document_id: str) -> bool:
        return bool(await self._database.fetch(Q["drop_document"], _place(kind, project, document_id)))


def _place(kind: str, project: str, document_id: str) -> dict[str, Any]:
    return {"kind": kind, "project": project, "id": document_id.encode()}


def _values_of(document: Document) -> dict[str, Any]:
    place = _place(document.kind, document.project, document.id)
    return {**place, "created_at": document.created_at, "body": document.body}


def _document(kind: str, project: str, row: Row) -> Document:
    return Document(
        kind=kind, project=project, id=row["id"].decode(), created_at=row["created_at"], body=row["body"]
    )
