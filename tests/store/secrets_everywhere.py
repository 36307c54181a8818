"""Something secret of every kind that a store keeps: put there, read again, and looked for where it must not be."""

from __future__ import annotations

from typing import Any

import msgspec

from catena.ids import TurnIds, new_tree
from catena.store import Conversation, Endpoint, KeyUse, Page, RequestKey, Store, Turn
from catena.store.lineage import Wanted
from tests.store.contract_files import content_of, put
from tests.store.turns import NOW, a_turn, ids_of, items, message, replace

__all__ = ["IMAGE", "NEEDLES", "SECRET", "a_secret_turn", "assert_whole", "filled"]

SECRET = "the heron stands still"
IMAGE = "data:image/png;base64," + "SGVyb24" * 600
TOOLS = {"tools": [{"type": "function", "name": "fish", "description": f"{SECRET} {'x' * 600}"}]}

NEEDLES = [SECRET.encode(), IMAGE[40:80].encode(), b"digest of a body"]
"""What would stand in a file or a table that has something in clear."""


def a_secret_turn(parent: Turn | None = None, **changes: Any) -> Turn:
    image = {"id": "msg_image", "content": [{"type": "input_image", "image_url": IMAGE}]}
    given = items(message("msg_own", SECRET), image)
    fields = msgspec.json.encode({"metadata": {"bird": SECRET}, "user": SECRET, **TOOLS})
    return replace(a_turn(parent, SECRET), input=given, fields=fields, **changes)


async def filled(store: Store) -> list[Turn]:
    """Something of every kind that a store keeps."""
    done = a_secret_turn(key=RequestKey(b"k" * 16, b"digest of a body"), foreign_ids=["msg_own"])
    under_way = replace(a_secret_turn(done), status="in_progress")
    waiting = replace(a_secret_turn(done), status="queued")
    await store.finish(done)
    await store.begin(under_way, owner="me", lease=60.0, request=b"")
    await store.begin(waiting, request=SECRET.encode())
    await store.append_log(under_way, 0, SECRET.encode())
    ids = TurnIds.new(new_tree(NOW), NOW)
    first = a_secret_turn(id=ids.turn("conv_"), tree=ids.tree, door="conversation")
    metadata = msgspec.json.encode({"bird": SECRET})
    named = Conversation(id=first.id, created_at=NOW, metadata=metadata, tip=first.id)
    await store.open_conversation(named, first)
    await store.add_endpoint("default", ENDPOINT)
    await put(store, SECRET.encode() * 9000, filename=f"{SECRET}.txt")
    return [done, under_way, waiting, first]


ENDPOINT = Endpoint(
    id="we_1",
    name=SECRET,
    url=f"https://hooks.example/{SECRET}",
    event_types=["response.completed"],
    secret=f"whsec_{SECRET}",
    created_at=NOW,
    updated_at=NOW,
)


async def assert_whole(store: Store, turns: list[Turn]) -> None:
    """Everything that `filled` put there can be read."""
    for turn in turns:
        kept = replace(turn, key=None, foreign_ids=())
        assert await store.load("default", turn.id) == kept
    assert await store.load_log("default", turns[1].id) == [SECRET.encode()]
    assert await store.load_item("default", "msg_own") is not None
    assert await store.endpoints("default") == [ENDPOINT]
    (named,), _ = await store.list_conversations("default", Page(), metadata={"bird": SECRET})
    assert SECRET.encode() in named.metadata
    (file,), _ = await store.files.list("default", Page(), now=NOW)
    assert file.filename == f"{SECRET}.txt"
    assert await content_of(store, file) == SECRET.encode() * 9000
    assert await store.find_key("default", b"k" * 16, since=NOW - 1) == KeyUse(
        turns[0].id, b"digest of a body"
    )
    wanted = Wanted(metadata={"bird": SECRET})
    sketches, _ = await store.lineage.list_turns("default", Page(), wanted)
    assert [sketch.id for sketch in sketches] == ids_of(turns[:3])
    assert SECRET.encode() in sketches[0].input.head
    assert len(await store.housekeeping.turns_of("default", SECRET)) == 3
