"""Commands without a process of their own, which is quick; their output is a pipe."""

from __future__ import annotations

import asyncio

from typer.testing import CliRunner, Result

from catena.cli import app

__all__ = ["catena", "refused"]


async def catena(url: str, command: str, *arguments: str, given: str = "") -> str:
    """What a command says that ends well."""
    result = await _run(url, command, *arguments, given=given)
    assert result.exit_code == 0, result.output
    return result.stdout


async def refused(url: str, command: str, *arguments: str, given: str = "") -> str:
    """What a command says on its error output that does not."""
    result = await _run(url, command, *arguments, given=given)
    assert result.exit_code in (1, 2), result.output
    return " ".join(result.stderr.split())


async def _run(url: str, command: str, *arguments: str, given: str) -> Result:
    words = [command, *arguments, "--url", f"{url}/v1"]
    return await asyncio.to_thread(CliRunner().invoke, app, words, input=given)
