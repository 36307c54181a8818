"""What turns take on the disk: at most twice their content, in all files, from 200 turns of 1.2 KB on."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from catena.store import Turn
from catena.store.sqlite import SqliteStore
from tests.store.turns import NOW, a_turn, items, replace, usual_turn

JOURNAL = 170
"""Bytes that tell how such an answer was streamed, in deltas of four characters (see `journal`)."""

LETTERS = "etaoin shrdlu cmfwyp"


class Kind(NamedTuple):
    """How long questions and answers are, by number, 1,200 characters in the mean; and whether they were streamed."""

    sizes: Callable[[int], tuple[int, int]]
    streamed: bool = False

    def content(self, depth: int) -> int:
        return sum(sum(self.sizes(number)) for number in range(depth))


ALIKE = Kind(lambda number: (600, 600))
UNEVEN = Kind(lambda number: (100 + number * 619 % 1001, 100 + number * 331 % 1001))
STREAMED = Kind(lambda number: (600, 600), streamed=True)

kinds = pytest.mark.parametrize("kind", [ALIKE, UNEVEN, STREAMED], ids=["alike", "uneven", "streamed"])


def prose(length: int) -> str:
    return "".join(random.choices(LETTERS, k=length))


def turn_of(kind: Kind, number: int, parent: Turn | None) -> Turn:
    """The turn of a chain that has this number, told as its kind is."""
    asked, answered = kind.sizes(number)
    return usual_turn(
        number,
        parent,
        asked=prose(asked),
        answered=prose(answered),
        created_at=NOW + 7 * number,
        cuts=random.randbytes(JOURNAL) if kind.streamed else b"",
    )


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


async def bytes_on_disk(folder: Path, depth: int, kind: Kind, *, begun: bool = False) -> tuple[int, int]:
    """What all files of a store with one chain take: while it is open and idle, and when it is closed."""
    folder.mkdir()
    store = await SqliteStore.open(folder / "catena.sqlite3")
    turn = None
    for number in range(depth):
        turn = turn_of(kind, number, turn)
        if begun:
            await store.begin(replace(turn, status="in_progress", output=b"[]", fields=b"{}", cuts=b""))
        await store.finish(turn)
    await store._database.writer.wipe(lambda connection: None)  # as after a moment in which nobody writes
    idle = size(folder)
    await store.close()
    return idle, size(folder)


@kinds
@pytest.mark.parametrize("begun", [False, True])
async def test_two_hundred_turns_take_at_most_twice_their_content(
    tmp_path: Path, kind: Kind, begun: bool
) -> None:
    idle, closed = await bytes_on_disk(tmp_path / "store", 200, kind, begun=begun)
    assert closed < idle <= 2 * kind.content(200)


@kinds
async def test_twice_the_depth_takes_twice_the_bytes(tmp_path: Path, kind: Kind) -> None:
    once = await bytes_on_disk(tmp_path / "once", 200, kind)
    twice = await bytes_on_disk(tmp_path / "twice", 400, kind)
    for of_once, of_twice in zip(once, twice, strict=True):
        assert 1.7 <= of_twice / of_once <= 2.3


async def test_a_payload_that_comes_with_every_turn_is_stored_once(tmp_path: Path) -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64," + prose(100_000).replace(" ", "/")}
    tools = [
        {"type": "function", "name": f"tool_{number}", "description": prose(400)} for number in range(50)
    ]
    fields = msgspec.json.encode({"tools": tools, "instructions": prose(4000)})
    store = await SqliteStore.open(tmp_path / "catena.sqlite3")
    turn = None
    for number in range(50):
        turn = a_turn(turn, input=items({"id": "img", "content": [image], "number": number}), fields=fields)
        await store.finish(turn)
    await store.close()
    once = 100_000 + len(fields)
    assert once < size(tmp_path) < 1.2 * once + 50 * 1200
