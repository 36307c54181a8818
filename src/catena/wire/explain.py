"""Why a request does not fit its shape, in the official API's words.

Requests are decoded in one pass by msgspec, which is fast and says what is wrong in words of its own. Only when that
fails is the body looked at a second time, here, slowly and in the order in which the official API looks (spec §3.3):
JSON, required parameters, unknown parameters, then one parameter after the other in the order of the struct's fields.

The struct is the only description of a shape; nothing here knows a parameter by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import inspect

from catena.errors import BadRequest
from catena.wire import wording
from catena.wire.shapes import bare, expected, extra_of, fields_of, shape_of, takes

__all__ = ["Check", "check_depth", "explain", "require"]

Check: TypeAlias = Callable[[Any, str], None]
"""Looks deeper into a value, given its path, than its type says. Raises BadRequest."""

_NESTING: Final = frozenset({dict, list})


def require(value: Any, shape: type, path: str) -> None:
    """Raise BadRequest unless `value`, which stands at `path` of a request, fits `shape`."""
    try:
        msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        _walk(value, shape_of(shape), path)
        raise _unexplained(error, path) from None


def explain(
    body: bytes,
    shape: type[msgspec.Struct],
    error: Exception,
    *,
    checks: Mapping[str, Check],
    moved: Mapping[str, str],
) -> BadRequest:
    """What to answer to a body that `shape` could not be decoded from, which failed with `error`.

    `checks` look deeper into single parameters. `moved` are parameters of another API, with what to say to them.
    """
    try:
        value = _parsed(body)
        fields = fields_of(shape)
        _check_present(value, fields, moved)
        # What the body has already is not what an unknown name was meant to be.
        _check_known(value, fields, "", alternatives=[name for name in fields if name not in value])
        for name, field in fields.items():
            if name in value:
                _check_parameter(value[name], field, checks.get(name))
    except BadRequest as fault:
        return fault
    except RecursionError:
        return wording.body_too_deep()
    return _unexplained(error, "")


def check_depth(body: bytes, *values: Any) -> None:
    """Raise BadRequest if objects and arrays in `body` stand too deep inside one another.

    `values` are those of its decoded parts whose types do not bound their depth. What passes can be encoded and
    walked again, however deep the stack is by then.
    """
    if body.count(b"{") + body.count(b"[") <= wording.MAX_DEPTH:
        return
    level = [each for each in values if type(each) in _NESTING]
    for _ in range(wording.MAX_DEPTH - 1):
        level = [
            inner
            for each in level
            for inner in (each.values() if type(each) is dict else each)
            if type(inner) in _NESTING
        ]
        if not level:
            return
    raise wording.body_too_deep()


# The top level


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body) if body else None
    except UnicodeDecodeError:
        raise wording.body_not_unicode() from None
    except RecursionError:
        raise wording.body_too_deep() from None
    except msgspec.DecodeError:
        raise wording.body_not_json() from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise wording.body_not_an_object(value)
    return value


def _check_present(
    value: Mapping[str, Any], fields: Mapping[str, inspect.Field], moved: Mapping[str, str]
) -> None:
    # The first required parameter comes before everything. The others come after the hints for a body that was
    # meant for another API, or such a body would only hear that `input` is missing.
    required = [name for name, field in fields.items() if field.required]
    _check_required(value, required[:1], "")
    for name in value:
        if name in moved:
            raise wording.unsupported(moved[name])
    _check_required(value, required, "")


def _check_parameter(value: Any, field: inspect.Field, check: Check | None) -> None:
    name = field.encode_name
    if value is None:
        if field.required:
            # The official API takes a null up here for a string that failed, and calls it an object.
            raise wording.wrong_type(name, "a string" if takes(field.type, "") else expected(field.type), {})
        return
    _walk(value, field.type, name)
    if check is not None:
        check(value, name)


# One value after the other


def _walk(value: Any, shape: inspect.Type, path: str) -> None:
    """Raise BadRequest for the first thing in `value` that does not fit."""
    if not takes(shape, value):
        raise wording.wrong_type(path, expected(shape), value)
    match bare(shape):
        case inspect.UnionType(types):
            _walk_union(value, [each for each in types if takes(each, value)], path, extra_of(shape))
        case inspect.StructType() as struct:
            _walk_struct(value, struct, path)
        case inspect.ListType() as array:
            _walk_list(value, array, path)
        case inspect.DictType() as mapping:
            _walk_dict(value, mapping, path)
        case inspect.LiteralType(values) if value not in values:
            raise wording.wrong_value(path, value, extra_of(shape).get("listed", values))
        case inspect.StrType() as text:
            _walk_str(value, text, path)
        case inspect.IntType(ge=low, le=high):
            _walk_number(value, "integer", low, high, path)
        case inspect.FloatType(ge=low, le=high):
            _walk_number(value, "decimal", low, high, path)


def _walk_union(value: Any, members: list[inspect.Type], path: str, extra: Mapping[str, Any]) -> None:
    variants = {str(member.tag): member for member in members if isinstance(member, inspect.StructType)}
    if len(variants) < 2:
        _walk(value, members[0], path)
        return
    tag_field = str(next(iter(variants.values())).tag_field)
    _check_required(value, [tag_field], path)
    tag = value[tag_field]
    if isinstance(tag, str) and tag in variants:
        _walk_struct(value, variants[tag], path)
        return
    # Two steps, as the official API has them: is there such a kind at all, and may it stand here?
    family = extra.get("family", ())
    if tag in family:
        raise wording.wrong_value(path, tag, variants)
    raise wording.wrong_value(_join(path, tag_field), tag, family or variants)


def _walk_struct(value: Mapping[str, Any], struct: inspect.StructType, path: str) -> None:
    fields = fields_of(struct.cls)
    _check_required(value, [name for name, field in fields.items() if field.required], path)
    if struct.forbid_unknown_fields:
        _check_known(value, [*fields, struct.tag_field], path)
    for name, field in fields.items():
        if name in value:
            _walk(value[name], field.type, _join(path, name))


def _walk_list(value: list[Any], array: inspect.ListType, path: str) -> None:
    if array.min_length is not None and len(value) < array.min_length:
        raise wording.too_few(path, array.min_length, value)
    if array.max_length is not None and len(value) > array.max_length:
        raise wording.too_many(path, array.max_length, value)
    for index, each in enumerate(value):
        _walk(each, array.item_type, f"{path}[{index}]")


def _walk_dict(value: Mapping[str, Any], mapping: inspect.DictType, path: str) -> None:
    if mapping.max_length is not None and len(value) > mapping.max_length:
        raise wording.too_many_properties(path, mapping.max_length, len(value))
    names = bare(mapping.key_type)
    longest = names.max_length if isinstance(names, inspect.StrType) else None
    for name, each in value.items():
        if longest is not None and len(name) > longest:
            raise wording.name_too_long(path, longest, name)
        _walk(each, mapping.value_type, _join(path, wording.shortened(name)))


def _walk_str(value: str, text: inspect.StrType, path: str) -> None:
    if text.min_length is not None and len(value) < text.min_length:
        raise wording.too_short(path, text.min_length, value)
    if text.max_length is not None and len(value) > text.max_length:
        raise wording.too_long(path, text.max_length, value)
    if text.pattern is not None and re.search(text.pattern, value) is None:
        raise wording.pattern_mismatch(path, text.pattern.replace(r"\Z", "$"))


def _walk_number(value: float, kind: str, low: float | None, high: float | None, path: str) -> None:
    if low is not None and value < low:
        raise wording.below_minimum(path, kind, low, value)
    if high is not None and value > high:
        raise wording.above_maximum(path, kind, high, value)


# Names


def _check_required(value: Mapping[str, Any], names: Iterable[str], path: str) -> None:
    for name in names:
        if name not in value:
            raise wording.missing(_join(path, name))


def _check_known(
    value: Mapping[str, Any], known: Iterable[str | None], path: str, alternatives: Iterable[str] = ()
) -> None:
    names = frozenset(known)
    for name in value:
        if name not in names:
            raise wording.unknown(_join(path, name), alternatives)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


# What is left

_PLACE: Final = re.compile(r"(?P<reason>.*?)(?: - at `(?:key` in `)?\$\.?(?P<path>[^`]*)`)?", re.DOTALL)


def _unexplained(error: Exception, path: str) -> BadRequest:
    """A fault that only the decoder saw, in the decoder's words."""
    found = _PLACE.fullmatch(str(error))
    assert found is not None  # every part of the pattern is optional
    place = found["path"] or ""
    param = f"{path}{place}" if place.startswith("[") or not place else _join(path, place)
    return BadRequest(f"Invalid body: {found['reason']}.", param=param or None, code="invalid_value")
