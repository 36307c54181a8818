"""The examples on docs/keys.md run, in their order, beside a server; its settings and files are valid."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest

from catena.access.key_file import load_keys
from catena.access.scopes import SCOPES
from catena.config import Config
from tests.cli.test_serve_command import NOBODY, catena, url_of
from tests.running import LIMIT

PAGE = Path(__file__).parents[2] / "docs" / "keys.md"


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found
    return found


async def test_the_commands_do_what_the_page_says(tmp_path: Path) -> None:
    database = str(tmp_path / "catena.sqlite3")
    server = await catena("serve", "--port", "0", "--database", database, "--upstream", NOBODY)
    url = await url_of(server)
    script = "set -eo pipefail\n" + "".join(blocks("sh")).replace("http://127.0.0.1:8080/v1", url)
    # The engine of this server is not there, and so it lists no models.
    script = script.replace("""/models -H""", """/responses -H""")
    shell = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        script,
        env={**os.environ, "CATENA_DATABASE": database, "PATH": path_with_catena()},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(LIMIT):
        told, _ = await shell.communicate()
    assert shell.returncode == 0, told.decode()
    assert told.decode().count("sk-catena-") >= 3
    server.terminate()
    async with asyncio.timeout(LIMIT):
        await server.communicate()


def path_with_catena() -> str:
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.parametrize("block", blocks("toml"))
def test_the_settings_on_the_page_are_settings(block: str) -> None:
    msgspec.convert(tomllib.loads(block), Config)


def test_the_file_of_keys_on_the_page_is_one(tmp_path: Path) -> None:
    (block,) = blocks("text")
    (tmp_path / "keys.toml").write_text(block)
    (key,) = load_keys(tmp_path / "keys.toml")
    assert key.project == "support"


def test_every_scope_is_on_the_page() -> None:
    for scope in SCOPES:
        assert f"`{scope}`" in PAGE.read_text()
