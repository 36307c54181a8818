"""Three servers on one PostgreSQL, and what happens to them: the short form, and proof that its checker sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pytest

from catena.store.rows import key_of
from tests.conformance.proves import proves
from tests.crash.database import FragileDatabase
from tests.crash.disasters import (
    Disaster,
    crash_database,
    freeze_database,
    freeze_one,
    kill_one,
    kill_one_while_the_database_is_away,
    stop_one_while_the_database_is_away,
)
from tests.crash.siege import run
from tests.crash.told import Asked, Ended, Notebook

SEED = 20261120

Wanted: TypeAlias = Callable[[Ended, Asked], bool]


@proves("P.crash", "P.replicas")
@pytest.mark.parametrize(
    ("disasters", "wait_for_log"),
    [
        ([kill_one, freeze_one, crash_database, kill_one_while_the_database_is_away], False),
        ([freeze_database, stop_one_while_the_database_is_away], True),
    ],
    ids=["streams go on", "streams wait"],
)
async def test_nothing_that_was_told_is_lost_whatever_happens_to_servers_and_their_database(
    tmp_path: Path, disasters: Sequence[Disaster], wait_for_log: bool
) -> None:
    """Streams that go on while the database is away may be taken back if their server dies as well: see the checker."""
    findings = await run(
        tmp_path, disasters=disasters, seed=SEED, clients=12, calm=(0.2, 0.6), wait_for_log=wait_for_log
    )
    assert findings.clean, str(findings)
    assert findings.counts["turns acknowledged"] > 20
    assert findings.counts["events told"] > 100
    assert findings.counts["conversations"] > 0
    assert findings.counts["disasters survived"] == len(disasters)
    assert not (wait_for_log and findings.counts["taken back by two faults"])


def plain(end: Ended, asked: Asked) -> bool:
    return asked.stored and not asked.streamed and asked.door == "responses" and asked.conversation is None


def streamed(end: Ended, asked: Asked) -> bool:
    return asked.streamed and asked.door == "responses" and end.status == "completed"


def conversed(end: Ended, asked: Asked) -> bool:
    return asked.conversation is not None and end.status == "completed"


class Meddler(NamedTuple):
    """Something done to the last turn that is wanted, and as what the checker must see it."""

    kind: str
    wanted: Wanted
    statement: str


def where(change: str) -> str:
    return f"{change} WHERE tree = $1 AND id = $2 RETURNING 1"


MEDDLERS = (
    Meddler("lost", plain, where("DELETE FROM turns")),
    Meddler(
        "doubled",
        streamed,
        where(
            "UPDATE turns SET output = convert_to(replace(convert_from(output, 'UTF8'), 'seen=', 'sung='), 'UTF8')"
        ),
    ),
    Meddler(
        "stuck",
        streamed,
        where("UPDATE turns SET status = 1, owner = 'nobody', lease_until = 'infinity'"),
    ),
    Meddler("stuck", conversed, "UPDATE conversations SET holder = $2 WHERE tree = $1 RETURNING 1"),
    Meddler(
        "doubled",
        plain,
        "INSERT INTO turns (tree, id, created_at, door, status, listed, project, model, fields, input, output) "
        + where(
            "SELECT tree, set_byte(id, 16, get_byte(id, 16) # 1), created_at, door, status, listed, project, model, "
            "fields, input, output FROM turns"
        ),
    ),
)


async def test_the_checker_sees_what_is_planted_in_the_database_of_several_servers(tmp_path: Path) -> None:
    planted: dict[str, tuple[str, tuple[str, str]]] = {}

    async def meddle(database: FragileDatabase, notebook: Notebook) -> None:
        lines = list(notebook.read())
        asked = {line.text: line for line in lines if isinstance(line, Asked)}
        ends = [line for line in lines if isinstance(line, Ended)]
        for kind, wanted, statement in MEDDLERS:
            end = next(
                end for end in reversed(ends) if end.id not in planted and wanted(end, asked[end.text])
            )
            planted[end.id] = kind, (end.id, repr(end.text))
            assert await database.run(statement, *(key_of(end.id) or ()))

    findings = await run(
        tmp_path, disasters=[], seed=SEED, clients=12, calm=(2.5, 2.6), patience=2.0, meddle=meddle
    )
    assert len(planted) == len(MEDDLERS)
    for kind, words in planted.values():
        assert any(word in found for word in words for found in findings.wrong[kind]), (kind, words, findings)
