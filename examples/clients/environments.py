"""What the clients need, installed once from the package registries and kept in `.cache/examples`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

__all__ = ["NODE", "ROOT", "node_with", "python_with"]

ROOT: Final = Path(__file__).parents[2]
NODE: Final = "node@24"
"""Of the registry as well, so whatever the machine has does not matter."""

_KEPT_IN: Final = ROOT / ".cache" / "examples"


def python_with(name: str, packages: Sequence[str]) -> Path:
    """The interpreter of an environment with these packages."""
    home = _KEPT_IN / name
    if _needs(home, packages):
        _run(["uv", "venv", "--quiet", "--clear", "--python", sys.executable, str(home)])
        _run(["uv", "pip", "install", "--quiet", "--python", str(home / "bin" / "python"), *packages])
        _is_made(home, packages)
    return home / "bin" / "python"


def node_with(name: str, packages: Sequence[str]) -> Path:
    """The folder that scripts must lie in to import these packages; `node` itself is in it, too."""
    home = _KEPT_IN / name
    packages = [NODE, *packages]
    if _needs(home, packages):
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        (home / "package.json").write_text('{"private": true, "type": "module"}')
        _run(
            [
                "npm",
                "install",
                "--prefix",
                str(home),
                "--no-audit",
                "--no-fund",
                "--loglevel=error",
                *packages,
            ]
        )
        _is_made(home, packages)
    return home


def _needs(home: Path, packages: Sequence[str]) -> bool:
    made = home / "made-with.txt"
    return not made.exists() or made.read_text() != _record(packages)


def _is_made(home: Path, packages: Sequence[str]) -> None:
    (home / "made-with.txt").write_text(_record(packages))


def _record(packages: Sequence[str]) -> str:
    return "\n".join([sys.version, *packages])


def _run(command: Sequence[str]) -> None:
    path = shutil.which(command[0]) or shutil.which(command[0], path=str(Path(sys.executable).parent))
    if path is None:
        sys.exit(f"{command[0]} is not installed.")
    if subprocess.run([path, *command[1:]], check=False).returncode:
        sys.exit(f"{command[0]} could not install what is needed.")
