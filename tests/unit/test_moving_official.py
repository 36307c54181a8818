"""Taking over what the official API stores: whole chains, each turn once, or a clear refusal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from catena.ids import TurnIds, new_tree
from catena.moving.official import NotTaken, take
from catena.store import Turn

NOW = 1_780_000_000
TREE = new_tree(0)


class Api:
    """The stored responses of an API, which lists the input of each with all that came before, or without."""

    def __init__(self, *, whole_context: bool = True) -> None:
        self.whole_context = whole_context
        self.responses: dict[str, dict[str, Any]] = {}
        self.inputs: dict[str, list[dict[str, Any]]] = {}
        self.asked: list[str] = []

    def add(self, parent: str | None = None, *, items: int = 1, **fields: Any) -> str:
        ids = TurnIds.new(TREE, NOW)
        response_id = ids.turn("resp_")
        own = [{"id": ids.item("msg_"), "type": "message", "role": "user"} for _ in range(items)]
        self.responses[response_id] = {
            "id": response_id,
            "object": "response",
            "created_at": NOW + len(self.responses),
            "status": "completed",
            "model": "gpt-4o-2026",
            "previous_response_id": parent,
            "output": [{"id": ids.item("msg_"), "type": "message", "role": "assistant"}],
            "temperature": 0.5,
            "metadata": {"a": "b"},
            "brand_new_field": 1,
            "service_tier": None,
            **fields,
        }
        before = [*self.inputs[parent], *self.responses[parent]["output"]] if parent else []
        self.inputs[response_id] = [*before, *own] if self.whole_context else own
        return response_id

    async def fetch(self, path: str) -> dict[str, Any] | None:
        self.asked.append(path)
        where, _, query = path.partition("?")
        _, _, response_id, *rest = where.split("/")
        if response_id not in self.responses:
            return None
        if not rest:
            return self.responses[response_id]
        return self._page(self.inputs[response_id], dict(pair.split("=") for pair in query.split("&")))

    def _page(self, items: list[dict[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
        ids = [item["id"] for item in items]
        start = ids.index(query["after"]) + 1 if "after" in query else 0
        end = start + int(query["limit"])
        return {"data": items[start:end], "has_more": end < len(items)}


def inputs(turn: Turn) -> list[str]:
    return [item["id"] for item in msgspec.json.decode(turn.input)]


@pytest.mark.parametrize("whole_context", [True, False])
async def test_a_chain_is_taken_whole_and_each_turn_has_its_own_input_only(whole_context: bool) -> None:
    api = Api(whole_context=whole_context)
    root = api.add(items=250)
    middle = api.add(root)
    tip, fork = api.add(middle, items=2), api.add(middle)
    (tree,) = await take(api.fetch, [tip, fork], "p")
    assert (tree.name.tree, tree.name.project) == (TREE, "p")
    assert [turn.id for turn in tree.turns] == [root, middle, tip, fork]
    assert [turn.parent for turn in tree.turns] == [None, root, middle, middle]
    assert [len(inputs(turn)) for turn in tree.turns] == [250, 1, 2, 1]
    assert inputs(tree.turns[0]) == [item["id"] for item in api.inputs[root]]
    assert len({path for path in api.asked if path.startswith(f"/responses/{root}?")}) == 1
    assert msgspec.json.decode(tree.turns[2].fields) == {"metadata": {"a": "b"}, "temperature": 0.5}
    assert tree.turns[2].model == "gpt-4o-2026"


async def test_items_whose_ids_do_not_tell_their_turn_are_named() -> None:
    api = Api()
    root = api.add(output=[{"id": "msg_elsewhere", "type": "message", "role": "assistant"}])
    ((_, turns, _),) = [msgspec.structs.astuple(tree) for tree in await take(api.fetch, [root], "p")]
    assert turns[0].foreign_ids == ["msg_elsewhere"]


async def test_a_history_that_is_not_whole_is_not_taken() -> None:
    api = Api()
    root = api.add()
    tip = api.add(root)
    del api.responses[root]
    with pytest.raises(NotTaken, match=f"{tip} continues {root}, which the API does not have any more"):
        await take(api.fetch, [tip], "p")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("resp_" + "0" * 50, "The API has no response resp_0000"),
        ("resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b", "cannot be kept as an id"),
        ("../secrets", "cannot be kept as an id"),
    ],
)
async def test_an_id_that_cannot_be_taken_is_named(given: str, message: str) -> None:
    with pytest.raises(NotTaken, match=message):
        await take(Api().fetch, [given], "p")


async def test_what_has_not_ended_is_not_taken() -> None:
    api = Api()
    with pytest.raises(NotTaken, match="has not ended yet; its status is in_progress"):
        await take(api.fetch, [api.add(status="in_progress")], "p")


async def test_a_conversation_does_not_come_along_but_its_items_do() -> None:
    api = Api()
    root = api.add(items=3, conversation={"id": "conv_1"})
    (tree,) = await take(api.fetch, [root], "p")
    assert len(inputs(tree.turns[0])) == 3
    assert "conversation" not in msgspec.json.decode(tree.turns[0].fields)
