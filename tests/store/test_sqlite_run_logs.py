"""Logs of runs under way, as files: whole batches or none, for their owner only, and nothing that outlives its run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from catena.store import LeaseLost
from catena.store.sqlite.logs import RunLogs
from tests.store.turns import replace, running

RUN = running()
HELD = {RUN.id: (RUN.project, RUN.fence)}


@pytest.fixture
def logs(tmp_path: Path) -> RunLogs:
    return RunLogs(tmp_path / "logs", HELD)


def test_what_was_appended_is_there_for_who_comes_after_a_kill(logs: RunLogs, tmp_path: Path) -> None:
    logs.append(RUN, 0, b"one")
    logs.append(RUN, 1, b"two")
    assert RunLogs(tmp_path / "logs", HELD).load(RUN.id) == [b"one", b"two"]


def test_only_who_has_the_run_may_append(logs: RunLogs) -> None:
    logs.append(RUN, 0, b"mine")
    claimed = replace(RUN, fence=1)
    logs.expect(claimed)
    for stranger in (RUN, running(), replace(claimed, project="another")):
        with pytest.raises(LeaseLost):
            logs.append(stranger, 1, b"late")
    logs.append(claimed, 1, b"theirs")
    assert logs.load(RUN.id) == [b"mine", b"theirs"]


def test_a_run_that_has_ended_leaves_no_file(logs: RunLogs, tmp_path: Path) -> None:
    logs.append(RUN, 0, b"one")
    logs.forget([RUN.id, running().id])
    assert logs.load(RUN.id) == []
    assert list((tmp_path / "logs").iterdir()) == []
    with pytest.raises(LeaseLost):
        logs.append(RUN, 1, b"late")


def test_what_ended_runs_have_left_is_removed_at_the_start(logs: RunLogs, tmp_path: Path) -> None:
    logs.append(RUN, 0, b"one")
    RunLogs(tmp_path / "logs", {})
    assert list((tmp_path / "logs").iterdir()) == []


@pytest.mark.parametrize(
    "end", [b"\0\0\0\1\0", b"\0\0\0\1\0\0\0\7half", b"\0" * 64], ids=["its head", "its half", "zeros"]
)
def test_a_batch_that_is_not_whole_ends_a_log(logs: RunLogs, tmp_path: Path, end: bytes) -> None:
    logs.append(RUN, 0, b"one")
    with (tmp_path / "logs" / RUN.id).open("ab") as file:
        file.write(end)
    assert logs.load(RUN.id) == [b"one"]


def test_a_full_disk_leaves_no_half_of_a_batch(logs: RunLogs, monkeypatch: pytest.MonkeyPatch) -> None:
    logs.append(RUN, 0, b"one")
    write = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda file, data: write(file, data[:5]))
        with pytest.raises(OSError, match="no room"):
            logs.append(RUN, 1, b"two")
    logs.append(RUN, 1, b"two again")
    assert logs.load(RUN.id) == [b"one", b"two again"]


def test_logs_are_for_their_owner_only(logs: RunLogs, tmp_path: Path) -> None:
    logs.append(RUN, 0, b"one")
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "logs" / RUN.id).stat().st_mode & 0o777 == 0o600
