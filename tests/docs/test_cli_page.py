"""docs/cli.md has the help texts that the command line has."""

from __future__ import annotations

import re

import pytest

from tests.docs.cli_help import PAGE, commands, rewritten

SHOWN = {"chat", "diff", "export", "forget", "ls", "replay", "search", "show", "tree"}


def test_the_help_texts_are_as_they_would_be_written_anew() -> None:
    """If not: `make help-texts`, and then look at what it did."""
    assert rewritten(PAGE.read_text()) == PAGE.read_text()
    assert set(re.findall(r"^\$ catena (\S+) --help$", PAGE.read_text(), re.MULTILINE)) == SHOWN


@pytest.mark.parametrize("command", sorted(commands()))
def test_every_command_is_named(command: str) -> None:
    assert f"`catena {command}" in PAGE.read_text()
