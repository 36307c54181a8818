"""The promises of `Documents`, held against every implementation.

A test module has a class that inherits from `DocumentsContract`, and the two fixtures of the contract of stores:
`store`, which is empty, and `reopen`, which closes that store and opens it again.
"""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from catena.errors import NotFound
from catena.store import Document, Page, Store
from catena.store.documents import SERVER
from tests.store.contract import Reopen

__all__ = ["DocumentsContract", "a_document"]


def a_document(
    number: int = 1, *, kind: str = "key", project: str = "p", body: bytes = b'{"n": 0}'
) -> Document:
    return Document(kind=kind, project=project, id=f"id_{number}", created_at=1000 + number, body=body)


class DocumentsContract:
    async def test_a_document_is_read_as_it_was_stored(self, store: Store) -> None:
        document = a_document(body='{"name": "Grüße, 世界 \\u0000", "deep": [[1.5, null]]}'.encode())
        assert await store.documents.add(document)
        assert await store.documents.get("key", "p", "id_1") == document

    async def test_kind_project_and_id_tell_documents_apart(self, store: Store) -> None:
        places = [(kind, project) for kind in ("key", "project") for project in ("p", "q", SERVER)]
        for kind, project in places:
            made = a_document(kind=kind, project=project, body=msgspec.json.encode([kind, project]))
            assert await store.documents.add(made)
        for kind, project in places:
            found = await store.documents.get(kind, project, "id_1")
            assert found is not None
            assert msgspec.json.decode(found.body) == [kind, project]

    async def test_what_is_not_there_is_nothing_in_every_verb(self, store: Store) -> None:
        await store.documents.add(a_document(1))
        for kind, project, document_id in (
            ("key", "p", "id_2"),
            ("key", "q", "id_1"),
            ("other", "p", "id_1"),
            ("key", SERVER, "id_1"),
        ):
            assert await store.documents.get(kind, project, document_id) is None
            assert await store.documents.change(kind, project, document_id, lambda _: b"{}") is None
            assert not await store.documents.drop(kind, project, document_id)
        assert await store.documents.list("other", "p", Page()) == ([], False)
        assert await store.documents.get("key", "p", "id_1") == a_document(1)

    async def test_one_that_is_there_is_not_added_again(self, store: Store) -> None:
        assert await store.documents.add(a_document())
        assert not await store.documents.add(a_document(body=b'{"n": 2}'))
        assert await store.documents.get("key", "p", "id_1") == a_document()

    async def test_of_many_who_add_the_same_one_does(self, store: Store) -> None:
        bodies = [b'{"n": %d}' % number for number in range(10)]
        added = await asyncio.gather(*(store.documents.add(a_document(body=body)) for body in bodies))
        assert sum(added) == 1
        assert await store.documents.get("key", "p", "id_1") == a_document(body=bodies[added.index(True)])

    async def test_one_that_is_put_takes_the_place_of_the_one_before(self, store: Store) -> None:
        for body in (b'{"n": 1}', b'{"n": 2}'):
            await store.documents.put(a_document(body=body))
            assert await store.documents.get("key", "p", "id_1") == a_document(body=body)
        assert await store.documents.list("key", "p", Page()) == ([a_document(body=b'{"n": 2}')], False)

    async def test_changes_at_the_same_time_are_all_made(self, store: Store) -> None:
        await store.documents.add(a_document())

        def one_more(body: bytes) -> bytes:
            return msgspec.json.encode({"n": msgspec.json.decode(body)["n"] + 1})

        await asyncio.gather(*(store.documents.change("key", "p", "id_1", one_more) for _ in range(20)))
        changed = await store.documents.change("key", "p", "id_1", one_more)
        assert changed is not None
        assert msgspec.json.decode(changed.body) == {"n": 21}
        assert await store.documents.get("key", "p", "id_1") == changed
        assert changed.created_at == a_document().created_at

    async def test_a_change_that_cannot_be_made_changes_nothing(self, store: Store) -> None:
        await store.documents.add(a_document())

        def refuse(body: bytes) -> bytes:
            raise ValueError("not today")

        with pytest.raises(ValueError, match="not today"):
            await store.documents.change("key", "p", "id_1", refuse)
        assert await store.documents.get("key", "p", "id_1") == a_document()

    async def test_a_dropped_document_is_gone_and_its_place_is_free(self, store: Store) -> None:
        await store.documents.add(a_document())
        assert await store.documents.drop("key", "p", "id_1")
        assert not await store.documents.drop("key", "p", "id_1")
        assert await store.documents.get("key", "p", "id_1") is None
        assert await store.documents.add(a_document(body=b"{}"))

    async def test_a_list_is_read_page_by_page_in_both_orders(self, store: Store) -> None:
        made = [a_document(number) for number in range(1, 8)]
        for document in reversed(made):
            await store.documents.add(document)
        await store.documents.add(a_document(9, project="q"))
        await store.documents.add(a_document(9, kind="other"))
        for ascending, expected in ((True, made), (False, made[::-1])):
            seen: list[Document] = []
            more = True
            while more:
                after = seen[-1].id if seen else None
                page, more = await store.documents.list(
                    "key", "p", Page(limit=3, after=after, ascending=ascending)
                )
                assert len(page) == 3 or not more
                seen += page
            assert seen == expected

    async def test_documents_of_the_same_second_are_listed_once_each(self, store: Store) -> None:
        for number in (3, 1, 2):
            made = msgspec.structs.replace(a_document(number), created_at=5)
            await store.documents.add(made)
        first, more = await store.documents.list("key", "p", Page(limit=2))
        assert ([each.id for each in first], more) == (["id_1", "id_2"], True)
        rest, more = await store.documents.list("key", "p", Page(limit=2, after="id_2"))
        assert ([each.id for each in rest], more) == (["id_3"], False)

    async def test_a_list_after_what_is_not_in_it_is_not_found(self, store: Store) -> None:
        await store.documents.add(a_document(1))
        await store.documents.add(a_document(2, project="q"))
        for unknown in ("id_2", "id_3"):
            with pytest.raises(NotFound, match=unknown):
                await store.documents.list("key", "p", Page(after=unknown))

    async def test_documents_are_there_after_a_restart(self, store: Store, reopen: Reopen) -> None:
        await store.documents.add(a_document())
        again = await reopen()
        assert await again.documents.get("key", "p", "id_1") == a_document()
