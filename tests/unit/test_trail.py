"""Trails: however turns branch, each history is its own turns and no others."""

import random

from catena.context.media import Draft
from catena.context.trail import Trail


def until(place: tuple[Trail, int, int]) -> list[bytes]:
    trail, _, end = place
    return trail.until(end)


def after(place: tuple[Trail, int, int], fragment: bytes, *, anew: bool = False) -> tuple[Trail, int, int]:
    trail, _, end = place
    return trail.followed(end, fragment, anew=anew)


ROOT = (Trail(b""), 0, 0)


def test_turns_in_a_row_are_one_piece() -> None:
    place = after(after(after(ROOT, b"1", anew=True), b"22"), b"333")
    assert until(place) == [b"1,22,333"]
    assert place[0].between(*place[1:]) == b"333"


def test_a_history_that_was_given_out_does_not_grow() -> None:
    place = after(ROOT, b"1", anew=True)
    history = until(place)
    after(place, b"2")
    assert history == until(place) == [b"1"]


def test_a_branch_is_a_piece_of_its_own() -> None:
    place = after(ROOT, b"1", anew=True)
    first, second = after(place, b"first"), after(place, b"second")
    assert until(after(first, b"f")) == [b"1,first,f"]
    assert until(after(second, b"s")) == [b"1", b"second,s"]


def test_a_draft_stays_a_draft_between_its_neighbours() -> None:
    place = after(after(after(ROOT, b"1", anew=True), Draft(b"22")), b"333")
    pieces = until(place)
    assert pieces == [b"1", b"22", b"333"]
    assert [type(piece) for piece in pieces] == [bytes, Draft, bytes]


def test_a_turn_that_begins_anew_has_nothing_before_it() -> None:
    place = after(after(ROOT, b"1", anew=True), b"2", anew=True)
    assert until(after(place, b"3")) == [b"2,3"]


def test_turns_of_nothing_leave_no_commas() -> None:
    place = after(after(after(after(ROOT, b"", anew=True), b"1"), b""), b"2")
    assert until(place) == [b"1,2"]
    assert until(after(ROOT, b"", anew=True)) == []


def test_any_tree_tells_each_of_its_histories() -> None:
    chance = random.Random(7)
    tree = [(ROOT, [b""])]
    for number in range(400):
        above, told = tree[-1] if chance.random() < 0.6 else chance.choice(tree)
        fragment = chance.choice([b"", b"%d" % number, Draft(b"%d" % number)])
        anew = above is ROOT or chance.random() < 0.05
        place = after(above, fragment, anew=anew)
        tree.append((place, [fragment] if anew else [*told, fragment]))
        assert place[0].between(*place[1:]) == fragment
    for place, told in tree:
        assert b",".join(until(place)) == b",".join(filter(None, told))
        assert b"" not in until(place)
