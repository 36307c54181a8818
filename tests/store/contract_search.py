"""The promises of looking for words, held against every implementation.

A test module has a class that inherits from `SearchContract`, and a fixture `store`, which is empty and searched.
"""

from __future__ import annotations

import pytest

from catena.errors import NotFound
from catena.store import Page, Store
from catena.store.lineage import Wanted
from catena.wire.words import terms
from tests.store.turns import NOW, a_turn, items, replace, running

__all__ = ["SearchContract", "found"]


async def found(store: Store, query: str, project: str = "default", **wanted: object) -> list[str]:
    """The turns in which the terms of a query are found, the newest first."""
    sketches, _ = await store.lineage.list_turns(
        project,
        Page(limit=1000, ascending=False),
        Wanted(words=terms(query), **wanted),  # type: ignore[arg-type]  # one by one
    )
    return [sketch.id for sketch in sketches]


class SearchContract:
    async def test_all_words_must_be_in_one_turn(self, store: Store) -> None:
        fox, dog = a_turn(text="The quick brown fox"), a_turn(text="a lazy dog, quick to bark")
        for turn in (fox, dog):
            await store.finish(turn)
        assert await found(store, "quick") == [dog.id, fox.id]
        assert await found(store, "QUICK fox") == [fox.id]
        assert await found(store, "fox dog") == []
        assert await found(store, '"quick brown"') == [fox.id]
        assert await found(store, '"brown quick"') == []
        assert await found(store, "bar*") == [dog.id]
        assert await found(store, "bar") == []
        assert await found(store, 'it\'s "an odd" -query: (with) ^all* AND + NOT OR NEAR') == []

    async def test_what_tools_were_asked_and_answered_is_found(self, store: Store) -> None:
        call = {"id": "fc_1", "type": "function_call", "name": "get_weather", "arguments": '{"city":"Oslo"}'}
        came = {"id": "fc_2", "type": "function_call_output", "call_id": "c", "output": "twelve degrees"}
        image = {"type": "input_image", "image_url": "data:image/png;base64," + "QUJD" * 2000}
        shown = {"id": "msg_1", "type": "message", "role": "user", "content": [image]}
        turn = a_turn(input=items(came, shown), output=items(call))
        await store.finish(turn)
        for query in ("get_weather", "oslo", '"twelve degrees"'):
            assert await found(store, query) == [turn.id], query
        assert await found(store, "QUJD*") == []

    async def test_other_wishes_hold_as_well(self, store: Store) -> None:
        large = a_turn(text="needle", model="large", created_at=NOW)
        late = a_turn(large, text="needle", created_at=NOW + 5)
        theirs = a_turn(text="needle", project="theirs")
        for turn in (large, late, theirs):
            await store.finish(turn)
        assert await found(store, "needle") == [late.id, large.id]
        assert await found(store, "needle", model="large") == [large.id]
        assert await found(store, "needle", created_after=NOW) == [late.id]
        assert await found(store, "needle", "theirs") == [theirs.id]
        assert await found(store, "needle", "nobody") == []
        (tree,), _ = await store.lineage.list_trees("default", Page(), Wanted(words=terms("needle")))
        assert (tree.root.id, tree.newest.id) == (large.id, late.id)

    async def test_pages_go_through_all_that_was_found(self, store: Store) -> None:
        turns = [a_turn(text=f"needle {number % 3}") for number in range(30)]
        for turn in turns:
            await store.finish(turn)
        expected = [turn.id for number, turn in enumerate(turns) if number % 3 == 1]
        for ascending in (True, False):
            gathered: list[str] = []
            after, more = None, True
            while more:
                page = Page(limit=4, after=after, ascending=ascending)
                sketches, more = await store.lineage.list_turns("default", page, Wanted(words=terms("1")))
                gathered += [sketch.id for sketch in sketches]
                after = gathered[-1]
            assert gathered == (expected if ascending else expected[::-1])
        with pytest.raises(NotFound):
            await store.lineage.list_turns("default", Page(after="resp_x"), Wanted(words=terms("1")))

    async def test_an_excerpt_shows_where_it_was_found(self, store: Store) -> None:
        await store.finish(a_turn(text="hay " * 200 + "the needle lies\nhere " + "straw " * 200))
        (sketch,), _ = await store.lineage.list_turns("default", Page(), Wanted(words=terms("needle")))
        assert "hay the needle lies here straw" in sketch.excerpt
        assert (sketch.excerpt[0], sketch.excerpt[-1]) == ("…", "…")

    async def test_a_turn_is_found_once_it_has_ended(self, store: Store) -> None:
        turn = a_turn(text="needle")
        await store.begin(replace(running(), id=turn.id, tree=turn.tree), owner="me", lease=60)
        await store.finish(a_turn(text="after it, another needle"))
        assert turn.id not in await found(store, "needle")
        await store.finish(turn)
        assert turn.id in await found(store, "needle")

    async def test_what_was_deleted_is_found_no_more(self, store: Store) -> None:
        root = a_turn(text="needle")
        below = a_turn(root, text="needle")
        other = a_turn(text="needle", created_at=NOW + 100)
        for turn in (root, below, other):
            await store.finish(turn)
        assert len(await found(store, "needle")) == 3
        await store.delete("default", below.id)
        assert await found(store, "needle") == [other.id, root.id]
        await store.expire(NOW + 1)
        assert await found(store, "needle") == [other.id]
        await store.expire(NOW + 101)
        again = a_turn(text="needle, where others were before")
        await store.finish(again)
        assert await found(store, "needle") == [again.id]
