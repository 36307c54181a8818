"""Pulling the weights: whatever the sources do, what ends up under the name is the right file."""

from __future__ import annotations

import fcntl
import hashlib
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from catena.embedded.progress import PullProgress
from catena.embedded.sources import Source, SourceFailed
from catena.embedded.weights import (
    CODER,
    SOURCES,
    Progress,
    PullFailed,
    Weights,
    find,
    licence,
    pull,
    under_way,
)

CONTENT = bytes(range(256)) * 40
TINY = Weights("tiny", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


class Fake:
    """A source that delivers `content` and then fails, or stops, after `until` bytes."""

    def __init__(self, content: bytes = CONTENT, *, name: str = "fake", until: int | None = None) -> None:
        self.name = name
        self.asked: list[int] = []
        self._content = content
        self._until = until

    def read(self, offset: int) -> Iterator[bytes]:
        self.asked.append(offset)
        for at in range(offset, len(self._content), 1000):
            if self._until is not None and at >= self._until:
                raise SourceFailed("the line is dead")
            yield self._content[at : at + 1000]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CATENA_CACHE", str(tmp_path))
    return tmp_path


def pull_tiny(*sources: Source, seen: list[Progress] | None = None) -> Path:
    seen = [] if seen is None else seen
    return pull(sources=sources, weights=TINY, progress=seen.append)


def test_a_pull_brings_the_file_to_the_cache_where_it_is_found(cache: Path) -> None:
    assert find(weights=TINY) is None
    path = pull_tiny(Fake())
    assert path.is_relative_to(cache)
    assert path.read_bytes() == CONTENT
    assert find(weights=TINY) == path
    assert [file.name for file in path.parent.iterdir() if not file.name.startswith(".")] == [path.name]


def test_a_file_that_is_there_is_not_pulled_again() -> None:
    path, source = pull_tiny(Fake()), Fake()
    assert pull_tiny(source) == path
    assert source.asked == []


def test_a_file_that_was_damaged_since_is_pulled_again() -> None:
    path = pull_tiny(Fake())
    path.write_bytes(CONTENT[::-1])
    assert pull_tiny(Fake()).read_bytes() == CONTENT


def test_the_pull_may_go_to_a_place_that_the_user_names(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere" / "model.gguf"
    assert pull(target, sources=[Fake()], weights=TINY) == target
    assert target.read_bytes() == CONTENT


def test_whoever_asks_is_told_how_far_a_pull_is_while_it_is_under_way() -> None:
    told: list[Progress | None] = [under_way(TINY)]

    class Looking(Fake):
        def read(self, offset: int) -> Iterator[bytes]:
            told.append(under_way(TINY))
            yield from super().read(offset)

    pull_tiny(Fake(until=5000), Looking())
    told.append(under_way(TINY))
    before, meanwhile, after = told
    assert before is after is None
    assert meanwhile == Progress(5000, TINY.size)


def test_progress_is_told_from_nothing_to_the_whole() -> None:
    seen: list[Progress] = []
    pull_tiny(Fake(name="here"), seen=seen)
    assert seen[0] == Progress(0, TINY.size, "here")
    assert seen[-1] == Progress(TINY.size, TINY.size, "here")
    assert [step.done for step in seen] == sorted(step.done for step in seen)


def test_a_pull_that_was_cut_is_taken_up_where_it_stopped() -> None:
    with pytest.raises(PullFailed, match="the line is dead"):
        pull_tiny(Fake(until=3000))
    again = Fake()
    assert pull_tiny(again).read_bytes() == CONTENT
    assert again.asked == [3000]


def test_one_source_finishes_what_another_began_and_the_failure_is_told_in_a_line() -> None:
    seen: list[Progress] = []
    second = Fake(name="second")
    assert pull_tiny(Fake(name="first", until=5000), second, seen=seen).read_bytes() == CONTENT
    assert second.asked == [5000]
    assert [step.note for step in seen if step.note] == ["first: the line is dead"]


def test_a_wrong_file_is_refused_and_nothing_is_left_of_it() -> None:
    with pytest.raises(PullFailed, match="wrong hash"):
        pull_tiny(Fake(CONTENT[::-1]))
    assert find(weights=TINY) is None
    assert not list(TINY.path.parent.glob("*.partial"))


def test_a_source_that_stops_early_and_one_that_sends_too_much_are_refused() -> None:
    with pytest.raises(PullFailed, match="it ended after 5,120 of 10,240 bytes"):
        pull_tiny(Fake(CONTENT[:5120]))
    with pytest.raises(PullFailed, match="wrong hash"):
        pull_tiny(Fake(CONTENT + b"more"))


def test_wrong_bytes_from_one_source_are_not_held_against_the_next() -> None:
    """A page of a captive portal, say: the second source appends to it, and then sends the whole."""
    second = Fake()
    assert pull_tiny(Fake(b"<html>" * 500, until=2000), second).read_bytes() == CONTENT
    assert second.asked == [2000, 0]


def test_every_source_that_failed_is_named() -> None:
    with pytest.raises(PullFailed) as failure:
        pull_tiny(Fake(name="one", until=0), Fake(name="two", until=0))
    assert str(failure.value).splitlines()[1:] == ["one: the line is dead", "two: the line is dead"]


def test_two_pulls_do_not_write_one_file() -> None:
    TINY.path.parent.mkdir(parents=True)
    with (TINY.path.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(PullFailed, match="under way"):
            pull_tiny(Fake())
    assert pull_tiny(Fake()).read_bytes() == CONTENT


def test_a_full_disk_is_told_before_anything_is_pulled(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Fake()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 20))
    with pytest.raises(PullFailed, match="has 1 MB free; the model needs"):
        pull_tiny(source)
    assert source.asked == []


def test_any_file_that_the_user_names_is_taken_as_it_is(tmp_path: Path) -> None:
    named = tmp_path / "own.gguf"
    assert find(named) is None
    named.write_bytes(b"GGUF")
    assert find(named) == named


def test_a_file_of_another_size_in_the_cache_is_not_the_model() -> None:
    pull_tiny(Fake()).write_bytes(b"cut")
    assert find(weights=TINY) is None


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"CATENA_CACHE": "/c", "XDG_CACHE_HOME": "/x"}, "/c"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/catena"),
        ({"HOME": "/home/ada"}, "/home/ada/.cache/catena"),
    ],
)
def test_the_cache_is_where_the_environment_says(
    environment: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CATENA_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert CODER.path.parent == Path(folder) / "models"


def test_the_default_model_comes_from_its_makers_first_and_has_its_licence_here() -> None:
    assert [source.name for source in SOURCES] == [
        "the hub repository Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
        "the package index",
    ]
    assert CODER.sha256 in licence()
    assert "Apache License" in licence()


def test_the_bar_shows_how_far_it_is_and_which_source_failed() -> None:
    screen = io.StringIO()
    with PullProgress(Console(file=screen, force_terminal=True, width=120)) as progress:
        progress(Progress(0, 100, "here", note="here: [not] reachable"))
        progress(Progress(100, 100, "there"))
    assert "here: [not] reachable" in screen.getvalue()
    assert "from there" in screen.getvalue()
    assert "100/100 bytes" in screen.getvalue()
