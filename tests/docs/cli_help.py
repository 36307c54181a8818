"""The help texts in docs/cli.md, as the command line tells them. `python -m tests.docs.cli_help` writes them anew."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from unittest.mock import patch

import typer.rich_utils
from typer.testing import CliRunner

from catena.cli import app

__all__ = ["PAGE", "commands", "rewritten"]

PAGE: Final = Path(__file__).parents[2] / "docs" / "cli.md"

_WIDTH: Final = 100
_BLOCK: Final = re.compile(
    r"(?<=^```text\n)\$ catena ([a-z-]+) --help\n.*?(?=^```)", re.MULTILINE | re.DOTALL
)


def rewritten(page: str) -> str:
    """The page with every help text as it is now."""
    return _BLOCK.sub(lambda block: f"$ catena {block[1]} --help\n{_help_of(block[1])}", page)


def _help_of(command: str) -> str:
    with patch.object(typer.rich_utils, "MAX_WIDTH", _WIDTH):
        result = CliRunner().invoke(app, [command, "--help"], env={"NO_COLOR": "1"})
    assert result.exit_code == 0, result.output
    return "\n".join(line.rstrip() for line in result.output.strip("\n ").splitlines()) + "\n"


def commands() -> set[str]:
    """The names of all commands and of all families of commands."""
    names = [command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands]
    return {*names, *(str(group.name) for group in app.registered_groups)}


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text()))
