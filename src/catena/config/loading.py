"""The settings in force, and where each of them comes from."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from catena.config.problems import ConfigError, Place, Problem, spoken
from catena.config.reading import read_config
from catena.config.rules import check
from catena.config.sections import Config
from catena.config.sources import Sources

__all__ = ["Loaded", "load", "load_config"]


class Loaded(msgspec.Struct, frozen=True):
    """Settings with their origins."""

    config: Config
    sources: Sources

    def each(self) -> Iterator[tuple[Place, Any, str]]:
        """Every setting: its place, its value, and where it was set, or "default"."""
        yield from self._below(self.config, ())

    def _below(self, value: Any, place: Place) -> Iterator[tuple[Place, Any, str]]:
        if isinstance(value, msgspec.Struct):
            pairs: Iterable[tuple[str | int, Any]] = (
                (name, getattr(value, name)) for name in value.__struct_fields__
            )
        elif isinstance(value, dict) and value:
            pairs = value.items()
        elif isinstance(value, list) and value and all(isinstance(each, msgspec.Struct) for each in value):
            pairs = enumerate(value)
        else:
            yield place, value, self.sources.exactly(place) or "default"
            return
        for name, inner in pairs:
            yield from self._below(inner, (*place, name))


def load_config(
    path: Path | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
    flags: Mapping[tuple[str, ...], Any] | None = None,
) -> Config:
    """The settings in force. `flags` are given by their place, for instance `("server", "port")`.

    Raises ConfigError, which names everything that is wrong, one in a line.
    """
    return load(path, environment=environment, flags=flags).config


def load(
    path: Path | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
    flags: Mapping[tuple[str, ...], Any] | None = None,
) -> Loaded:
    """The same with their origins."""
    sources = Sources()
    if path is not None:
        sources.add_file(path)
    sources.add_environment(environment, dict.fromkeys(Config.__struct_fields__))
    sources.add_flags(flags or {})
    config, problems = read_config(sources.values)
    problems += check(config, wrong=[problem.place for problem in problems])
    if problems:
        raise ConfigError("\n".join(_told(problem, sources) for problem in problems))
    return Loaded(config, sources)


def _told(problem: Problem, sources: Sources) -> str:
    name = sources.name_of(problem.place)
    return f"{f'{name}: ' if name else ''}{spoken(problem.place)}: {problem.text}"
