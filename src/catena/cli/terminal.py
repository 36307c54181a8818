"""What all commands share: the two consoles, the settings, and how a command gives up."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from catena.config import Config, ConfigError, Loaded, load
from catena.config.sources import unheard_of

__all__ = ["console", "errors", "loaded", "settings", "stop", "strays_in"]

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def settings(path: Path | None = None, flags: dict[tuple[str, ...], Any] | None = None) -> Config:
    """The settings in force: of `path`, else CATENA_CONFIG, else ./catena.toml, under the environment and `flags`.

    Settings that cannot be used end the command.
    """
    return loaded(path, flags).config


def loaded(path: Path | None = None, flags: dict[tuple[str, ...], Any] | None = None) -> Loaded:
    """The same with where each setting comes from."""
    named = os.environ.get("CATENA_CONFIG")
    here = Path("catena.toml")
    found = path or (Path(named) if named else here if here.exists() else None)
    try:
        return load(found, flags=flags)
    except ConfigError as error:
        stop(str(error))


def strays_in(config: Config) -> list[str]:
    """A sentence for each variable of the environment that looks like a setting and sets nothing."""
    known = [settings.key_env for settings in config.upstreams.values() if settings.key_env]
    return [f"{name} sets nothing. Did you mean {near}?" for name, near in unheard_of(os.environ, known)]


def stop(reason: str) -> NoReturn:
    """Say why on the error output, and end with status 1."""
    errors.print("[bold red]catena:[/]", escape(reason))
    raise typer.Exit(1)
