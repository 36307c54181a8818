"""Options that belong together, said once: a command takes their group, and whoever types it sees each option.

A group is a frozen dataclass whose fields are options of Typer's, with their defaults.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias, get_type_hints

import typer

from catena.cli.terminal import settings
from catena.config import Config

__all__ = ["AsJson", "ConfigFile", "Database", "Where", "grouped"]

AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="As JSON, for other programs.")]
ConfigFile: TypeAlias = Annotated[
    Path | None, typer.Option("--config", help="A settings file; by default ./catena.toml if there is one.")
]
Database: TypeAlias = Annotated[
    str | None, typer.Option("--database", help="Where turns are kept: a path, or postgresql://…")
]


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """The command as Typer is to see it: with the options of its groups in place of these."""
    signature = inspect.signature(command, eval_str=True)
    groups = {
        name: each.annotation for name, each in signature.parameters.items() if _is_group(each.annotation)
    }

    @functools.wraps(command)
    def with_options(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
        command(**given)

    options = [option for each in signature.parameters.values() for option in _options(each)]
    with_options.__signature__ = signature.replace(parameters=options)  # type: ignore[attr-defined]  # for inspect
    with_options.__annotations__ = {option.name: option.annotation for option in options}
    return with_options


def _is_group(annotation: Any) -> bool:
    return is_dataclass(annotation)


def _options(parameter: inspect.Parameter) -> Iterator[inspect.Parameter]:
    group = parameter.annotation
    if not _is_group(group):
        yield parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        return
    types = get_type_hints(group, include_extras=True)
    for field in fields(group):
        yield inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=types[field.name]
        )


@dataclass(frozen=True)
class Where:
    """Which database a command is about, whether a server has it open or not."""

    config: ConfigFile = None
    database: Database = None

    def settings(self) -> Config:
        """The settings in force; those that cannot be used end the command."""
        # Nobody is answered here: what a server would refuse without a key is no matter.
        return settings(self.config, {("store", "database"): self.database, ("keys", "required"): True})
