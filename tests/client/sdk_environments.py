"""Environments that hold one version of the SDK and nothing of ours, made once and kept in `.cache`."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

__all__ = ["ROOT", "NoEnvironmentError", "python_with"]

ROOT: Final = Path(__file__).parents[2]
_KEPT_IN: Final = ROOT / ".cache" / "clients"


class NoEnvironmentError(Exception):
    """The environment is not there and cannot be made: no uv, or no package index."""


def python_with(version: str) -> Path:
    """The interpreter of an environment with that version of `openai`. Raises NoEnvironmentError."""
    _KEPT_IN.mkdir(parents=True, exist_ok=True)
    home = _KEPT_IN / version
    python = home / "bin" / "python"
    whole = home / "whole"
    with (_KEPT_IN / f"{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test process may want the same one now
        if not (whole.exists() and whole.read_text() == sys.version):
            _uv("venv", "--clear", "--python", sys.executable, str(home))
            _uv("pip", "install", "--python", str(python), f"openai=={version}")
            whole.write_text(sys.version)
    return python


def _uv(*arguments: str) -> None:
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        raise NoEnvironmentError("uv is not installed")
    done = subprocess.run([uv, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoEnvironmentError(f"uv {' '.join(arguments)}: {done.stderr.strip()[-500:]}")
