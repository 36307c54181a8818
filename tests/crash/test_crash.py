"""The short form of the crash harness, and proof that its checker sees what it is there to see."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from catena.store.rows import key_of
from tests.conformance.proves import proves
from tests.crash.harness import run
from tests.crash.told import Asked, Ended, Notebook

SEED = 20261120

Wanted: TypeAlias = Callable[[Ended, Asked], bool]


@proves("P.crash")
async def test_nothing_that_was_told_is_lost_when_the_server_is_killed(tmp_path: Path) -> None:
    findings = await run(tmp_path, kills=3, seed=SEED, calm=(0.3, 1.2))
    assert findings.clean, str(findings)
    assert findings.counts["turns acknowledged"] > 20
    assert findings.counts["events told"] > 100
    assert findings.counts["kills survived"] == 3


class Meddler:
    """Does something to one turn behind the server's back: to the last one that is wanted."""

    def __init__(self, statement: str, wanted: Wanted) -> None:
        self.turn_id = ""
        self._statement = statement
        self._wanted = wanted

    def __call__(self, database: Path, notebook: Notebook, taken: set[str]) -> None:
        lines = list(notebook.read())
        asked = {line.text: line for line in lines if isinstance(line, Asked)}
        ends = [line for line in lines if isinstance(line, Ended) and line.id not in taken]
        self.turn_id = next(end.id for end in reversed(ends) if self._wanted(end, asked[end.text]))
        taken.add(self.turn_id)
        connection = sqlite3.connect(database)
        with connection:
            tree, rest = key_of(self.turn_id) or (b"", b"")
            assert connection.execute(self._statement, {"tree": tree, "rest": rest}).rowcount == 1
        connection.close()


def plain(end: Ended, asked: Asked) -> bool:
    return asked.stored and not asked.streamed and asked.door == "responses"


def streamed(end: Ended, asked: Asked) -> bool:
    return asked.streamed and asked.door == "responses" and end.status == "completed"


def chatted(end: Ended, asked: Asked) -> bool:
    return asked.door == "chat"


GONE = Meddler("DELETE FROM turns WHERE tree = :tree AND id = :rest", plain)
CHAT_GONE = Meddler("DELETE FROM turns WHERE tree = :tree AND id = :rest", chatted)
ALTERED = Meddler(
    "UPDATE turns SET output = CAST(replace(output, 'seen=', 'sung=') AS BLOB) WHERE tree = :tree AND id = :rest",
    streamed,
)
HANGING = Meddler(
    "UPDATE turns SET status = 1, owner = 'nobody', lease_until = 1e12 WHERE tree = :tree AND id = :rest",
    streamed,
)


def all_of(meddlers: Sequence[Meddler], taken: set[str]) -> Callable[[Path, Notebook], None]:
    def meddle(database: Path, notebook: Notebook) -> None:
        for meddler in meddlers:
            meddler(database, notebook, taken)

    return meddle


async def test_the_checker_sees_what_is_gone_what_is_altered_and_what_hangs(tmp_path: Path) -> None:
    taken: set[str] = set()
    findings = await run(
        tmp_path,
        kills=1,
        seed=SEED,
        clients=16,
        calm=(1.2, 1.3),
        patience=3.0,
        while_down=all_of([GONE, CHAT_GONE, ALTERED], taken),
        at_the_end=all_of([HANGING], taken),
    )
    for meddler, kind in ((GONE, "lost"), (CHAT_GONE, "lost"), (ALTERED, "doubled"), (HANGING, "stuck")):
        assert any(meddler.turn_id in found for found in findings.wrong[kind]), findings
