"""Pages of what a model saw, or of a conversation: as slices of the whole list, without looking at all of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.errors import BadRequest
from catena.history import chain_turns
from catena.pages import find_in_conversation, page_of_context, page_of_conversation
from catena.store import Store, Turn
from tests.store.turns import a_turn, items, message, replace


class Chain:
    """A store with nothing but one chain; how much of it was asked for is in `asked`."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        self.turns = turns
        self.asked: list[int | None] = []

    async def load_chain(self, project: str, turn_id: str, *, most: int | None = None) -> Sequence[Turn]:
        self.asked.append(most)
        return self.turns if most is None else self.turns[-most:]

    conversation_chain = load_chain


def seen(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    *earlier, own = chain_turns(turns)
    return [*(item for turn in earlier for item in (*turn.input, *turn.output)), *own.input]


def said(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    return [item for turn in chain_turns(turns) for item in (*turn.input, *turn.output)]


LISTS = {"context": (page_of_context, seen), "conversation": (page_of_conversation, said)}


def grown(length: int) -> list[Turn]:
    turns: list[Turn] = []
    for number in range(length):
        turns.append(a_turn(turns[-1] if turns else None, f"turn {number}"))
    return turns


def with_everything() -> list[Turn]:
    """A chain with a deleted turn, one of several items, one without an answer, and items that were taken out."""
    turns = grown(12)
    turns[2] = replace(turns[2], input=b"[]", output=b"[]", deleted=True)
    turns[4] = replace(turns[4], input=items(*(message(f"msg_own_{each}", "mine") for each in range(7))))
    turns[5] = replace(turns[5], output=b"[]")
    answer: str = msgspec.json.decode(turns[7].output)[0]["id"]
    removal = msgspec.json.encode({"removed": ["msg_own_3", answer]})
    turns[9] = replace(turns[9], door="conversation", input=b"[]", output=b"[]", fields=removal)
    return turns


@pytest.mark.parametrize("ascending", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 3, 5, 20, 100])
@pytest.mark.parametrize("kind", LISTS)
async def test_pages_one_after_the_other_are_the_whole_list(kind: str, limit: int, ascending: bool) -> None:
    page_of, all_of = LISTS[kind]
    for turns in (with_everything(), grown(1), grown(40)):
        whole = all_of(turns) if ascending else all_of(turns)[::-1]
        store = cast("Store", Chain(turns))
        told: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            page = await page_of(store, "p", turns[-1].id, limit=limit, after=after, ascending=ascending)
            told += page.items
            assert page.has_more == (len(told) < len(whole))
            if not page.has_more:
                break
            assert len(page.items) == limit
            after = told[-1]["id"]
        assert told == whole


@pytest.mark.parametrize("kind", LISTS)
async def test_the_newest_items_are_found_at_the_end_of_a_chain(kind: str) -> None:
    chain = Chain(grown(200))
    page = await LISTS[kind][0](cast("Store", chain), "p", "tip", limit=20, after=None, ascending=False)
    assert len(page.items) == 20
    assert chain.asked == [12]


@pytest.mark.parametrize("after", ["msg_nowhere", "turn 3", "", 'é"'])
@pytest.mark.parametrize("ascending", [False, True])
async def test_behind_an_item_that_is_not_there_is_nothing(after: str, ascending: bool) -> None:
    store = cast("Store", Chain(with_everything()))
    with pytest.raises(BadRequest, match="no item with id") as refused:
        await page_of_context(store, "p", "tip", limit=5, after=after, ascending=ascending)
    assert refused.value.param == "after"


async def test_an_answer_is_no_input_of_its_own_turn() -> None:
    turns = grown(3)
    (answer,) = msgspec.json.decode(turns[-1].output)
    with pytest.raises(BadRequest, match="no item with id"):
        await page_of_context(
            cast("Store", Chain(turns)), "p", "tip", limit=5, after=answer["id"], ascending=False
        )


IDS = st.sampled_from(["msg_1", "msg_2", "msg_3", "a", "id", "é", '"', "\\"])
ITEMS = st.lists(st.builds(message, IDS, st.sampled_from(["a", "msg_1", 'the "id" of msg_2'])), max_size=4)
KINDS = st.sampled_from(["turn", "turn", "turn", "deleted", "removal"])


@st.composite
def chains(draw: st.DrawFn) -> Sequence[Turn]:
    """Turns in which the same ids come again and again, between items of which some are gone."""
    turns: list[Turn] = []
    for turn in grown(draw(st.integers(1, 9))):
        kind = draw(KINDS)
        if kind == "turn":
            given_items, answer = draw(ITEMS), draw(ITEMS)
            turns.append(replace(turn, input=items(*given_items), output=items(*answer)))
            continue
        turns.append(replace(turn, input=b"[]", output=b"[]", deleted=kind == "deleted"))
        if kind == "removal":
            removal = msgspec.json.encode({"removed": draw(st.lists(IDS, max_size=3))})
            turns[-1] = replace(turns[-1], door="conversation", fields=removal)
    return turns


@pytest.mark.parametrize("kind", LISTS)
@given(chains(), st.integers(1, 6), st.none() | IDS, st.booleans())
def test_any_page_is_a_slice_of_the_whole_list(
    kind: str, turns: Sequence[Turn], limit: int, after: str | None, ascending: bool
) -> None:
    page_of, all_of = LISTS[kind]
    whole = all_of(turns) if ascending else all_of(turns)[::-1]
    ids = [item["id"] for item in whole]
    store = cast("Store", Chain(turns))
    paging = page_of(store, "p", turns[-1].id, limit=limit, after=after, ascending=ascending)
    if after is not None and after not in ids:
        with pytest.raises(BadRequest):
            asyncio.run(paging)
        return
    start = 0 if after is None else ids.index(after) + 1
    page = asyncio.run(paging)
    assert page.items == whole[start : start + limit]
    assert page.has_more == (start + limit < len(whole))


@given(chains(), IDS)
def test_an_item_is_found_where_the_whole_conversation_has_it(turns: Sequence[Turn], item_id: str) -> None:
    store = cast("Store", Chain(turns))
    found = asyncio.run(find_in_conversation(store, "p", "conversation", item_id))
    having = [item for item in said(turns) if item["id"] == item_id]
    assert found in having if having else found is None
