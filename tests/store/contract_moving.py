"""The promises of `Movable`, held against every implementation. Its user has a fixture `house`, which is empty, and one
`other`, which is empty as well."""

from __future__ import annotations

import hashlib
from collections import Counter
from io import BytesIO
from typing import Any

import pytest
from msgspec.structs import replace

from catena.errors import PreviousResponseNotFound
from catena.ids import TurnIds, new_tree
from catena.moving import BadLine, arrive, last_place, leave
from catena.moving.leaving import House
from catena.moving.lines import PieceLine, TreeLine, decode_line
from catena.store import Conversation, Document, Endpoint, Page, StoredFile, Turn
from catena.store.files import PIECE, new_blob, piece_count
from catena.store.moving import AnotherProject, TreeCopy, TreeName, Which
from tests.store.turns import NOW, a_turn, items, message, running

ALL = Which()
CONTENTS = bytes(range(256)) * 1100
IMAGE = "data:image/png;base64," + "iVBORw0KGgo" * 400


def endpoint(number: int) -> Endpoint:
    return Endpoint(
        id=f"we_{number}",
        name="n",
        url="https://example.org",
        event_types=["response.completed"],
        secret="whsec_" + "a" * 32,
        created_at=NOW + number,
        updated_at=NOW,
    )


async def add_file(house: House, file_id: str, contents: bytes) -> None:
    file = StoredFile(
        project="filer",
        id=file_id,
        filename="n.txt",
        purpose="user_data",
        created_at=NOW,
        size=len(contents),
        digest=hashlib.sha256(contents).digest(),
        blob=new_blob(NOW),
    )
    for number in range(piece_count(len(contents))):
        await house.files.add_piece(file.blob, number, contents[number * PIECE : (number + 1) * PIECE])
    await house.files.add(file)


def file_message(file_id: str) -> dict[str, Any]:
    part = {"type": "input_file", "file_id": file_id}
    return {"id": "msg_" + file_id[5:], "type": "message", "role": "user", "content": [part]}


async def contents_of(house: House, file_id: str) -> bytes:
    file = await house.files.load("filer", file_id, now=NOW)
    assert file is not None
    pieces = [await house.files.load_piece(file, number) for number in range(piece_count(file.size))]
    return b"".join(piece or b"" for piece in pieces)


async def lived_in(house: House) -> list[Turn]:
    """A house with two projects: a tree with a fork, a tombstone, an image that is told twice, and a conversation."""
    root = a_turn(None, "root")
    see = a_turn(root, input=items(message("msg_clients-own", IMAGE), message("msg_again", IMAGE)))
    gone = a_turn(see, "gone")
    turns = [root, see, gone, a_turn(gone, "leaf"), a_turn(root, "fork", status="failed", created_at=NOW + 9)]
    elsewhere = a_turn(None, "elsewhere", project="other", listed=True)
    for turn in [*turns, elsewhere]:
        await house.finish(turn)
    await house.delete("default", gone.id)
    ids = TurnIds.new(new_tree(NOW), NOW)
    first = a_turn(None, id=ids.turn("conv_"), tree=ids.tree, door="conversation", output=b"[]")
    named = Conversation(id=first.id, created_at=NOW, metadata=b'{"a":"b"}', tip=first.id)
    await house.open_conversation(named, first)
    for number in range(2):
        await house.add_endpoint("other", endpoint(number))
    await add_file(house, "file_1", CONTENTS)
    await add_file(house, "file_2", b"")
    for kind, each, body in (("project", "other", b"{}"), ("key", "key_1", b'{"project":"default"}')):
        await house.documents.add(Document(kind=kind, id=each, created_at=NOW, body=body))
    return [*turns, elsewhere, first]


async def everything(house: House) -> list[Any]:
    names = await house.trees(ALL)
    return [
        await house.projects(),
        *[await house.copy_tree(name) for name in names],
        *[await house.endpoints(name) for name in await house.projects()],
    ]


async def exported(house: House, which: Which = ALL) -> bytes:
    file = BytesIO()
    await leave(house, file, which, now=NOW)
    return file.getvalue()


def kinds_in(kinds: list[str]) -> dict[str, int]:
    counts = Counter(kind.removesuffix("Line") for kind in kinds)
    return {kind: counts[kind] for kind in ("Document", "File", "Piece") if counts[kind]}


def lines(export: bytes) -> list[bytes]:
    return export.splitlines(keepends=True)


