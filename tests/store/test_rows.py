"""Ids become keys and come back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.ids import TurnIds, new_tree
from catena.store.rows import DOORS, id_of, key_of, prepare
from tests.store.turns import a_turn, replace


@given(
    tree=st.binary(min_size=8, max_size=8), now=st.integers(0, 2**32 - 1), prefix=st.sampled_from([*DOORS])
)
def test_an_id_comes_back_from_its_key(tree: bytes, now: int, prefix: str) -> None:
    turn_id = TurnIds.new(tree.hex(), now).turn(prefix)
    key = key_of(turn_id)
    assert key is not None
    assert key[0] == tree
    assert len(key[1]) == 17
    assert id_of(*key) == turn_id


def test_keys_of_a_tree_are_in_the_order_of_time() -> None:
    tree = new_tree(0)
    keys = [key_of(TurnIds.new(tree, now).turn("resp_")) for now in (0, 255, 256, 2**31, 2**32 - 1)]
    assert keys == sorted(keys)  # type: ignore[type-var]  # none of them is None


@given(st.text(max_size=70))
def test_what_is_no_id_has_no_key(text: str) -> None:
    assert key_of(text) is None


@pytest.mark.parametrize("prefix", ["msg_", "resp-", "Resp_", "", "chatcmpl_"])
def test_an_id_of_something_else_has_no_key(prefix: str) -> None:
    assert key_of(prefix + "0" * 50) is None


def test_a_turn_with_a_foreign_id_is_a_fault() -> None:
    with pytest.raises(ValueError, match="resp_1"):
        prepare(replace(a_turn(), id="resp_1"))
