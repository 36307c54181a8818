"""The JSON Schemas of structured outputs: what a schema must be, and whether a text fits it (spec §9.10).

A schema must be valid whatever it says. A strict one must besides say all that there is: every object closed, every
property required, and nothing that constrained decoding cannot follow. Nothing is ever fetched for a schema.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from catena.errors import BadRequest
from catena.wire.settings import JsonObject, JsonSchema, TextFormat
from catena.wire.strict import ENOUGH, NOT_STRICT

__all__ = ["check_format", "mismatch"]

_Path: TypeAlias = tuple[str, ...]

_LONGEST: Final = 300
_encode: Final = msgspec.json.Encoder().encode


# What a schema must be


def check_format(form: TextFormat, param: str = "text.format.schema") -> None:
    """Raise BadRequest, in the official words, unless the schema of `form` can be followed."""
    if not isinstance(form, JsonSchema):
        return
    fault = _invalid(_encode(form.schema))
    if fault is None and form.strict:
        fault = next(_strict_faults(form.schema), None)
    if fault is not None:
        raise BadRequest(
            f"Invalid schema for response_format '{form.name}': {fault}",
            param=param,
            code="invalid_json_schema",
        )


def _strict_faults(schema: Mapping[str, Any]) -> Iterator[str]:
    kind = schema.get("type")
    if kind != "object":
        yield f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{kind}\"'."
    yield from _faults(schema, ())


def _faults(schema: Any, path: _Path) -> Iterator[str]:
    """What a strict schema must not have, and what it lacks, from the outside in."""
    here = f"In context={path!r}, "
    if not isinstance(schema, Mapping) or ENOUGH.isdisjoint(schema):
        yield f"{here}schema must have a 'type' key."
        return
    yield from (f"{here}'{name}' is not permitted." for name in schema if name in NOT_STRICT)
    kinds = schema.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if "object" in kinds:
        yield from (f"{here}{fault}" for fault in _object_faults(schema))
    if "array" in kinds and "items" not in schema:
        yield f"{here}array schema missing items."
    for name, inner, step in _parts(schema):
        yield from _faults(inner, (*path, name, *step))


def _object_faults(schema: Mapping[str, Any]) -> Iterator[str]:
    if schema.get("additionalProperties") is not False:
        yield "'additionalProperties' is required to be supplied and to be false."
    properties, required = schema.get("properties", {}), schema.get("required", [])
    every = "'required' is required to be supplied and to be an array including every key in properties."
    yield from (f"{every} Missing '{name}'." for name in properties if name not in required)
    yield from (
        f"{every} Extra required key '{name}' supplied." for name in required if name not in properties
    )


def _parts(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any, _Path]]:
    for name in ("properties", "$defs", "definitions"):
        yield from ((name, inner, (key,)) for key, inner in schema.get(name, {}).items())
    if "items" in schema:
        yield "items", schema["items"], ()
    yield from (("anyOf", inner, (str(number),)) for number, inner in enumerate(schema.get("anyOf", ())))


# Whether a text fits


def mismatch(form: TextFormat, text: str) -> str | None:
    """Why `text` is not what `form` promises its reader; None if it is.

    Promised are an object, and what fits a strict schema. A schema that is not strict is a wish.
    """
    if isinstance(form, JsonSchema):
        return _unfit(_encode(form.schema), text) if form.strict else None
    if isinstance(form, JsonObject):
        return None if isinstance(_decoded(text), dict) else "it is no JSON object"
    return None


def _unfit(schema: bytes, text: str) -> str | None:
    value = _decoded(text)
    if value is _NOT_JSON:
        return "it is no JSON"
    fault = next(iter(_compiled(schema).iter_errors(value)), None)
    if fault is None:
        return None
    place = "".join(f"[{step!r}]" for step in fault.instance_path)
    return f"{fault.message[:_LONGEST]}{f' at {place}' if place else ''}"


_NOT_JSON: Final = object()


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return _NOT_JSON


class _Fault(Protocol):
    @property
    def message(self) -> str: ...
    @property
    def instance_path(self) -> list[str | int]: ...


class _Validator(Protocol):
    def iter_errors(self, instance: Any) -> Iterator[_Fault]: ...


@functools.lru_cache(maxsize=128)
def _compiled(schema: bytes) -> _Validator:
    # It takes 20 ms and 10 MB to load, which only those pay who send a schema.
    import jsonschema_rs

    validator: _Validator = jsonschema_rs.validator_for(msgspec.json.decode(schema), offline=True)
    return validator


def _invalid(schema: bytes) -> str | None:
    """Why this is no JSON Schema; None if it is one."""
    import jsonschema_rs

    try:
        _compiled(schema)
    except jsonschema_rs.ValidationError as error:
        return error.message[:_LONGEST]
    except (jsonschema_rs.ReferencingError, ValueError) as error:
        return str(error)[:_LONGEST]
    return None
