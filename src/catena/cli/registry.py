"""What `catena projects` and `catena keys` share: the registry in the database, opened beside a server that may run."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias, TypeVar

import msgspec
import typer

from catena.access import Registry
from catena.cli.terminal import console, settings, stop
from catena.config import Config, ConfigError, database_path, is_postgres
from catena.errors import CatenaError
from catena.limits import Limits
from catena.stores import open_documents

__all__ = [
    "AsJson",
    "Concurrent",
    "ConfigFile",
    "Database",
    "Rpm",
    "StoredBytes",
    "Tpm",
    "day",
    "has_keys",
    "limits_of",
    "rows",
    "seconds_of",
    "show_json",
    "with_registry",
]

T = TypeVar("T")

ConfigFile: TypeAlias = Annotated[
    Path | None, typer.Option("--config", help="A settings file; by default ./catena.toml if there is one.")
]
Database: TypeAlias = Annotated[
    str | None, typer.Option(help="Where turns are kept: a path, or postgresql://…")
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Rpm: TypeAlias = Annotated[int | None, typer.Option("--rpm", min=0, help="Requests a minute; 0: no limit.")]
Tpm: TypeAlias = Annotated[int | None, typer.Option("--tpm", min=0, help="Tokens a minute; 0: no limit.")]
Concurrent: TypeAlias = Annotated[
    int | None, typer.Option("--concurrent", min=0, help="Responses produced at once; 0: no limit.")
]
StoredBytes: TypeAlias = Annotated[
    int | None, typer.Option("--stored-bytes", min=0, help="Bytes stored; 0: no limit.")
]

_UNITS: Final[Mapping[str, int]] = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def with_registry(work: Callable[[Registry], Awaitable[T]], config: Path | None, database: str | None) -> T:
    """The result of `work` on the registry of the database that the settings name. Errors end the command."""
    # Whoever makes the first key has none yet: what a server would refuse for that is no matter here.
    found = settings(config, {("store", "database"): database, ("keys", "required"): True})

    async def opened() -> T:
        async with open_documents(found) as documents:
            return await work(Registry(documents))

    try:
        return asyncio.run(opened())
    except (CatenaError, ConfigError, OSError) as error:
        stop(str(error))


def has_keys(config: Config) -> bool:
    """Whether a key was ever made in the database that the settings name. Raises StoreUnavailable."""

    async def asked() -> bool:
        async with open_documents(config) as documents:
            return await Registry(documents).has_keys()

    return (is_postgres(config) or database_path(config).exists()) and asyncio.run(asked())


def limits_of(
    rpm: int | None, tpm: int | None, concurrent: int | None, stored_bytes: int | None = None
) -> Limits:
    """The limits that were given as options."""
    return Limits(
        requests_per_minute=rpm,
        tokens_per_minute=tpm,
        concurrent_runs=concurrent,
        stored_bytes=stored_bytes,
    )


def seconds_of(text: str) -> int:
    """A time such as 90d, 12h, 30m or 45s, in seconds. Anything else ends the command."""
    found = re.fullmatch(r"(\d+)([smhd])", text)
    if found is None:
        stop(f"'{text}' is no time: expected for instance 90d, 12h, 30m or 45s")
    return int(found[1]) * _UNITS[found[2]]


def day(moment: int | None) -> str:
    """A time as people read it, in UTC; nothing for none."""
    if moment is None:
        return ""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M")


def rows(columns: Sequence[str], values: Sequence[Sequence[str]]) -> None:
    """Show a table; one line for each row, however wide, so that ids can be copied."""
    widths = [max(map(len, column)) for column in zip(columns, *values, strict=True)]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()

    console.print(line(columns), style="bold", soft_wrap=True)
    for value in values:
        console.print(line(value), soft_wrap=True, markup=False)


def show_json(value: Any) -> None:
    """Print JSON, to be read by programs."""
    console.print_json(msgspec.json.encode(value).decode())
