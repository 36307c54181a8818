"""`catena export`, `import` and `backup` as a person runs them, beside a server that is up."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.running import LIMIT, StartServer


async def catena(*arguments: str, stdin: bytes = b"", **environment: str) -> tuple[int, bytes, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CATENA_", "OPENAI_"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "catena",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**clean, "COLUMNS": "200", **environment},
    )
    async with asyncio.timeout(LIMIT):
        stdout, stderr = await process.communicate(stdin)
    assert process.returncode is not None
    return process.returncode, stdout, " ".join(stderr.decode().split())


async def done(*arguments: str, stdin: bytes = b"", **environment: str) -> tuple[bytes, str]:
    status, stdout, stderr = await catena(*arguments, stdin=stdin, **environment)
    assert status == 0, stderr
    return stdout, stderr


async def test_what_one_server_keeps_moves_to_another(start_server: StartServer, tmp_path: Path) -> None:
    old, new = tmp_path / "old.sqlite3", tmp_path / "new.sqlite3"
    async with start_server("old") as server:
        root = await server.client.responses.create(model="m", input="one")
        tip = await server.client.responses.create(model="m", input="two", previous_response_id=root.id)
        export = tmp_path / "export.jsonl"
        _, said = await done("export", "--output", str(export), "--database", str(old))
        assert said == "1 trees with 2 turns"
        assert stat.S_IMODE(export.stat().st_mode) == 0o600
        piped, _ = await done("export", "--database", str(old))
        assert piped.splitlines()[1:] == export.read_bytes().splitlines()[1:]
        status, _, said = await catena("export", "--output", str(export), "--database", str(old))
        assert (status, "is there already" in said) == (1, True)
        _, said = await done("export", "--resume", "--output", str(export), "--database", str(old))
        assert said == f"{export} is whole already."
        nothing = tmp_path / "nothing.jsonl"
        unknown = ("export", "--tree", "resp_" + "0" * 50, "--output", str(nothing), "--database", str(old))
        status, _, said = await catena(*unknown)
        assert (status, "not in this database" in said, nothing.exists()) == (1, True, False)
        unknown = ("export", "--project", "nosuch", "--output", str(nothing), "--database", str(old))
        status, _, said = await catena(*unknown)
        assert (status, said) == (1, "catena: There is no project 'nosuch'. There are: default.")
        assert not nothing.exists()
        status, _, said = await catena("import", str(export), "--database", str(old))
        assert (status, "in use by another server" in said) == (1, True)
    _, said = await done("import", str(export), "--database", str(new))
    assert said == "1 trees with 2 turns"
    status, _, said = await catena("import", "--database", str(new), stdin=b"hello")
    assert (status, "Is this an export?" in said) == (1, True)
    _, said = await done("import", "--database", str(new), stdin=piped)
    assert said == "1 trees with 2 turns, of which 2 were there already"
    async with start_server("new") as server:
        again = await server.client.responses.retrieve(tip.id)
        assert again.output_text == tip.output_text
        await server.client.responses.create(model="m", input="three", previous_response_id=tip.id)


async def test_a_backup_is_taken_while_the_server_is_up(start_server: StartServer, tmp_path: Path) -> None:
    database, copy = tmp_path / "turns.sqlite3", tmp_path / "backup.sqlite3"
    async with start_server("turns") as server:
        kept = await server.client.responses.create(model="m", input="one")
        _, said = await done("backup", str(copy), "--database", str(database))
        assert "the state of one moment" in said
        status, _, said = await catena("backup", str(copy), "--database", str(database))
        assert (status, "is there already" in said) == (1, True)
        status, _, said = await catena("backup", str(tmp_path / "no/x.sqlite3"), "--database", str(database))
        assert (status, said) == (
            1,
            f"catena: There is no folder {tmp_path / 'no'}: make it first, or name another one.",
        )
    async with start_server("backup") as server:
        assert (await server.client.responses.retrieve(kept.id)).output_text == kept.output_text


async def test_a_client_changes_over_in_the_middle_of_a_chain(
    start_server: StartServer, tmp_path: Path
) -> None:
    here = tmp_path / "here.sqlite3"
    async with start_server() as official:
        root = await official.client.responses.create(model="m", input="one")
        tip = await official.client.responses.create(model="m", input="two", previous_response_id=root.id)
        ids = tmp_path / "ids"
        ids.write_text(f"{tip.id}\n")
        arguments = ["import", "--from-openai", "--ids", str(ids), "--database", str(here)]
        environment: dict[str, Any] = {
            "OPENAI_API_KEY": "sk-x",
            "OPENAI_BASE_URL": str(official.http.base_url),
        }
        status, _, said = await catena(*arguments)
        assert (status, "OPENAI_API_KEY" in said) == (1, True)
        missing = ["import", "--from-openai", "--ids", "/nowhere/ids", "--database", str(here)]
        status, _, said = await catena(*missing, **environment)
        assert (status, said) == (1, "catena: /nowhere/ids: No such file or directory")
        _, said = await done(*arguments, **environment)
        assert said == "1 trees with 2 turns"
        ids.write_text("resp_" + "0" * 50)
        status, _, said = await catena(*arguments, **environment)
        assert (status, "The API has no response" in said) == (1, True)
    async with start_server("here") as server:
        on = await server.client.responses.create(model="m", input="three", previous_response_id=tip.id)
        listed = await server.client.responses.input_items.list(on.id, order="asc")
        assert len(listed.data) == 5


async def test_what_is_too_old_to_stay_is_told_when_it_comes(
    start_server: StartServer, tmp_path: Path
) -> None:
    old, new, export = (tmp_path / name for name in ("old.sqlite3", "new.sqlite3", "export.jsonl"))
    async with start_server("old") as server:
        root = await server.client.responses.create(model="m", input="one")
        await done("export", "--output", str(export), "--database", str(old))
    then, long_ago = int(root.created_at), 1_000_000_000
    lines = export.read_text().replace(f'"created_at":{then}', f'"created_at":{long_ago}')
    export.write_text(lines.replace(f"{then:08x}", f"{long_ago:08x}"))  # ids tell it as well
    _, said = await done("import", str(export), "--database", str(new))
    assert "catena: 1 turns in this database are older than store.retention_days" in said
    _, said = await done("import", str(export), "--database", str(new), CATENA_STORE__RETENTION_DAYS="0")
    assert "retention_days" not in said


async def test_who_answers_nobody_needs_no_key_to_face_a_network(tmp_path: Path) -> None:
    settings = tmp_path / "catena.toml"
    settings.write_text(f'server.host = "0.0.0.0"\nstore.database = "{tmp_path / "turns.sqlite3"}"\n')
    await done("keys", "create", "--config", str(settings))
    _, said = await done("export", "--config", str(settings))
    assert said == "0 trees with 0 turns"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "--database", "/nowhere/x"], "There is no database"),
        (["export", "--tree", "nonsense"], "--tree: expected the id"),
        (["gc", "--database", "/nowhere/x"], "There is no database"),
        (["export", "--resume"], "--resume needs the file"),
        (["import", "/nowhere/x"], "No such file"),
        (["import", "--from-openai"], "OPENAI_API_KEY"),
        (["import", "--project", "Bad Name"], "no name of a project"),
    ],
)
async def test_what_cannot_be_done_is_said(arguments: list[str], message: str, tmp_path: Path) -> None:
    database = [] if "--database" in arguments else ["--database", str(tmp_path / "x.sqlite3")]
    status, _, said = await catena(*arguments, *database)
    assert (status, message in said) == (1, True), said
