"""SQL in files beside the adapter that runs it: statements under their names, migrations in their order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Final

__all__ = ["load_migrations", "load_queries"]

_NAMED: Final = re.compile(r"^-- name: (\w+)\n((?:(?!^-- name: ).*\n?)*)", re.MULTILINE)


@cache
def load_queries(package: str) -> Mapping[str, str]:
    """The statements of a package's `queries.sql` (`-- name: load`) by their names, without comments."""
    text = (resources.files(package) / "queries.sql").read_text(encoding="utf-8")
    return MappingProxyType({name: _bare(body) for name, body in _NAMED.findall(text)})


def _bare(body: str) -> str:
    lines = [line for line in body.splitlines() if line and not line.startswith("--")]
    return " ".join(line.strip() for line in lines).removesuffix(";")


@cache
def load_migrations(package: str) -> tuple[str, ...]:
    """The scripts in a package's `migrations`, in order; the first takes a database from version 0 to 1."""
    folder = resources.files(package) / "migrations"
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name
    )
    return tuple(file.read_text(encoding="utf-8") for file in files)
