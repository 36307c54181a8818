"""Tool calls, however an engine numbers and names their pieces."""

from __future__ import annotations

from typing import Any, TypeAlias

import pytest

from catena.chunks import ToolCallDelta
from catena.upstream.calls import ToolCalls

Piece: TypeAlias = tuple[int | None, str, str, Any]


def calls_of(*pieces: Piece) -> list[tuple[str, str, str]]:
    """Id, name and arguments of each call that the pieces make."""
    calls = ToolCalls()
    deltas = [delta for piece in pieces for delta in calls.piece(*piece)] + calls.end()
    made: dict[int, list[str]] = {}
    for delta in deltas:
        if delta.name:
            assert delta.index == len(made), "the calls are numbered as they begin"
            made[delta.index] = [delta.call_id, delta.name, ""]
        made[delta.index][2] += delta.arguments
    return [(call_id, name, arguments) for call_id, name, arguments in made.values()]


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        pytest.param(
            [
                (0, "c1", "f", ""),
                (0, "", "", '{"a"'),
                (1, "c2", "g", ""),
                (0, "", "", ":1}"),
                (1, "", "", "{}"),
            ],
            [("c1", "f", '{"a":1}'), ("c2", "g", "{}")],
            id="by the book, interleaved",
        ),
        pytest.param(
            [(0, "c1", "f", "{}"), (0, "c2", "f", "{}")],
            [("c1", "f", "{}"), ("c2", "f", "{}")],
            id="whole calls that all have index 0",
        ),
        pytest.param(
            [(0, "", "f", '{"a":1}'), (0, "", "f", '{"a":2}')],
            [("", "f", '{"a":1}'), ("", "f", '{"a":2}')],
            id="whole calls of index 0 without ids",
        ),
        pytest.param(
            [(None, "", "f", {"a": 1}), (None, "", "g", {})],
            [("", "f", '{"a":1}'), ("", "g", "{}")],
            id="neither index nor id, arguments as objects",
        ),
        pytest.param(
            [(None, "c1", "f", '{"a"'), (None, "", "", ":1}"), (None, "c2", "g", "{}")],
            [("c1", "f", '{"a":1}'), ("c2", "g", "{}")],
            id="no index, in pieces",
        ),
        pytest.param(
            [(0, "c1", "f", ""), (0, "c2", "", '{"a"'), (0, "c3", "", ":1}")],
            [("c1", "f", '{"a":1}')],
            id="a new id with every piece",
        ),
        pytest.param(
            [(0, "c1", "f", '{"a"'), (0, "c1", "f", ":1}")],
            [("c1", "f", '{"a":1}')],
            id="id and name with every piece",
        ),
        pytest.param(
            [(0, "", "f", '{"a"'), (0, "", "f", ":1}")],
            [("", "f", '{"a":1}')],
            id="the name with every piece, no id",
        ),
        pytest.param(
            [(0, "c1", "", ""), (0, "", "", '{"a"'), (0, "", "f", ":1}")],
            [("c1", "f", '{"a":1}')],
            id="the name late",
        ),
        pytest.param(
            [(0, "", "f", ""), (0, "c1", "", "{}")], [("", "f", "{}")], id="the id after the call was told"
        ),
        pytest.param([(0, "c1", "f", None)], [("c1", "f", "{}")], id="no arguments at all"),
        pytest.param([(0, "", "", "")], [], id="a piece of nothing"),
        pytest.param(
            [(0, "c1", "f", "{}"), (1, "c1", "g", "{}")],
            [("c1", "f", "{}"), ("", "g", "{}")],
            id="an id that two calls share is none",
        ),
        pytest.param([(0, "x" * 65, "f", "{}")], [("", "f", "{}")], id="an id too long for the API is none"),
        pytest.param(
            [(7, "c1", "f", "{}"), (3, "c2", "g", "{}")],
            [("c1", "f", "{}"), ("c2", "g", "{}")],
            id="indexes in any order",
        ),
    ],
)
def test_pieces_make_calls(pieces: list[Piece], calls: list[tuple[str, str, str]]) -> None:
    assert calls_of(*pieces) == calls


def test_a_call_without_a_name_is_an_error_at_the_end() -> None:
    calls = ToolCalls()
    assert calls.piece(0, "c1", "", "{}") == []
    assert not calls.begun
    with pytest.raises(ValueError, match="no name"):
        calls.end()


def test_a_call_is_told_as_soon_as_its_name_is_known() -> None:
    calls = ToolCalls()
    assert calls.piece(0, "c1", "", '{"a"') == []
    assert calls.piece(0, "", "f", ":") == [ToolCallDelta(0, "c1", "f", '{"a":')]
    assert calls.begun
