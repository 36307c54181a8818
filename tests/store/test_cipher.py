"""Contents as they are stored: sealed for their place, and told from those in clear."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.errors import StoreUnavailable
from catena.seal import key_id
from catena.store.cipher import CLEAR, MARK, Cipher, KeyRing, Sealing, is_sealed

KEYS = [bytes([number]) * 32 for number in range(3)]
ROW = (b"tree", b"turn")


def sealing(*numbers: int) -> Sealing:
    return Sealing(KeyRing([KEYS[number] for number in numbers]), b"digests")


@given(st.binary(max_size=300), st.text(max_size=9), st.lists(st.binary(max_size=20), max_size=3))
def test_what_is_stored_is_opened_again(content: bytes, column: str, row: Sequence[bytes]) -> None:
    for cipher in (CLEAR, sealing(0)):
        for each in (content, MARK + content, MARK[:3] + b"\x00" + content):
            stored = cipher.seal(each, column, *row)
            assert is_sealed(stored) == cipher.sealing
            assert cipher.open(stored, column, *row) == each


@given(st.binary(max_size=60))
def test_any_content_in_clear_is_read_with_keys_too(content: bytes) -> None:
    assert sealing(0).open(CLEAR.seal(content, "c", *ROW), "c", *ROW) == content


@pytest.mark.parametrize(
    "place", [("b", *ROW), ("c", b"turn", b"tree"), ("c", b"treeturn", b""), ("c", b"tree")]
)
def test_it_is_opened_nowhere_else(place: tuple[str, bytes]) -> None:
    stored = sealing(0).seal(b"content", "c", *ROW)
    with pytest.raises(StoreUnavailable, match="does not belong where it stands"):
        sealing(0).open(stored, *place)


@given(st.data())
def test_no_bit_can_be_changed_and_nothing_be_cut_off(data: st.DataObject) -> None:
    stored = bytearray(sealing(0).seal(b"content", "c", *ROW))
    bit = data.draw(st.integers(8 * len(MARK), 8 * len(stored) - 1))
    changed = bytearray(stored)
    changed[bit // 8] ^= 1 << bit % 8
    cut = stored[: data.draw(st.integers(len(MARK), len(stored) - 1))]
    for spoilt in (changed, cut):
        with pytest.raises(StoreUnavailable):
            sealing(0).open(bytes(spoilt), "c", *ROW)


@pytest.mark.parametrize("cipher", [CLEAR, sealing(1, 2)])
def test_a_key_that_is_not_there_is_named(cipher: Cipher) -> None:
    with pytest.raises(StoreUnavailable, match=key_id(KEYS[0]).hex()):
        cipher.open(sealing(0).seal(b"content", "c", *ROW), "c", *ROW)


def test_the_newest_key_seals_and_each_opens() -> None:
    old = sealing(0).seal(b"content", "c", *ROW)
    both = sealing(0, 1)
    assert both.open(old, "c", *ROW) == b"content"
    assert sealing(1).open(both.seal(b"content", "c", *ROW), "c", *ROW) == b"content"


def test_the_same_content_never_looks_the_same() -> None:
    cipher = sealing(0)
    assert cipher.seal(b"content", "c", *ROW) != cipher.seal(b"content", "c", *ROW)


def test_equal_contents_are_found_in_one_place_and_told_in_no_other() -> None:
    cipher, content = sealing(0), os.urandom(100)
    assert cipher.digest(content, b"tree") == sealing(1).digest(content, b"tree")
    others = {cipher.digest(content, b"other"), Sealing(KeyRing(KEYS), b"x").digest(content, b"tree")}
    assert len({cipher.digest(content, b"tree"), CLEAR.digest(content), *others}) == 4
