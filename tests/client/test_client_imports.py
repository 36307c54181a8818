"""`import catena` costs nothing and needs nothing; only the clients need the SDK, and say so."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import catena
import catena.client

ROOT = Path(__file__).parents[2]

# Hides packages as if they were not installed; `-c` prints what the program then sees.
HIDE = """
import sys

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hide())
"""


def said_by(program: str, *, hidden: set[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", f"hidden = {hidden!r}\n{HIDE}\n{program}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


def test_importing_catena_loads_neither_the_sdk_nor_the_server() -> None:
    program = """
before = set(sys.modules)
import catena
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*(loaded - sys.stdlib_module_names))
"""
    assert said_by(program, hidden=set()) == "catena"


def test_the_client_needs_nothing_of_the_server() -> None:
    program = """
from catena import AsyncOpenAI, OpenAI
with OpenAI() as client:
    client.chat.completions, client.beta.chat.completions
    AsyncOpenAI().chat.completions
print(*sorted(name for name in sys.modules if name.startswith("catena.") and "client" not in name))
"""
    assert (
        said_by(program, hidden={"apsw", "httptools", "msgspec", "rich", "typer", "uvicorn", "uvloop"}) == ""
    )


@pytest.mark.parametrize(
    "line", ["from catena import OpenAI", "from catena import AsyncOpenAI", "import catena.client"]
)
def test_without_the_sdk_the_error_says_what_to_install(line: str) -> None:
    program = f"""
try:
    {line}
except ImportError as error:
    print(error, error.name)
"""
    expected = "Catena's client is built on the official SDK, which is not here: pip install openai openai"
    assert said_by(program, hidden={"openai"}) == expected


def test_an_sdk_that_is_broken_is_not_called_missing() -> None:
    program = """
try:
    from catena import OpenAI
except ImportError as error:
    print(error.name)
"""
    assert said_by(program, hidden={"pydantic"}) == "pydantic"


def test_without_the_sdk_the_version_is_there() -> None:
    program = "import catena; print(catena.__version__)"
    assert said_by(program, hidden={"openai"}) == metadata.version("catena")


def test_a_source_tree_that_is_not_installed_has_a_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", unknown)
    monkeypatch.delitem(vars(catena), "__version__", raising=False)

    assert catena.__version__ == "0+unknown"
    monkeypatch.delitem(vars(catena), "__version__")


def test_the_public_names_are_those_that_are_listed() -> None:
    assert set(catena.__all__) <= set(dir(catena))
    assert catena.OpenAI is catena.client.OpenAI
    assert catena.AsyncOpenAI is catena.client.AsyncOpenAI
    with pytest.raises(AttributeError, match="module 'catena' has no attribute 'Anthropic'"):
        catena.Anthropic  # type: ignore[attr-defined]  # noqa: B018  # the point
