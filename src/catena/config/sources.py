"""What was set, and where: the file with its lines, the environment, flags.

One rule gives every setting its variable: `CATENA_`, and then its place in capitals with `__` between the parts, as in
`CATENA_SERVER__PORT` or `CATENA_UPSTREAMS__LOCAL__URL`. The settings that are set most have short names besides.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from catena.config.problems import ConfigError, Place, spoken
from catena.config.reading import settings_of
from catena.config.sections import Config

__all__ = ["SHORT_NAMES", "Sources", "unheard_of", "variable_of"]

SHORT_NAMES: Final[Mapping[str, Place]] = {
    "CATENA_HOST": ("server", "host"),
    "CATENA_PORT": ("server", "port"),
    "CATENA_API_KEY": ("server", "api_key"),
    "CATENA_READ_ONLY_API_KEY": ("server", "read_only_api_key"),
    "CATENA_DATABASE": ("store", "database"),
    "CATENA_RETENTION_DAYS": ("store", "retention_days"),
    "CATENA_UPSTREAM": ("upstreams", "default", "url"),
    "CATENA_UPSTREAM_KEY": ("upstreams", "default", "key"),
    "CATENA_UPSTREAM_KIND": ("upstreams", "default", "kind"),
}

_PREFIX: Final = "CATENA_"

_OTHERS: Final = frozenset(
    {"CATENA_CONFIG", "CATENA_CACHE", "CATENA_MODEL", "CATENA_URL", "CATENA_DEFAULT_UPSTREAM"}
)
"""Variables that are read elsewhere, and those of settings in no table."""

_LINKED: Final = re.compile(r"CATENA_(SERVICE_(HOST|PORT)|PORT_\d+_(TCP|UDP))(_\w+)?")
"""What Kubernetes sets by itself beside a service of the name `catena`."""


class Sources:
    """`values` is what was set, as one nested table. Raises ConfigError for what cannot be read at all."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._names: dict[Place, str] = {}

    def add_file(self, path: Path) -> None:
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path}: expected UTF-8 text") from error
        self.add_text(path, text)

    def add_text(self, path: Path, text: str) -> None:
        """The same for a file that was read."""
        try:
            self.values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{path}: {error}") from error
        for place, line in _lines(text):
            self._names.setdefault(place, f"{path}:{line}")

    def add_environment(self, environment: Mapping[str, str], tops: Mapping[str, object]) -> None:
        """`tops` are the names of the settings that stand in no table."""
        given: dict[Place, str] = {}
        for name, value in sorted(environment.items()):
            place = _place_of(name, tops)
            if place is None or not value:
                continue
            if place in given and environment[given[place]] != value:
                raise ConfigError(f"{given[place]} and {name} set {spoken(place)} to different values")
            given[place] = name
            self._put(place, value, name)

    def add_flags(self, flags: Mapping[tuple[str, ...], Any]) -> None:
        for place, value in flags.items():
            if value is not None:
                self._put(place, value, "the command line")

    def name_of(self, place: Place) -> str | None:
        """Where the setting at `place`, or what holds it or is in it, was set; None for what was not."""
        for length in range(len(place), 0, -1):
            if place[:length] in self._names:
                return self._names[place[:length]]
        return next((name for known, name in self._names.items() if known[: len(place)] == place), None)

    def exactly(self, place: Place) -> str | None:
        """Where this very setting was set."""
        return self._names.get(place)

    def _put(self, place: Place, value: Any, name: str) -> None:
        table: Any = self.values
        for part in place[:-1]:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise ConfigError(f"{name}: {spoken(place[:-1])} is no table in the settings file")
        table[place[-1]] = value
        self._names[place] = name


def variable_of(place: Place) -> str:
    """The environment variable of a setting, by the rule."""
    return _PREFIX + "__".join(str(part).upper() for part in place)


def unheard_of(environment: Mapping[str, str], known: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """Variables that set nothing, each with the one that it looks most like; `known` are those that are read
    otherwise."""
    tops = dict.fromkeys(Config.__struct_fields__)
    ours = {
        *SHORT_NAMES,
        *_OTHERS,
        *(variable_of(place) for place, _ in settings_of(Config) if "*" not in place),
    }
    for name in sorted(environment.keys() - ours - set(known)):
        if name.startswith(_PREFIX) and _place_of(name, tops) is None and not _LINKED.fullmatch(name):
            yield name, difflib.get_close_matches(name, sorted(ours), n=1, cutoff=0.0)[0]


def _place_of(name: str, tops: Mapping[str, object]) -> Place | None:
    """What a variable sets; None for those that set nothing here."""
    if name in SHORT_NAMES:
        return SHORT_NAMES[name]
    parts = name.removeprefix(_PREFIX).lower().split("__")
    if not name.startswith(_PREFIX) or (len(parts) == 1 and parts[0] not in tops):
        return None
    return tuple(parts)


def _lines(text: str) -> Iterator[tuple[Place, int]]:
    """Each key and table of a valid document, with the line that it begins in.

    A statement is over where what was read of it can be parsed, so no rule of the language is repeated here.
    """
    table: Place = ()
    lists: dict[Place, int] = {}
    statement, began = "", 1
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        statement += line
        try:
            read = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        header = statement.lstrip().startswith("[")
        if header:
            table = _header(read, lists)
            yield table, began
        else:
            for place in _places(read):
                yield (*table, *place), began
        statement, began = "", number + 1


def _header(read: dict[str, Any], lists: dict[Place, int]) -> Place:
    """The place of the one table that was opened; those of a list are counted."""
    place: Place = ()
    inner: Any = read
    while inner:
        if isinstance(inner, list):
            lists[place] = lists.get(place, -1) + 1
            return (*place, lists[place])
        ((name, inner),) = inner.items()
        place = (*place, name)
        if place in lists and isinstance(inner, dict):
            place = (*place, lists[place])
    return place


def _places(read: Any) -> Iterator[Place]:
    if isinstance(read, dict):
        pairs: Any = read.items()
    elif isinstance(read, list) and all(isinstance(each, dict) for each in read):
        pairs = enumerate(read)
    else:
        return
    for name, inner in pairs:
        yield (name,)
        for place in _places(inner):
            yield (name, *place)