class MovingContract:
    async def test_everything_arrives_as_it_left(self, house: House, other: House) -> None:
        turns = await lived_in(house)
        export = await exported(house)
        arrived = await arrive(other, lines(export))
        assert (arrived.trees, arrived.turns, arrived.new_turns) == (3, len(turns), len(turns))
        assert arrived.bytes_read == len(export)
        assert await everything(other) == await everything(house)
        assert await exported(other) == export
        assert (await contents_of(other, "file_1"), await contents_of(other, "file_2")) == (CONTENTS, b"")
        assert await other.documents.get("key", "", "key_1") == await house.documents.get("key", "", "key_1")

    async def test_a_tree_takes_the_files_along_that_its_turns_name(self, house: House, other: House) -> None:
        ids = [f"file-{number:032x}" for number in range(4)]
        for file_id in ids:
            await add_file(house, file_id, CONTENTS + file_id.encode())
        first, second, gone = (file_message(file_id) for file_id in (ids[0], ids[1], "file-" + "f" * 32))
        root = a_turn(None, project="filer", input=items(first, gone))
        below = a_turn(root, project="filer", input=items(second, first))
        for turn in (root, below, a_turn(None, project="filer", input=items(file_message(ids[2])))):
            await house.finish(turn)
        which = Which(tree=root.tree)
        export = await exported(house, which)
        await arrive(other, lines(export))
        for file_id in ids[:2]:
            assert await contents_of(other, file_id) == CONTENTS + file_id.encode()
        for file_id in ids[2:]:
            assert await other.files.load("filer", file_id, now=NOW) is None

    async def test_an_export_of_a_span_that_was_cut_is_continued_to_what_is_whole(
        self, house: House, other: House
    ) -> None:
        ids = [f"file-{number:032x}" for number in range(2)]
        for file_id in ids:
            await add_file(house, file_id, CONTENTS + file_id.encode())
            await house.finish(a_turn(None, project="filer", input=items(file_message(file_id))))
        which = Which(since=1)
        whole = lines(await exported(house, which))
        kinds = [type(decode_line(line)).__name__ for line in whole]
        assert kinds_in(kinds) == {"File": 2, "Piece": 4}
        cut = BytesIO(b"".join(whole[:-3]))  # in the middle of the second file
        left = last_place(cut)
        assert left is not None
        await leave(house, cut, which, now=NOW, left=left)
        assert cut.getvalue() == b"".join(whole)
        await arrive(other, lines(cut.getvalue()))
        for file_id in ids:
            assert await contents_of(other, file_id) == CONTENTS + file_id.encode()

    async def test_keys_and_what_no_turn_names_go_with_whole_projects_only(
        self, house: House, other: House
    ) -> None:
        await lived_in(house)

        async def kinds(**which: Any) -> list[str]:
            export = await exported(house, Which(**which))
            return [type(decode_line(line)).__name__ for line in lines(export)]

        assert kinds_in(await kinds()) == {"Document": 2, "File": 2, "Piece": 2}
        assert kinds_in(await kinds(project="other")) == {"Document": 1}
        assert kinds_in(await kinds(project="filer")) == {"File": 2, "Piece": 2}
        assert kinds_in(await kinds(since=1)) == {}
        export = lines(await exported(house, Which(project="filer")))
        await arrive(other, export, project="moved")
        await arrive(other, export, project="moved")
        assert await other.projects() == ["moved"]
        assert len((await other.files.list("moved", Page(), now=NOW))[0]) == 2

    async def test_a_file_that_went_while_it_was_written_down_is_dropped(
        self, house: House, other: House
    ) -> None:
        await lived_in(house)
        export = lines(await exported(house))
        first = next(place for place, line in enumerate(export) if isinstance(decode_line(line), PieceLine))
        await arrive(other, [*export[:first], *export[first + 1 :]])
        assert await other.files.load("filer", "file_1", now=NOW) is None
        assert await contents_of(other, "file_2") == b""

    async def test_what_moved_lives_on(self, house: House, other: House) -> None:
        root, see, gone, leaf, fork, *_, first = await lived_in(house)
        await arrive(other, lines(await exported(house)))
        assert await other.load_chain("default", leaf.id) == await house.load_chain("default", leaf.id)
        assert await other.load("default", gone.id) is None
        assert await other.load_item("default", "msg_clients-own") is not None
        assert await other.load("default", fork.id) == fork
        follow_up = a_turn(leaf, "on")
        await other.finish(follow_up)
        assert [turn.id for turn in await other.load_chain("default", follow_up.id)] == [
            turn.id for turn in (root, see, gone, leaf, follow_up)
        ]
        conversation = await other.load_conversation("default", first.id)
        assert conversation == await house.load_conversation("default", first.id)
        assert conversation is not None

    async def test_an_import_is_repeated_without_harm(self, house: House, other: House) -> None:
        await lived_in(house)
        export = lines(await exported(house))
        await arrive(other, export)
        before = await everything(other)
        again = await arrive(other, export)
        assert again.new_turns == 0
        assert await everything(other) == before

    async def test_of_many_trees_the_one_that_cannot_be_stored_is_named(
        self, house: House, other: House
    ) -> None:
        roots = sorted((a_turn() for _ in range(21)), key=lambda root: root.tree)
        for root in roots:
            await house.finish(root)
        await other.finish(replace(roots[10], project="thief"))
        file = lines(await exported(house))
        place = next(number for number, line in enumerate(file, 1) if roots[10].id.encode() in line)
        with pytest.raises(BadLine, match=rf"Line {place}: "):
            await arrive(other, file)
        for root in roots[:10]:
            assert await other.load("default", root.id) == root

    async def test_what_was_deleted_or_continued_here_stays_so(self, house: House, other: House) -> None:
        root, see, *_, fork, _, _ = await lived_in(house)
        export = lines(await exported(house))
        await arrive(other, export)
        await other.delete("default", see.id)
        newer = a_turn(fork, "newer")
        await other.finish(newer)
        await arrive(other, export)
        assert await other.load("default", see.id) is None
        assert await other.load("default", newer.id) == newer
        assert await other.load("default", root.id) == root

    async def test_only_what_is_meant_leaves(self, house: House, other: House) -> None:
        root, *_, elsewhere, _ = await lived_in(house)

        async def meant(**which: Any) -> set[tuple[str, str]]:
            return {(name.tree, name.project) for name in await house.trees(Which(**which))}

        assert len(await meant()) == 3
        assert await meant(project="other") == {(elsewhere.tree, "other")}
        assert await meant(tree=root.tree) == {(root.tree, "default")}
        assert await meant(since=NOW + 1) == {(root.tree, "default")}
        assert (root.tree, "default") in await meant(until=NOW + 1)
        assert await meant(since=NOW + 10) == set()
        assert await meant(tree=new_tree(NOW)) == set()
        assert await meant(project="nobody") == set()
        await arrive(other, lines(await exported(house, Which(project="other"))))
        assert await other.projects() == ["other"]

    async def test_names_of_trees_come_in_order_and_from_any_place_on(self, house: House) -> None:
        for _ in range(7):
            await house.finish(a_turn())
        names = list(await house.trees(ALL))
        assert names == sorted(names)
        for place in range(7):
            after = names[place]
            assert list(await house.trees(ALL, after=after, limit=2)) == names[place + 1 : place + 3]

    async def test_a_run_under_way_does_not_leave(self, house: House) -> None:
        root = a_turn()
        await house.finish(root)
        await house.begin(running(root))
        copy = await house.copy_tree(TreeName(root.tree, "default"))
        assert [turn.id for turn in copy.turns] == [root.id]

    async def test_what_is_not_there_is_an_empty_copy(self, house: House) -> None:
        name = TreeName(new_tree(NOW), "default")
        assert await house.copy_tree(name) == TreeCopy(name=name, turns=[], conversations=[])

    async def test_anothers_id_is_not_taken_over(self, house: House) -> None:
        root = a_turn()
        await house.finish(root)
        copy = TreeCopy(name=TreeName(root.tree, "thief"), turns=[replace(root, project="thief")])
        with pytest.raises(AnotherProject):
            await house.put_tree(copy)
        assert await house.load("thief", root.id) is None
        assert await house.load("default", root.id) == root

    async def test_a_tree_with_a_hole_is_not_stored_at_all(self, house: House) -> None:
        root = a_turn()
        hole = a_turn(root)
        leaf = a_turn(hole)
        with pytest.raises(PreviousResponseNotFound):
            await house.put_tree(TreeCopy(name=TreeName(root.tree, "default"), turns=[root, leaf]))
        assert await house.load("default", root.id) is None

    async def test_an_export_that_was_cut_anywhere_is_continued_to_the_same(self, house: House) -> None:
        await lived_in(house)
        whole = await exported(house)
        ends = {0, 1, *range(50, len(whole), len(whole) // 23), len(whole) - 1}
        for end in sorted(ends):
            file = BytesIO(whole[:end])
            if 0 < end <= whole.index(b"\n"):
                with pytest.raises(ValueError, match="no export"):
                    last_place(file)
                continue
            left = last_place(file)
            assert left is not None
            await leave(house, file, ALL, now=NOW, left=left)
            assert file.getvalue() == whole, end
        assert last_place(BytesIO(whole)) is None

    async def test_a_file_that_was_cut_or_changed_is_told(self, house: House, other: House) -> None:
        await lived_in(house)
        head, *rest = lines(await exported(house))
        with pytest.raises(BadLine, match="has no end"):
            await arrive(other, [head, *rest[:-1]])
        with pytest.raises(BadLine, match=r"Line \d+: expected 3 trees with 7 turns"):
            await arrive(other, [head, *rest[:-2], rest[-1]])
        with pytest.raises(BadLine, match="Line 1: expected the header"):
            await arrive(other, rest)
        with pytest.raises(BadLine, match="Line 2: "):
            await arrive(other, [head, b"{}\n"])
        with pytest.raises(BadLine, match="version 99"):
            await arrive(other, [head.replace(b'"version":1', b'"version":99')])
        with pytest.raises(BadLine, match="no end"):
            await arrive(other, [])
        assert isinstance(decode_line(rest[-2]), TreeLine)
