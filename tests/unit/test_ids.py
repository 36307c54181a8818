from hypothesis import given
from hypothesis import strategies as st

from catena.ids import DAY, RING, TurnIds, is_well_formed, item_home, item_prefix, new_tree, tree_of
from tests.conformance.proves import proves


@proves("2.2.26")
def test_an_id_has_the_layout_of_the_official_ones() -> None:
    ids = TurnIds.new("00112233445566aa", now=0x65000000)
    response_id = ids.turn("resp_")
    assert response_id.startswith("resp_00112233445566aa0065000000")
    assert len(response_id) == len("resp_") + 50
    assert is_well_formed(response_id)


@proves("2.2.26")
def test_all_ids_of_a_turn_share_its_tree_and_lead_back_to_it() -> None:
    tree = new_tree(1)
    ids = TurnIds.new(tree, now=1)
    response_id, item_id = ids.turn("chatcmpl-"), ids.item("msg_")
    assert tree_of(response_id) == tree_of(item_id) == tree
    home = item_home(item_id)
    assert response_id == f"chatcmpl-{home}0000"


def test_a_tree_key_begins_with_the_day_on_which_the_tree_began() -> None:
    keys = [new_tree(day * DAY + 5.5) for day in range(0x128, 0x12C)]
    assert [key[:3] for key in keys] == ["128", "129", "12a", "12b"]
    assert new_tree((0x128 + RING) * DAY)[:3] == "128"
    assert {len(key) for key in keys} == {16}


def test_trees_of_one_day_share_nothing_but_the_day() -> None:
    keys = [new_tree(1) for _ in range(2000)]
    assert len(set(keys)) == len(keys)
    assert all(len({key[place] for key in keys}) == 16 for place in range(3, 16))


def test_the_same_turn_mints_the_same_ids_again() -> None:
    ids = TurnIds.new(new_tree(7), now=7)
    first = [ids.item("msg_"), ids.item("fc_"), ids.call()]
    again = TurnIds.of(ids.turn("resp_"))
    assert [again.item("msg_"), again.item("fc_"), again.call()] == first
    assert TurnIds.of(ids.turn("resp_"), used=1).item("fc_") == first[1]


def test_ids_do_not_repeat() -> None:
    tree = new_tree(1)
    turns = [TurnIds.new(tree, now=1) for _ in range(1000)]
    minted = [turn.turn("resp_") for turn in turns] + [turn.item("msg_") for turn in turns]
    minted += [turn.call() for turn in turns]
    assert len(set(minted)) == len(minted)


@given(st.text(max_size=80))
def test_a_foreign_id_has_no_tree_and_no_home(text: str) -> None:
    if tree_of(text) is None:
        assert item_home(text) is None


@proves("2.2.25")
def test_item_prefixes_are_the_official_ones() -> None:
    assert item_prefix("message") == "msg_"
    assert item_prefix("web_search_call") == "ws_"
    assert item_prefix("shell_call_output") == "sco_"
