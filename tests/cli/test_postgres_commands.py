"""PostgreSQL from the command line: `catena migrate`, and `catena serve` in several processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import httpx2
import pytest

from tests.cli.test_serve_command import NOBODY, catena, refusal, url_of
from tests.postgres import TestDatabase
from tests.running import LIMIT


async def output_of(*arguments: str) -> tuple[int, str]:
    process = await catena(*arguments)
    async with asyncio.timeout(LIMIT):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, " ".join((out + err).decode().split())


async def test_a_server_starts_on_a_database_that_was_migrated_and_not_before(postgres: TestDatabase) -> None:
    async with postgres.another("commands") as database:
        told = await refusal("--database", database.url, "--upstream", NOBODY)
        assert "Run: catena migrate" in told
        code, told = await output_of("migrate", "--database", database.url)
        assert (code, told.partition(" → ")[0]) == (0, "schema 0")
        assert "as before" in (await output_of("migrate", "--database", database.url))[1]
        process = await catena("serve", "--port", "0", "--database", database.url, "--upstream", NOBODY)
        async with httpx2.AsyncClient(base_url=await url_of(process)) as http:
            assert (await http.get("/responses")).status_code == 200
        process.terminate()
        await process.communicate()
        assert process.returncode == 0


async def test_a_new_database_is_made_in_partitions(postgres: TestDatabase) -> None:
    async with postgres.another("partitions") as database:
        here = ("--database", database.url)
        code, told = await output_of("migrate", *here, "--shards", "2")
        assert (code, "--partition day" in told) == (1, True)
        code, told = await output_of("migrate", *here, "--partition", "week", "--shards", "2")
        assert (code, told.partition(" → ")[0]) == (0, "schema 0")
        assert [tuple(row) for row in await database.run("SELECT days, shards FROM partitioning")] == [(7, 2)]
        assert "as before" in (await output_of("migrate", *here))[1]
        code, told = await output_of("migrate", *here, "--partition", "day")
        assert (code, "for a new database" in told) == (1, True)
        code, told = await output_of("gc", *here)
        assert (code, "Removed: 0 turns" in told) == (0, True)


async def test_a_sqlite_database_needs_no_migration() -> None:
    code, told = await output_of("migrate")
    assert code == 0
    assert "nothing to do" in told


async def test_a_database_that_cannot_be_reached_is_told_without_its_password() -> None:
    url = "postgresql://postgres:geheim@127.0.0.1:1/catena"
    for arguments in (
        ("migrate", "--database", url),
        ("serve", "--port", "0", "--database", url, "--upstream", NOBODY),
    ):
        code, told = await output_of(*arguments)
        assert code == 1
        assert "cannot be reached" in told
        assert "geheim" not in told


async def test_several_processes_need_postgresql() -> None:
    told = await refusal("--workers", "2", "--upstream", NOBODY)
    assert "server.workers: expected 1" in told
    assert "postgresql://" in told


async def test_the_driver_that_is_missing_is_named(tmp_path: object) -> None:
    hidden = (
        "import sys; sys.modules['asyncpg'] = None; sys.argv[0] = 'catena'; "
        "from catena.cli import main; main()"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        hidden,
        "migrate",
        "--database",
        "postgresql://127.0.0.1:1/x",
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert process.returncode == 1
    assert "pip install 'catena[postgres]'" in " ".join(err.decode().split())


async def test_several_processes_answer_and_one_that_dies_is_replaced(postgres: TestDatabase) -> None:
    await postgres.empty()
    serving = ("serve", "--port", "0", "--database", postgres.url, "--upstream", NOBODY, "--workers", "2")
    process = await catena(*serving)
    url = await url_of(process)
    assert process.stderr is not None
    async with asyncio.timeout(LIMIT), httpx2.AsyncClient(base_url=url) as http:
        assert (await http.get("/responses")).status_code == 200
        os.kill(await a_worker_of(process.pid), signal.SIGKILL)
        while b"is replaced" not in (line := await process.stderr.readline()):
            assert line
        assert (await http.get("/responses")).status_code == 200
        process.terminate()
        await process.communicate()
    assert process.returncode == 0


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_server_that_cannot_write_says_so_and_never_that_it_is_there(
    postgres: TestDatabase, workers: str
) -> None:
    async with postgres.another("standing-by") as database:
        assert (await output_of("migrate", "--database", database.url))[0] == 0
        await postgres.run('ALTER DATABASE "standing-by" SET default_transaction_read_only = on')
        here = ("--port", "0", "--database", database.url, "--upstream", NOBODY, "--workers", workers)
        code, told = await output_of("serve", *here)
        assert (code, "target_session_attrs=read-write" in told, "URL" in told) == (1, True, False)


async def test_a_process_that_cannot_be_replaced_yet_leaves_the_others_alone(postgres: TestDatabase) -> None:
    async with postgres.another("replacing") as database:
        assert (await output_of("migrate", "--database", database.url))[0] == 0
        serving = ("serve", "--port", "0", "--database", database.url, "--upstream", NOBODY, "--workers", "2")
        process = await catena(*serving)
        url = await url_of(process)
        assert process.stderr is not None
        async with asyncio.timeout(LIMIT), httpx2.AsyncClient(base_url=url) as http:
            await database.run("UPDATE schema_version SET version = version + 1")
            os.kill(await a_worker_of(process.pid), signal.SIGKILL)
            for told in (b"newer Catena", b"is replaced", b"newer Catena"):
                while told not in (line := await process.stderr.readline()):
                    assert line
            assert (await http.get("/responses")).status_code == 200
            process.terminate()
            await process.communicate()
        assert process.returncode == 0


async def a_worker_of(parent: int) -> int:
    """The id of one of its child processes that serve."""
    listing = await asyncio.create_subprocess_exec(
        "ps", "-ww", "-o", "pid=,args=", "--ppid", str(parent), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await listing.communicate()
    return next(int(line.split()[0]) for line in out.decode().splitlines() if "spawn_main" in line)
