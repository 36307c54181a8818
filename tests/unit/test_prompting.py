"""Contexts that are shortened: turns go whole, pairs of calls and outputs stay pairs, what is in force stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from catena.context.chain import ChainTurn, Link, Writer, link_chain
from catena.context.estimate import estimated_tokens
from catena.context.ledger import NOTHING_OPEN, open_after
from catena.context.prompting import Context
from catena.ids import TurnIds

Items = list[dict[str, Any]]


def render(items: Sequence[dict[str, Any]]) -> bytes:
    return msgspec.json.encode(list(items))[1:-1]


WRITER = Writer(render)


def say(role: str, text: str) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": text}


def call(call_id: str, **more: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": "{}", **more}


def output(call_id: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": "x"}


def context(turns: Sequence[tuple[Items, Items]], own: Items) -> Context:
    """The context of these turns, each an input and an output, and of a new input."""
    ids = [TurnIds(f"00112233445566aa0000000001{number:020x}") for number in range(len(turns))]
    chain = [ChainTurn(each.turn("resp_"), "m", *turn) for each, turn in zip(ids, turns, strict=True)]
    link = link_chain(chain, WRITER) if chain else None
    before = link.open_calls if link is not None else NOTHING_OPEN
    return Context([b'{"role":"lead"}'], link, [render(own)], WRITER, open_after(before, own))


def shown(whole: Context, dropped: int = 0) -> Items:
    decoded: Items = msgspec.json.decode(b"[" + b",".join(whole.fragments(dropped)) + b"]")
    return decoded[1:]


def droppable(whole: Context) -> list[int]:
    return [cut.turns for cut in whole.cuts()]


def test_what_is_in_force_stays_when_its_turn_goes() -> None:
    whole = context(
        [([say("system", "rule"), say("user", "q0")], [say("assistant", "a0")]), ([say("user", "q1")], [])],
        [say("user", "q2")],
    )
    assert droppable(whole) == [1, 2]
    assert [item["content"] for item in shown(whole, 1)] == ["rule", "q1", "q2"]
    assert [item["content"] for item in shown(whole, 2)] == ["rule", "q2"]


def test_turns_before_a_compaction_are_neither_shown_nor_dropped() -> None:
    compaction = {"type": "compaction", "encrypted_content": "s"}
    whole = context(
        [
            ([say("user", "q0")], [say("assistant", "a0")]),
            ([say("user", "q1")], [say("assistant", "a1"), compaction]),
            ([say("user", "q2")], [say("assistant", "a2")]),
        ],
        [say("user", "q3")],
    )
    assert [item.get("content", item["type"]) for item in shown(whole)] == ["compaction", "q2", "a2", "q3"]
    assert droppable(whole) == [1, 2]
    assert [item.get("content", item["type"]) for item in shown(whole, 2)] == ["compaction", "q3"]


def test_a_call_that_is_never_answered_holds_nothing_up() -> None:
    whole = context(
        [([say("user", "q0")], [call("call_1", **{"async": True})]), ([say("user", "q1")], [])],
        [say("user", "q2")],
    )
    assert droppable(whole) == [1, 2]


def test_a_call_that_is_answered_much_later_does() -> None:
    whole = context(
        [([say("user", "q0")], [call("call_1", **{"async": True})]), ([say("user", "q1")], [])],
        [output("call_1")],
    )
    assert droppable(whole) == []


@st.composite
def chains(draw: st.DrawFn) -> tuple[list[tuple[Items, Items]], Items]:
    """Chains in which calls are answered in the next turn, or some turns later where that is allowed."""
    waiting: list[str] = []
    late: list[str] = []
    turns: list[tuple[Items, Items]] = []
    for number in range(draw(st.integers(0, 6)) + 1):
        given_now = draw(st.lists(st.sampled_from(late), unique=True)) if late else []
        items = [output(each) for each in (*waiting, *given_now)]
        late = [each for each in late if each not in given_now]
        if draw(st.booleans()) or not items:
            items.append(say(draw(st.sampled_from(["user", "developer"])), f"q{number}"))
        waiting, calls = [], []
        for place in range(draw(st.integers(0, 2))):
            call_id = f"call_{number}_{place}"
            is_late = draw(st.booleans())
            (late if is_late else waiting).append(call_id)
            calls.append(call(call_id, **({"async": True} if is_late else {})))
        turns.append((items, calls or [say("assistant", f"a{number}")]))
    return turns, [output(each) for each in waiting] or [say("user", "last")]


@given(chains())
def test_no_output_is_ever_shown_without_its_call(chain: tuple[list[tuple[Items, Items]], Items]) -> None:
    turns, own = chain
    whole = context(turns, own)
    everything = shown(whole)
    for number in (0, *droppable(whole)):
        items = shown(whole, number)
        called: set[str] = set()
        for item in items:
            if item["type"] == "function_call":
                called.add(item["call_id"])
            elif item["type"] == "function_call_output":
                assert item["call_id"] in called
        assert items[-len(own) :] == everything[-len(own) :]
        rules = [item for item in everything if item.get("role") == "developer"]
        assert [item for item in items if item.get("role") == "developer"] == rules
    for cut in whole.cuts():
        assert cut.size == sum(turn.end - turn.begin for turn in whole.turns()[: cut.turns])


def test_the_context_is_the_same_however_deep_it_is() -> None:
    turns = [([say("user", f"q{number}")], [say("assistant", f"a{number}")]) for number in range(2_000)]
    whole = context(turns, [say("user", "last")])
    assert len(shown(whole)) == 4_001
    assert len(shown(whole, 1_999)) == 3


# Estimates


def estimate(*messages: dict[str, Any], **options: Any) -> int:
    return estimated_tokens([render([message]) for message in messages], options)


def test_an_estimate_grows_with_the_text() -> None:
    short, long = estimate(say("user", "hello")), estimate(say("user", "hello " * 100))
    assert 4 <= short <= 8
    assert 100 <= long <= 200
    assert estimate(say("user", "猫" * 100)) > estimate(say("user", "a" * 100))


def test_tools_and_instructions_count_and_images_have_a_price() -> None:
    tool = {"type": "function", "function": {"name": "f", "description": "word " * 100}}
    assert estimate(say("user", "x"), tools=[tool]) > 100
    assert estimate(say("user", "x"), instructions="word " * 100) > 100
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:" + "A" * 9_999}}]}
    assert 500 < estimate(image) < 1_500


def test_a_link_of_a_chain_knows_what_stays_in_force() -> None:
    tools = {"type": "additional_tools", "role": "developer", "tools": []}
    whole = context([([tools, say("user", "q")], [])], [])
    link = whole.link
    assert isinstance(link, Link)
    assert link.standing == [tools]
