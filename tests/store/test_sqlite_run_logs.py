"""Logs of runs under way, in pages of a file: whole batches or none, for their owner only, and nothing of a run that
has ended."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from catena.store import LeaseLost
from catena.store.sqlite.logs import RunLogs
from catena.store.sqlite.mapped import ROOM, Page
from tests.store.turns import replace, running

RUN = running()
OTHER = running()
HELD = {run.id: (run.project, run.fence) for run in (RUN, OTHER)}

LONG = [bytes([number]) * size for number, size in enumerate((10, ROOM - 23, ROOM, 1, 3 * ROOM + 7, 5), 1)]
"""Batches that end within a page, at its end, and pages later."""


@pytest.fixture
def logs(tmp_path: Path) -> RunLogs:
    return RunLogs(tmp_path / "logs", HELD)


def after_a_kill(tmp_path: Path) -> RunLogs:
    return RunLogs(tmp_path / "logs", HELD)


def pages(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "pages"


def test_what_was_appended_is_there_for_who_comes_after_a_kill(logs: RunLogs, tmp_path: Path) -> None:
    logs.append(RUN, 0, b"one")
    logs.append(RUN, 1, b"two")
    assert after_a_kill(tmp_path).load(RUN.id) == [b"one", b"two"]


def test_batches_of_any_size_are_whole_after_a_kill_and_the_log_goes_on(
    logs: RunLogs, tmp_path: Path
) -> None:
    for number, batch in enumerate(LONG):
        logs.append(RUN, number, batch)
        logs.append(OTHER, number, batch[::-1] + b"!")
        again = after_a_kill(tmp_path)
        assert again.load(RUN.id) == LONG[: number + 1] == logs.load(RUN.id)
    again.append(RUN, len(LONG), b"more")
    assert again.load(RUN.id) == [*LONG, b"more"]
    assert again.load(OTHER.id) == [batch[::-1] + b"!" for batch in LONG]


def test_only_who_has_the_run_may_append(logs: RunLogs) -> None:
    logs.append(RUN, 0, b"mine")
    claimed = replace(RUN, fence=1)
    logs.expect(claimed)
    for stranger in (RUN, running(), replace(claimed, project="another")):
        with pytest.raises(LeaseLost):
            logs.append(stranger, 1, b"late")
    logs.append(claimed, 1, b"theirs")
    assert logs.load(RUN.id) == [b"mine", b"theirs"]


def test_a_new_try_begins_its_log_anew(logs: RunLogs, tmp_path: Path) -> None:
    for number, batch in enumerate(LONG):
        logs.append(RUN, number, batch)
    logs.append(RUN, 0, b"again")
    assert logs.load(RUN.id) == after_a_kill(tmp_path).load(RUN.id) == [b"again"]


def test_nothing_is_left_of_a_run_that_has_ended(logs: RunLogs, tmp_path: Path) -> None:
    logs.append(RUN, 0, b"SecretOfARun" * ROOM)
    logs.append(OTHER, 0, b"two")
    logs.forget([RUN.id, running().id])
    assert (logs.load(RUN.id), logs.load(OTHER.id)) == ([], [b"two"])
    assert b"Secret" not in pages(tmp_path).read_bytes()
    with pytest.raises(LeaseLost):
        logs.append(RUN, 1, b"late")


def test_pages_are_used_again(logs: RunLogs, tmp_path: Path) -> None:
    logs.append(RUN, 0, b"one" * ROOM)
    size = pages(tmp_path).stat().st_size
    for _ in range(1000):
        logs.append(RUN, 0, b"one" * ROOM)
    logs.append(OTHER, 0, b"two")
    assert logs.load(RUN.id) == [b"one" * ROOM]
    assert pages(tmp_path).stat().st_size == size


def test_the_file_grows_with_what_is_in_it_and_shrinks_when_it_is_empty(
    logs: RunLogs, tmp_path: Path
) -> None:
    much = os.urandom(3_000_000)
    logs.append(RUN, 0, b"one")
    least = pages(tmp_path).stat().st_size
    logs.append(OTHER, 0, much)
    logs.close()
    again = after_a_kill(tmp_path)
    assert again.load(OTHER.id) == [much]
    for _ in range(2):
        again.append(OTHER, 1, much)
        again.forget([OTHER.id, RUN.id])
        assert pages(tmp_path).stat().st_size < least
        again.expect(OTHER)
        again.append(OTHER, 0, b"two")
        assert again.load(OTHER.id) == [b"two"]
        assert pages(tmp_path).stat().st_size == least


def test_a_closed_log_leaves_no_file_if_nothing_is_in_it(logs: RunLogs, tmp_path: Path) -> None:
    logs.append(RUN, 0, b"one")
    logs.forget([RUN.id])
    logs.expect(RUN)
    for _ in range(2):
        logs.close()
    assert list((tmp_path / "logs").iterdir()) == []
    with pytest.raises(OSError, match="descriptor"):
        logs.append(RUN, 0, b"late")


def test_what_ended_runs_have_left_is_removed_at_the_start(logs: RunLogs, tmp_path: Path) -> None:
    logs.append(RUN, 0, b"one")
    (tmp_path / "logs" / "resp_of_old").write_bytes(b"one")
    RunLogs(tmp_path / "logs", {}).close()
    assert list((tmp_path / "logs").iterdir()) == []


@pytest.mark.parametrize("cut", range(1, 16))
def test_a_batch_that_is_not_whole_ends_a_log(logs: RunLogs, tmp_path: Path, cut: int) -> None:
    logs.append(RUN, 0, b"one")
    before = pages(tmp_path).read_bytes()
    logs.append(RUN, 1, b"half")
    after = pages(tmp_path).read_bytes()
    differs = [place for place, (one, two) in enumerate(zip(before, after, strict=True)) if one != two]
    at = differs[-1] + 1 - 16  # its head and four bytes
    pages(tmp_path).write_bytes(after[: at + cut] + before[at + cut :])
    again = after_a_kill(tmp_path)
    assert again.load(RUN.id) == [b"one"]
    again.append(RUN, 1, b"2")
    assert again.load(RUN.id) == after_a_kill(tmp_path).load(RUN.id) == [b"one", b"2"]


def test_pages_that_were_being_given_back_in_a_crash_are_free(logs: RunLogs, tmp_path: Path) -> None:
    logs.append(RUN, 0, b"one" * ROOM)
    content = pages(tmp_path).read_bytes()
    first = content.index(RUN.id.encode()) // 4096 * 4096
    pages(tmp_path).write_bytes(content.replace(content[first : first + 4096], bytes(4096), 1))
    assert after_a_kill(tmp_path).load(RUN.id) == []
    assert b"oneone" in content
    assert b"oneone" not in pages(tmp_path).read_bytes()


def test_a_full_disk_leaves_no_half_of_a_batch(
    logs: RunLogs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.append(RUN, 0, b"one")
    size = pages(tmp_path).stat().st_size
    write = os.pwrite
    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", lambda file, data, at: write(file, data[:5], at))
        with pytest.raises(OSError, match="no room"):
            logs.append(RUN, 1, b"two" * 1_000_000)
        assert pages(tmp_path).stat().st_size == size
        logs.append(RUN, 1, b"small")  # there is room in its page
    logs.append(RUN, 2, b"two" * 1_000_000)
    assert after_a_kill(tmp_path).load(RUN.id) == [b"one", b"small", b"two" * 1_000_000]


def test_logs_are_for_their_owner_only(logs: RunLogs, tmp_path: Path) -> None:
    logs.append(RUN, 0, b"one")
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700
    assert pages(tmp_path).stat().st_mode & 0o777 == 0o600


def test_a_log_whose_beginning_is_gone_is_no_log(logs: RunLogs, tmp_path: Path) -> None:
    for number in range(5):
        logs.append(RUN, number, bytes([number]) * (ROOM - 12))  # each begins a page
    content = pages(tmp_path).read_bytes()
    for lost, left in ((0, 0), (1, 1), (3, 3)):
        at = content.index(number_and_name(lost))
        pages(tmp_path).write_bytes(content[:at] + bytes(4096) + content[at + 4096 :])
        assert after_a_kill(tmp_path).load(RUN.id) == [
            bytes([number]) * (ROOM - 12) for number in range(left)
        ]


def test_a_log_is_given_back_from_its_end(
    logs: RunLogs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = [bytes([number]) * ROOM for number in range(4)]
    for number, batch in enumerate(batches):
        logs.append(RUN, number, batch)
    at_each_page: list[bytes] = []

    class Observed(list[Page]):
        def append(self, page: Page) -> None:
            at_each_page.append(pages(tmp_path).read_bytes())

    monkeypatch.setattr(logs._pages, "_free", Observed())
    logs.forget([RUN.id])
    found: list[list[bytes]] = []
    for content in at_each_page:
        pages(tmp_path).write_bytes(content)
        found.append(after_a_kill(tmp_path).load(RUN.id))
    assert all(each == batches[: len(each)] for each in found)
    assert [len(each) for each in found] == [3, 2, 1, 0, 0]


def test_a_file_that_is_large_grows_in_steps(logs: RunLogs, tmp_path: Path) -> None:
    step = 16 * 1024 * 1024
    logs.append(RUN, 0, bytes(3 * step))
    size = pages(tmp_path).stat().st_size
    assert 3 * step < size <= 4 * step
    logs.append(RUN, 1, bytes(step))
    assert pages(tmp_path).stat().st_size == size + step


def number_and_name(number: int) -> bytes:
    return number.to_bytes(4) + bytes((len(RUN.id),)) + RUN.id.encode()
