"""Seals: what is sealed can be opened by whom it is for, and is recognised when it was changed."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from catena.errors import CatenaError
from catena.seal import BrokenSeal, Seals, read_keys

SEALS = Seals()


@given(st.binary(max_size=300), st.text(max_size=20))
def test_what_is_sealed_is_opened_again(content: bytes, project: str) -> None:
    token = SEALS.seal(project, content)
    assert SEALS.open(project, token) == content
    assert token != SEALS.seal(project, content)


TOKEN = SEALS.seal("p", b"content")


@given(st.integers(len("catena.1."), len(TOKEN) - 2), st.sampled_from("ABCxyz019-_.=! é"))
def test_no_letter_can_be_changed(place: int, letter: str) -> None:
    token = TOKEN
    assume(letter != token[place])
    with pytest.raises(BrokenSeal):
        SEALS.open("p", token[:place] + letter + token[place + 1 :])


@given(st.text(max_size=60))
def test_any_text_is_either_foreign_or_broken(text: str) -> None:
    assert text.startswith("catena.1.") or SEALS.open("p", text) is None
    with pytest.raises(BrokenSeal):
        SEALS.open("p", "catena.1." + text)


def test_another_project_cannot_open_it() -> None:
    with pytest.raises(BrokenSeal):
        SEALS.open("other", SEALS.seal("p", b"content"))


def test_the_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    token = Seals(path).seal("p", b"content")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Seals(path).open("p", token) == b"content"
    assert [file.name for file in tmp_path.iterdir()] == ["keys"]


def test_the_last_key_seals_and_each_opens(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    old = Seals(path).seal("p", b"old")
    first = path.read_bytes()
    path.write_bytes(first + base64.urlsafe_b64encode(bytes(32)) + b"\n")
    both = Seals(path)
    assert both.open("p", old) == b"old"
    new = both.seal("p", b"new")
    path.write_bytes(first)
    with pytest.raises(BrokenSeal):
        Seals(path).open("p", new)


@pytest.mark.parametrize("content", [b"", b"c2hvcnQ=\n", b"\xff\xfe", b"not base64!\n"])
def test_a_file_without_a_key_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keys"
    path.write_bytes(content)
    with pytest.raises(CatenaError, match="keys"):
        read_keys(path)
    with pytest.raises(CatenaError, match="keys"):
        Seals(path).seal("p", b"content")


def test_a_folder_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(CatenaError, match="cannot be made"):
        Seals(tmp_path / "none" / "keys").seal("p", b"content")
