"""From what was set to the structs of `sections`, key by key, so that everything that is wrong is said at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from catena.config.masking import masked
from catena.config.problems import Place, Problem, spoken
from catena.config.sections import Config

__all__ = ["read_config", "settings_of"]

S = TypeVar("S", bound=msgspec.Struct)

_WORDS: Final[Mapping[object, str]] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    list[str]: "a list of texts",
}


def read_config(values: Mapping[str, Any]) -> tuple[Config, list[Problem]]:
    """The settings and what is wrong with them; if anything is, the settings have the defaults there."""
    problems: list[Problem] = []
    return _struct(Config, values, (), problems), problems


def settings_of(kind: type[msgspec.Struct], place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every setting below `kind` with its type; `*` stands for a name that is free."""
    for field in msgspec.structs.fields(kind):
        inner, wraps = _struct_in(field.type)
        here = (*place, field.name)
        if inner is None:
            yield here, field.type
        else:
            yield from settings_of(inner, (*here, "*") if wraps else here)


def _struct(kind: type[S], values: Any, place: Place, problems: list[Problem]) -> S:
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    if not isinstance(values, Mapping):
        problems.append(Problem(place, f"expected a table, got {values!r}"))
        values = {}
    read: dict[str, Any] = {}
    for name, value in values.items():
        if name in fields:
            read[name] = _value(fields[name].type, value, (*place, name), problems)
        else:
            problems.append(Problem((*place, name), f"there is no such setting{_hint(name, place, fields)}"))
    for name, field in fields.items():
        if field.required and name not in read:
            problems.append(Problem((*place, name), "is missing"))
            read[name] = None
    return kind(**{name: value for name, value in read.items() if value is not msgspec.UNSET})


def _value(kind: Any, value: Any, place: Place, problems: list[Problem]) -> Any:
    """The value of one setting, UNSET if it is wrong."""
    inner, wraps = _struct_in(kind)
    if isinstance(value, str) and value[:1] in ("[", "{") and (inner is not None or _takes_lists(kind)):
        # The environment has only text: lists and tables are written as JSON there.
        try:
            value = msgspec.json.decode(value)
        except msgspec.DecodeError:
            problems.append(Problem(place, "expected valid JSON"))
            return msgspec.UNSET
    if inner is not None and value is not None:
        if wraps is dict and isinstance(value, Mapping):
            return {name: _struct(inner, each, (*place, name), problems) for name, each in value.items()}
        if wraps is list and isinstance(value, list):
            return [_struct(inner, each, (*place, nth), problems) for nth, each in enumerate(value)]
        if wraps is None:
            return _struct(inner, value, place, problems)
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        problems.append(Problem(place, _expected(kind, value, place, str(error))))
        return msgspec.UNSET


def _struct_in(kind: Any) -> tuple[type[msgspec.Struct] | None, type | None]:
    """The struct that a type holds, and whether as a value of a dict or list."""
    if get_origin(kind) in (Union, UnionType):
        kind = next((each for each in get_args(kind) if each is not type(None)), kind)
    if get_origin(kind) in (dict, list):
        inner = get_args(kind)[-1]
        return (inner, get_origin(kind)) if _is_struct(inner) else (None, None)
    return (kind, None) if _is_struct(kind) else (None, None)


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _takes_lists(kind: Any) -> bool:
    return any(get_origin(each) in (list, dict) for each in (kind, *get_args(kind)))


def _expected(kind: Any, value: Any, place: Place, text: str) -> str:
    return f"expected {_words(kind) or text.partition(' - at')[0]}, got {masked(place, value)!r}"


def _words(kind: Any) -> str | None:
    """What a type takes, for a person."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return " ".join(filter(None, [_words(inner[0]), _bounds(inner[1])]))
    if origin is Literal:
        return " or ".join(f"'{each}'" for each in inner)
    if origin in (Union, UnionType):
        return " or ".join(filter(None, (_words(each) for each in inner if each is not type(None))))
    return _WORDS.get(kind)


def _bounds(meta: msgspec.Meta) -> str:
    if meta.ge is not None and meta.le is not None:
        return f"from {meta.ge} to {meta.le}"
    if meta.ge is not None:
        return f"of at least {meta.ge}"
    return f"of at most {meta.le}" if meta.le is not None else ""


def _hint(name: str, place: Place, fields: Mapping[str, object]) -> str:
    """The setting that was probably meant: one with almost this name here, or one with this name elsewhere."""
    near = difflib.get_close_matches(name, fields, n=1, cutoff=0.6)
    if near:
        return f". Did you mean '{near[0]}'?"
    named = [found for found, _ in settings_of(Config) if found[-1] == name]
    if not named:
        everywhere = {str(found[-1]): found for found, _ in settings_of(Config)}
        named = [everywhere[each] for each in difflib.get_close_matches(name, everywhere, n=1, cutoff=0.8)]
    return f". Did you mean '{spoken(named[0])}'?" if named else f". Known here: {', '.join(sorted(fields))}"
