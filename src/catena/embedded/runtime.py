"""Importing the native runtime, or saying in words why it cannot be had, where it would else just die."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from types import ModuleType
from typing import Final

__all__ = ["Unfit", "import_runtime", "missing_instructions", "why_not_imported"]

_COMPILED_FOR: Final = ("avx2", "fma", "f16c", "bmi2")
"""What the runtime's wheel for x86-64 takes for granted, without looking."""

_CPUINFO: Final = Path("/proc/cpuinfo")


class Unfit(Exception):
    """The model cannot run here; the message says why, and what helps."""


def import_runtime() -> ModuleType:
    """The native runtime. Raises Unfit."""
    if platform.machine() == "x86_64" and _CPUINFO.is_file():
        _require(_CPUINFO.read_text())
    # Threads that spin while they wait slow each other down to a tenth on busy cores. It is read at the import.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        import xllamacpp
    except ModuleNotFoundError as error:
        raise Unfit("The embedded engine is not installed: pip install 'catena[embedded]'") from error
    except ImportError as error:
        raise Unfit(why_not_imported(str(error))) from error
    module: ModuleType = xllamacpp
    return module


def missing_instructions(cpuinfo: str) -> list[str]:
    """The instruction sets that the runtime needs and a CPU with this `/proc/cpuinfo` lacks."""
    found = [line.partition(":")[2].split() for line in cpuinfo.splitlines() if line.startswith("flags")]
    return [name for name in _COMPILED_FOR if name not in found[0]] if found else []


def why_not_imported(complaint: str) -> str:
    """What to tell somebody whose dynamic linker has this complaint about the runtime."""
    if "libgomp" in complaint:
        return "The embedded engine needs the system library libgomp.so.1: apt-get install -y libgomp1"
    return f"The embedded engine cannot be loaded: {complaint}"


def _require(cpuinfo: str) -> None:
    if missing := missing_instructions(cpuinfo):
        names = ", ".join(missing).upper()
        raise Unfit(
            f"The embedded engine needs a CPU with {names}, which this one lacks: use another upstream."
        )
