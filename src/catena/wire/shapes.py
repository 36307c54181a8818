"""What a struct says of the values that it describes: its fields, which JSON fits them, what they are called.

`msgspec.inspect` is the source, with one repair: it sorts the values of a `Literal`, and here they keep the order in
which they were written, as messages name them in that order. What an annotation alone cannot say is in its
`Meta(extra=...)`:

    expected   what the value is called where its type is wrong ("a metadata object")
    listed     the values that are named where a value is wrong, if not all that are accepted
    family     the tags of all kinds of the same thing, where only some may stand in this place
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias, get_args, get_origin, get_type_hints

import msgspec
from msgspec import inspect

from catena.wire import wording

__all__ = ["bare", "expected", "extra_of", "fields_of", "shape_of", "takes"]

_Orders: TypeAlias = Mapping[frozenset[Any], tuple[Any, ...]]

_NOTHING: Final[Mapping[str, Any]] = {}

_TAKERS: Final[dict[type, tuple[type[inspect.Type], ...]]] = {
    str: (inspect.StrType, inspect.LiteralType),
    bool: (inspect.BoolType,),
    int: (inspect.IntType, inspect.FloatType),
    float: (inspect.FloatType,),
    list: (inspect.ListType,),
    dict: (inspect.DictType, inspect.StructType),
    type(None): (inspect.NoneType,),
}

_JSON_SHAPES: Final = frozenset(shape for shapes in _TAKERS.values() for shape in shapes)

_NAMES: Final[dict[type[inspect.Type], str]] = {
    inspect.StrType: "a string",
    inspect.IntType: "an integer",
    inspect.FloatType: "a decimal",
    inspect.BoolType: "a boolean",
    inspect.DictType: "an object",
    inspect.StructType: "an object",
}

_PLURALS: Final = {"a string": "strings", "an integer": "integers", "an object": "objects"}


@functools.cache
def shape_of(struct: type) -> inspect.Type:
    """The shape that `struct` describes."""
    return inspect.type_info(struct)


@functools.cache
def fields_of(struct: type) -> Mapping[str, inspect.Field]:
    """The fields of `struct` under their names in JSON, in order."""
    info = shape_of(struct)
    assert isinstance(info, inspect.StructType)
    orders = {
        frozenset(values): values
        for hint in get_type_hints(struct, include_extras=True).values()
        for values in _literals(hint)
    }
    return {
        field.encode_name: msgspec.structs.replace(field, type=_in_order(field.type, orders))
        for field in info.fields
    }


def bare(shape: inspect.Type) -> inspect.Type:
    """The type itself, without what `Meta` says of it."""
    return shape.type if isinstance(shape, inspect.Metadata) else shape


def extra_of(shape: inspect.Type) -> Mapping[str, Any]:
    """What `Meta(extra=...)` says of the type."""
    return (isinstance(shape, inspect.Metadata) and shape.extra) or _NOTHING


def takes(shape: inspect.Type, value: Any) -> bool:
    """Whether a value of this JSON type may be what `shape` describes."""
    match bare(shape):
        case inspect.UnionType(types):
            return any(takes(member, value) for member in types)
        case inner:
            # Of types other than JSON's own, which are written in one of them, only the decoder can say.
            return type(inner) in _TAKERS[type(value)] or type(inner) not in _JSON_SHAPES


def expected(shape: inspect.Type) -> str:
    """What `shape` is called where something else was sent."""
    extra = extra_of(shape)
    if "expected" in extra:
        return str(extra["expected"])
    match bare(shape):
        case inspect.LiteralType(values):
            return wording.one_of(extra.get("listed", values))
        case inspect.ListType(item_type=item_type):
            items = expected(item_type)
            return f"an array of {_PLURALS.get(items, items)}"
        case inspect.UnionType(types):
            return _any_of({expected(each) for each in types if not isinstance(each, inspect.NoneType)})
        case inner:
            return _NAMES.get(type(inner), "another value")


def _any_of(names: set[str]) -> str:
    first, *rest = sorted(names, key=lambda name: name.partition(" ")[2])
    if not rest:
        return first
    return f"one of {wording.either([first, *(name.partition(' ')[2] for name in rest)])}"


def _literals(hint: Any) -> Iterator[tuple[Any, ...]]:
    if get_origin(hint) is Literal:
        yield get_args(hint)
        return
    for inner in get_args(hint):
        yield from _literals(inner)


def _in_order(shape: inspect.Type, orders: _Orders) -> inspect.Type:
    replace = msgspec.structs.replace
    match shape:
        case inspect.LiteralType(values):
            return replace(shape, values=orders[frozenset(values)])
        case inspect.Metadata(inner):
            return replace(shape, type=_in_order(inner, orders))
        case inspect.UnionType(types):
            return replace(shape, types=tuple(_in_order(each, orders) for each in types))
        case inspect.ListType(item_type=item_type):
            return replace(shape, item_type=_in_order(item_type, orders))
        case inspect.DictType(value_type=value_type):
            return replace(shape, value_type=_in_order(value_type, orders))
        case _:
            return shape
