"""What `catena projects` and `catena keys` share: the registry in the database, opened beside a server that may run."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final, TypeVar

import msgspec
import typer

from catena.access import Registry
from catena.cli.options import Where
from catena.cli.terminal import console, stop
from catena.config import Config, ConfigError, database_path, is_postgres
from catena.errors import CatenaError
from catena.limits import Limits
from catena.stores import open_documents

__all__ = [
    "KeyLimits",
    "ProjectLimits",
    "day",
    "has_keys",
    "rows",
    "seconds_of",
    "with_registry",
]

T = TypeVar("T")

_UNITS: Final[Mapping[str, int]] = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True)
class KeyLimits:
    """How much a key may have, as far as that was said."""

    rpm: Annotated[int | None, typer.Option(min=0, help="Requests a minute; 0: no limit.")] = None
    tpm: Annotated[int | None, typer.Option(min=0, help="Tokens a minute; 0: no limit.")] = None
    concurrent: Annotated[
        int | None, typer.Option(min=0, help="Responses produced at once; 0: no limit.")
    ] = None

    @property
    def limits(self) -> Limits:
        return Limits(
            requests_per_minute=self.rpm, tokens_per_minute=self.tpm, concurrent_runs=self.concurrent
        )


@dataclass(frozen=True)
class ProjectLimits(KeyLimits):
    """How much a project may have: what a key may, and what of it is stored."""

    stored_bytes: Annotated[int | None, typer.Option(min=0, help="Bytes stored; 0: no limit.")] = None

    @property
    def limits(self) -> Limits:
        return msgspec.structs.replace(super().limits, stored_bytes=self.stored_bytes)


def with_registry(where: Where, work: Callable[[Registry], Awaitable[T]]) -> T:
    """The result of `work` on the registry of the database that is there. Errors end the command."""
    config = where.settings()

    async def opened() -> T:
        async with open_documents(config) as documents:
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
