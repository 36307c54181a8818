"""The promises of a store's files, held against every implementation: see `contract`."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from catena.store import Page, Store, StoredFile
from catena.store.files import PIECE, new_blob, piece_count
from tests.store.turns import NOW

__all__ = ["FileContract"]

LARGE = bytes(range(256)) * 1024 * 2 + b"the end"
"""More than two pieces."""


async def put(store: Store, content: bytes = b"hello", number: int = 1, **changes: Any) -> StoredFile:
    """A file whose pieces were written first."""
    blob = new_blob(NOW)
    for piece in range(piece_count(len(content))):
        await store.files.add_piece(blob, piece, content[piece * PIECE : (piece + 1) * PIECE])
    file = StoredFile(
        project="default",
        id=f"file-{number:032x}",
        filename="a.txt",
        purpose="user_data",
        created_at=NOW,
        size=len(content),
        digest=hashlib.sha256(content).digest(),
        blob=blob,
    )
    return await store.files.add(msgspec.structs.replace(file, **changes))


async def content_of(store: Store, file: StoredFile) -> bytes | None:
    pieces = [await store.files.load_piece(file, number) for number in range(piece_count(file.size))]
    return None if None in pieces else b"".join(piece or b"" for piece in pieces)


async def listed(store: Store, page: Page, **options: Any) -> tuple[list[str], bool]:
    files, more = await store.files.list("default", page, **{"now": NOW, **options})
    return [file.id for file in files], more


class FileContract:
    async def test_a_file_is_as_it_was_added_also_after_the_store_was_opened_again(
        self, store: Store, reopen: Any
    ) -> None:
        file = await put(store, LARGE, filename="ünïcode 😀.txt", expires_at=NOW + 3600)
        store = await reopen()
        assert await store.files.load("default", file.id, now=NOW) == file
        assert await content_of(store, file) == LARGE

    async def test_an_empty_file_is_a_file(self, store: Store) -> None:
        file = await put(store, b"")
        assert await store.files.load("default", file.id, now=NOW) == file
        assert await content_of(store, file) == b""

    async def test_a_piece_beyond_the_end_is_none(self, store: Store) -> None:
        file = await put(store)
        assert await store.files.load_piece(file, 1) is None

    async def test_files_are_listed_in_the_order_of_their_ids_page_by_page(self, store: Store) -> None:
        ids = [(await put(store, b"%d" % number, number)).id for number in (3, 1, 2)]
        one, two, three = sorted(ids)
        assert await listed(store, Page(limit=2)) == ([one, two], True)
        assert await listed(store, Page(limit=2, after=two)) == ([three], False)
        assert await listed(store, Page(limit=3, ascending=False)) == ([three, two, one], False)
        assert await listed(store, Page(limit=1, ascending=False, after=three)) == ([two], True)

    async def test_a_list_goes_on_behind_a_file_that_was_deleted(self, store: Store) -> None:
        one, two, three = [(await put(store, b"%d" % number, number)).id for number in (1, 2, 3)]
        assert await store.files.drop("default", two, now=NOW)
        assert await listed(store, Page(after=two)) == ([three], False)
        assert await listed(store, Page(after=two, ascending=False)) == ([one], False)

    async def test_a_list_can_be_of_one_purpose(self, store: Store) -> None:
        await put(store)
        vision = await put(store, number=2, purpose="vision")
        assert await listed(store, Page(), purpose="vision") == ([vision.id], False)

    async def test_another_project_has_no_such_file(self, store: Store) -> None:
        file = await put(store)
        assert await store.files.load("other", file.id, now=NOW) is None
        assert not await store.files.drop("other", file.id, now=NOW)
        assert (await store.files.list("other", Page(), now=NOW)) == ([], False)
        assert await content_of(store, file) == b"hello"

    async def test_what_has_expired_is_not_there(self, store: Store) -> None:
        file = await put(store, expires_at=NOW + 10)
        assert await store.files.load("default", file.id, now=NOW + 9) == file
        assert await store.files.load("default", file.id, now=NOW + 10) is None
        assert await listed(store, Page(), now=NOW + 10) == ([], False)
        assert not await store.files.drop("default", file.id, now=NOW + 10)

    async def test_what_has_expired_is_removed_at_most_so_many_at_once(self, store: Store) -> None:
        files = [
            await put(store, b"%d" % number, number, expires_at=NOW + number, project=f"p{number}")
            for number in range(1, 5)
        ]
        assert await store.files.expire(NOW) == 0
        assert await store.files.expire(NOW + 3, limit=2) == 2
        assert await store.files.expire(NOW + 3, limit=2) == 1
        assert await store.files.expire(NOW + 3, limit=2) == 0
        assert [await content_of(store, file) for file in files] == [None, None, None, b"4"]

    async def test_a_file_that_is_dropped_is_gone_with_its_contents(self, store: Store) -> None:
        file = await put(store, LARGE)
        assert await store.files.drop("default", file.id, now=NOW)
        assert await store.files.load("default", file.id, now=NOW) is None
        assert await store.files.load_piece(file, 0) is None
        assert not await store.files.drop("default", file.id, now=NOW)

    async def test_the_same_contents_are_kept_once_until_their_last_file_goes(self, store: Store) -> None:
        one = await put(store, LARGE)
        two = await put(store, LARGE, number=2)
        assert two.blob == one.blob
        assert await store.files.drop("default", one.id, now=NOW)
        assert await content_of(store, two) == LARGE
        assert await store.files.drop("default", two.id, now=NOW)
        assert await store.files.load_piece(two, 0) is None

    async def test_projects_share_no_contents(self, store: Store) -> None:
        one = await put(store)
        two = await put(store, project="other")
        assert one.blob != two.blob
        assert await store.files.drop("default", one.id, now=NOW)
        assert await content_of(store, two) == b"hello"

    async def test_pieces_that_no_file_claims_are_dropped_after_a_while(self, store: Store) -> None:
        kept = await put(store)
        blob = new_blob(NOW)
        for number in range(2):
            await store.files.add_piece(blob, number, b"x")
        lost = msgspec.structs.replace(kept, blob=blob)
        assert await store.files.drop_abandoned(NOW) == 0
        assert await store.files.load_piece(lost, 1) == b"x"
        assert await store.files.drop_abandoned(NOW + 1) == 1
        assert await store.files.load_piece(lost, 1) is None
        assert await content_of(store, kept) == b"hello"

    async def test_pieces_can_be_given_up(self, store: Store) -> None:
        file = await put(store)
        blob = new_blob(NOW)
        await store.files.add_piece(blob, 0, b"x")
        await store.files.abandon(blob)
        assert await store.files.load_piece(msgspec.structs.replace(file, blob=blob), 0) is None
        assert await content_of(store, file) == b"hello"
