"""Chains of links: shared by branches, whole over deleted turns, checked against what they hold."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from catena.context.chain import (
    ChainTurn,
    Link,
    Writer,
    admit,
    admit_part,
    fragments,
    link_chain,
    link_turn,
    without_removed,
)
from catena.context.media import Draft
from catena.errors import BadRequest
from catena.history import RENDERINGS
from catena.ids import TurnIds
from catena.prefix import PrefixCache
from tests.conformance.proves import proves


def _render(items: Sequence[dict[str, Any]]) -> bytes:
    return msgspec.json.encode(list(items))[1:-1]


render = Writer(_render)


def say(role: str, text: str, **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": text, **more}


TREE = "00112233445566aa"


def turn(number: int, *, deleted: bool = False, **items: Any) -> ChainTurn:
    ids = TurnIds(f"{TREE}0000000001{number:020x}")
    given = items.get("input", [say("user", f"question {number}")])
    made = items.get("output", [say("assistant", f"answer {number}")])
    return ChainTurn(ids.turn("resp_"), "m", given, made, deleted)


def told(link: Link | None) -> list[Any]:
    decoded: list[Any] = msgspec.json.decode(b"[" + b",".join(fragments(link)) + b"]")
    return [item.get("content", item.get("call_id")) for item in decoded]


def is_the_same(link: Link, other: Link) -> bool:
    return link.fragment == other.fragment and replace(link, trail=other.trail) == other


def test_a_chain_is_told_from_the_root_to_the_tip() -> None:
    link = link_chain([turn(1), turn(2), turn(3)], render)
    assert told(link) == [
        "question 1",
        "answer 1",
        "question 2",
        "answer 2",
        "question 3",
        "answer 3",
    ]


@pytest.mark.parametrize("given", [[], [say("user", "one")], [say("system", "rule"), say("user", "two")]])
@pytest.mark.parametrize(
    "answer",
    [
        [],
        [say("assistant", "said")],
        [{"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}],
    ],
)
@pytest.mark.parametrize("dialect", ["chat", "responses"])
def test_a_turn_whose_input_was_written_down_before_has_the_same_link(
    given: list[dict[str, Any]], answer: list[dict[str, Any]], dialect: str
) -> None:
    writer = RENDERINGS[dialect].writer(lambda _: None, reads_all=False)  # type: ignore[index]  # both are dialects
    made = turn(1, input=given, output=answer)
    assert is_the_same(link_turn(None, made, writer, writer.render(given)), link_turn(None, made, writer))


def test_an_attachment_is_put_in_later_also_where_its_fragment_was_written_before() -> None:
    image = {"type": "input_image", "image_url": "https://example.org/cat.png"}
    made = turn(1, input=[{**say("user", ""), "content": [image]}])
    writer = RENDERINGS["chat"].writer(lambda _: None, reads_all=False)
    link = link_turn(None, made, writer, writer.render(made.input))
    assert type(link.fragment) is Draft
    assert is_the_same(link, link_turn(None, made, writer))


def test_branches_share_their_ancestors_and_nothing_else() -> None:
    root = link_turn(None, turn(1), render)
    left, right = link_turn(root, turn(2), render), link_turn(root, turn(3), render)
    assert left.parent is right.parent
    assert "question 3" not in told(left)
    assert "question 2" not in told(right)


@proves("3.2.40")
def test_a_deleted_turn_is_absent_and_all_others_are_there() -> None:
    link = link_chain([turn(1), turn(2, deleted=True), turn(3)], render)
    assert told(link) == ["question 1", "answer 1", "question 3", "answer 3"]


def test_a_call_goes_with_the_deleted_turn_that_answered_it() -> None:
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
    link = link_chain([turn(1, output=[call]), turn(2, deleted=True), turn(3)], render)
    assert told(link) == ["question 1", "question 3", "answer 3"]
    assert link is not None
    assert not link.open_calls


def test_an_output_goes_with_the_deleted_turn_that_called() -> None:
    output = {"type": "function_call_output", "call_id": "c1", "output": "1"}
    chain = [turn(1), turn(2, deleted=True), turn(3, input=[output]), turn(4)]
    assert told(link_chain(chain, render)) == [
        "question 1",
        "answer 1",
        "answer 3",
        "question 4",
        "answer 4",
    ]


def test_open_calls_are_known_at_the_tip_and_cleared_by_the_next_turn() -> None:
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c1", "output": "1"}
    link = link_turn(None, turn(1, output=[call]), render)
    with pytest.raises(BadRequest, match="No tool output found for function call c1"):
        admit(link, [say("user", "and?")])
    admit(link, [output])
    assert not link_turn(link, turn(2, input=[output]), render).open_calls


@proves("3.4.47")
@pytest.mark.parametrize("doubled", ["msg_foreign", f"msg_{TREE}0000000001{1:020x}0001"])
def test_an_id_that_the_chain_has_is_a_duplicate(doubled: str) -> None:
    link = link_chain([turn(1, input=[say("user", "hi", id="msg_foreign")]), turn(2), turn(3)], render)
    with pytest.raises(BadRequest) as refusal:
        admit(link, [say("user", "again", id=doubled)])
    assert refusal.value.message == (
        f"Duplicate item found with id {doubled}. Remove duplicate items from your input and try again."
    )


def test_an_id_of_another_branch_is_no_duplicate() -> None:
    link = link_chain([turn(1), turn(2)], render)
    admit(link, [say("user", "again", id=f"msg_{TREE}0000000001{9:020x}0001")])


def test_a_chain_may_be_thousands_deep() -> None:
    link = link_chain([turn(number) for number in range(5000)], render)
    assert link is not None
    assert link.depth == 5000
    assert len(told(link)) == 10_000


# What is taken out of a conversation


def removal(number: int, *item_ids: str) -> ChainTurn:
    return replace(turn(number, input=[], output=[]), removed=item_ids)


def own_id(number: int, item: int = 1) -> str:
    return f"msg_{turn(number).id[5:-4]}{item:04x}"


def with_ids(number: int) -> ChainTurn:
    given = [say("user", f"question {number}", id=own_id(number))]
    return turn(number, input=given, output=[say("assistant", f"answer {number}", id=own_id(number, 2))])


def test_what_was_taken_out_is_absent_and_everything_else_is_there() -> None:
    chain = [with_ids(1), with_ids(2), removal(3, own_id(1)), with_ids(4)]
    assert told(link_chain(chain, render)) == ["answer 1", "question 2", "answer 2", "question 4", "answer 4"]
    assert told(link_chain(chain[:2], render)) == ["question 1", "answer 1", "question 2", "answer 2"]


def test_what_comes_back_is_there_where_it_came_back() -> None:
    again = turn(3, input=[say("user", "question 1", id=own_id(1))], output=[])
    chain = [with_ids(1), removal(2, own_id(1)), again]
    assert told(link_chain(chain, render)) == ["answer 1", "question 1"]


def test_an_id_is_free_once_it_was_taken_out_and_taken_once_it_came_back() -> None:
    chain = [with_ids(1), removal(2, own_id(1))]
    item = say("user", "again", id=own_id(1))
    admit_part(link_chain(chain, render), [item])
    with pytest.raises(BadRequest, match="Duplicate item"):
        admit_part(link_chain(chain, render), [say("user", "other", id=own_id(1, 2))])
    with pytest.raises(BadRequest, match="Duplicate item"):
        admit_part(link_chain([*chain, turn(3, input=[item], output=[])], render), [item])


def test_an_output_goes_with_a_call_that_was_taken_out_and_so_does_its_reasoning() -> None:
    calling = turn(
        1,
        output=[
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}"},
        ],
    )
    answering = turn(2, input=[{"type": "function_call_output", "call_id": "call_1", "output": "42"}])
    link = link_chain([calling, answering, removal(3, "fc_1")], render)
    assert told(link) == ["question 1", "answer 2"]
    assert link is not None
    assert link.open_calls == {}


def test_a_call_whose_output_was_taken_out_waits_for_one_again() -> None:
    calling = turn(1, output=[{"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}])
    output = {"type": "function_call_output", "id": "fco_1", "call_id": "call_1", "output": "42"}
    link = link_chain([calling, turn(2, input=[output]), removal(3, "fco_1")], render)
    with pytest.raises(BadRequest, match="No tool output found for function call call_1"):
        admit(link, [say("user", "go on")])
    admit(link, [output])


def test_a_part_may_leave_a_call_open_but_not_answer_what_was_not_asked() -> None:
    call = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
    admit_part(None, [call])
    with pytest.raises(BadRequest, match="No tool call found"):
        admit_part(None, [{"type": "function_call_output", "call_id": "call_1", "output": "42"}])


def test_a_chain_from_which_nothing_was_taken_is_the_same_object() -> None:
    chain = [turn(1), turn(2)]
    assert without_removed(chain) is chain


def test_turns_as_only_their_descendants_see_them_are_not_kept_as_ends_of_chains() -> None:
    chain = [with_ids(1), with_ids(2), with_ids(3), removal(4, own_id(2)), with_ids(5)]
    cache = PrefixCache(1_000_000)
    tip = link_chain(chain, render)
    assert tip is not None
    cache.put("p", TREE, "chat", tip)
    kept = [cache.get("p", TREE, "chat", each.id) is not None for each in chain]
    assert kept == [True, False, False, True, True]


def test_a_turn_above_a_deleted_one_is_not_kept_as_the_end_of_a_chain() -> None:
    calling = turn(1, output=[{"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}])
    tip = link_chain([calling, turn(2, deleted=True), turn(3)], render)
    assert tip is not None
    cache = PrefixCache(1_000_000)
    cache.put("p", TREE, "chat", tip)
    assert cache.get("p", TREE, "chat", calling.id) is None
    assert cache.get("p", TREE, "chat", tip.turn_id) is tip
