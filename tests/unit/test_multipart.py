"""Forms with files: the same events wherever the network cuts them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.errors import BadRequest
from catena.web.multipart import FormEvent, FormParser, PartBegin, PartData, boundary_of

FORM = (
    b'--xyz\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
    b'--xyz\r\ncontent-disposition: form-data; name="file"; filename="a \\"b\\".txt"\r\n'
    b"Content-Type: text/plain\r\n\r\none\r\n--xy\r\n\r\n--xyz--\r\n"
)


def read(*pieces: bytes) -> list[tuple[PartBegin, bytes]]:
    parser = FormParser(b"xyz")
    parts: list[tuple[PartBegin, bytes]] = []
    for piece in pieces:
        events: Sequence[FormEvent] = parser.feed(piece)
        for event in events:
            if isinstance(event, PartBegin):
                parts.append((event, b""))
            elif isinstance(event, PartData):
                begin, data = parts[-1]
                parts[-1] = (begin, data + event.data)
    parser.close()
    return parts


WHOLE = [(PartBegin("purpose"), b"user_data"), (PartBegin("file", 'a "b".txt'), b"one\r\n--xy\r\n")]


@given(st.lists(st.integers(0, len(FORM)), max_size=6).map(sorted))
def test_a_form_is_the_same_wherever_it_is_cut(cuts: list[int]) -> None:
    pieces = [FORM[start:end] for start, end in zip([0, *cuts], [*cuts, len(FORM)], strict=True)]
    assert read(*pieces) == WHOLE


def test_a_form_is_the_same_byte_by_byte() -> None:
    assert read(*(FORM[place : place + 1] for place in range(len(FORM)))) == WHOLE


@pytest.mark.parametrize("end", range(len(FORM) - 4))
def test_a_form_that_ends_in_the_middle_is_none(end: int) -> None:
    with pytest.raises(BadRequest, match="no valid form"):
        read(FORM[:end])


@given(st.binary(max_size=200))
def test_whatever_comes_is_a_form_or_refused(data: bytes) -> None:
    with contextlib.suppress(BadRequest):
        read(data)


@pytest.mark.parametrize("kind", [None, "", "application/json", "multipart/mixed; boundary=x"])
def test_another_type_is_refused(kind: str | None) -> None:
    with pytest.raises(BadRequest, match="multipart/form-data"):
        boundary_of(kind)


def test_a_boundary_is_told_by_the_type_and_not_too_long() -> None:
    assert boundary_of('Multipart/Form-Data; boundary="x y"') == b"x y"
    with pytest.raises(BadRequest, match="boundary"):
        FormParser(b"x" * 1000)
