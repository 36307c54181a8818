"""Chains of links: shared by branches, whole over deleted turns, checked against what they hold."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from catena.context.chain import ChainTurn, Link, admit, fragments, link_chain, link_turn
from catena.errors import BadRequest
from catena.ids import TurnIds
from tests.conformance.proves import proves


def render(items: Sequence[dict[str, Any]]) -> bytes:
    return msgspec.json.encode(list(items))[1:-1]


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
    assert len(fragments(link)) == 5000
