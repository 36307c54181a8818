"""What a store keeps beside the turns: small objects under their ids, each a JSON object.

A kind is all that the store knows of them; what is in them is the business of who puts them there. They are few, as
keys and projects are, and each is read and written whole. A document is a project's own, or with the project "" the
server's. Several processes may share them: what one has written the next read of another sees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from catena.store.paging import Page

__all__ = ["SERVER", "Document", "Documents"]

SERVER = ""
"""The project of what belongs to no project, but to the server."""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One object. `created_at` is in unix seconds; `body` is JSON."""

    kind: str
    project: str = SERVER
    id: str
    created_at: int
    body: bytes

    def __repr__(self) -> str:
        return f"Document({self.kind!r}, {self.id!r})"  # contents get into no log


class Documents(Protocol):
    """The verbs, each one transaction. All raise StoreUnavailable, and none shows a document of another project."""

    async def add(self, document: Document) -> bool:
        """Store a new one. False if there is one of its kind, project and id already; that stays as it is."""
        ...

    async def put(self, document: Document) -> None:
        """Store one, in the place of what is there under its kind, project and id."""
        ...

    async def get(self, kind: str, project: str, document_id: str) -> Document | None:
        """One document; None if there is none."""
        ...

    async def list(self, kind: str, project: str, page: Page) -> tuple[Sequence[Document], bool]:
        """A project's documents of a kind in the order of `created_at`, then of their ids, and whether there are more.

        Raises NotFound if `page.after` is the id of none of them.
        """
        ...

    async def change(
        self, kind: str, project: str, document_id: str, change: Callable[[bytes], bytes]
    ) -> Document | None:
        """Replace a body by what `change` makes of it as it is now; None if there is no such document.

        `change` must do the same again if it is called again. What it raises is raised here, and nothing is changed.
        """
        ...

    async def drop(self, kind: str, project: str, document_id: str) -> bool:
        """Remove one at once and for good; False if there is none."""
        ...
