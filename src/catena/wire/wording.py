"""The official API's sentences for a request that is wrong, each as the BadRequest that carries it (spec §10.2).

Nothing here looks at requests: callers say what is wrong and where, and get the words, the `param` and the `code`.
Names and values that a client sent are quoted, but never at length: an error stays small whatever it is about.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from catena.errors import BadRequest

__all__ = [
    "MAX_DEPTH",
    "above_maximum",
    "below_minimum",
    "body_not_an_object",
    "body_not_json",
    "body_not_unicode",
    "body_too_deep",
    "choice_not_found",
    "choice_without_tools",
    "duplicate_item",
    "edit_distance",
    "either",
    "empty_input",
    "exclusive_parents",
    "id_characters",
    "id_prefix",
    "missing",
    "model_not_found",
    "name_too_long",
    "one_of",
    "pattern_mismatch",
    "shortened",
    "too_few",
    "too_long",
    "too_many",
    "too_many_properties",
    "too_short",
    "trigger_not_last",
    "unknown",
    "unsupported",
    "wrong_type",
    "wrong_value",
]

MAX_DEPTH: Final = 512
"""How many objects and arrays may stand inside one another in a body."""

_MAX_QUOTED: Final = 256
_MAX_DISTANCE: Final = 2

_JSON_NAMES: Final[dict[type, str]] = {
    str: "a string",
    int: "an integer",
    float: "a decimal number",
    bool: "a boolean",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


# The body as a whole


def body_not_json() -> BadRequest:
    return BadRequest(
        "Invalid body: failed to parse JSON value. Please check the value to ensure it is valid JSON. (Common errors "
        "include trailing commas, missing closing brackets, missing quotation marks, etc.)",
        code="invalid_json",
    )


def body_not_unicode() -> BadRequest:
    return BadRequest(
        "Invalid body: encountered a unicode decode error when parsing this JSON value. Please check the value to "
        "ensure it is valid unicode.",
        code="invalid_json",
    )


def body_too_deep() -> BadRequest:
    """Our own: how deep the official API lets a body go is not known."""
    return BadRequest(
        f"Invalid body: nested too deeply. Expected at most {MAX_DEPTH} levels of objects and arrays.",
        code="invalid_json",
    )


def body_not_an_object(value: Any) -> BadRequest:
    return BadRequest(
        f"Invalid type: expected an object, but got {_got(value)} instead.", code="invalid_type"
    )


# Parameters that should not be there, or should


def missing(path: str) -> BadRequest:
    return BadRequest(f"Missing required parameter: '{path}'.", param=path, code="missing_required_parameter")


def unknown(path: str, alternatives: Iterable[str] = ()) -> BadRequest:
    """`alternatives` are the names that may have been meant; the close ones among them are suggested."""
    close = [f"'{name}'" for name in _close_names(path, alternatives)]
    hint = f" Did you mean {either(close)}?" if close else ""
    path = shortened(path)
    return BadRequest(f"Unknown parameter: '{path}'.{hint}", param=path, code="unknown_parameter")


def unsupported(message: str) -> BadRequest:
    """A parameter that exists elsewhere; `message` says where. The official API names no `param` here."""
    return BadRequest(message, code="unsupported_parameter")


def empty_input() -> BadRequest:
    return BadRequest(
        "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation' must be provided.",
        code="missing_required_parameter",
    )


def exclusive_parents() -> BadRequest:
    """The shortened name and the empty quotes are the official API's own (spec §3.3)."""
    return BadRequest(
        "Mutually exclusive parameters: ''. Ensure you are only providing one of: 'pre..._id' or 'conversation'.",
        code="mutually_exclusive_parameters",
    )


def choice_not_found(chosen: str) -> BadRequest:
    return BadRequest(
        f"Tool choice '{shortened(chosen)}' not found in 'tools' parameter.", param="tool_choice"
    )


def choice_without_tools(choice: str) -> BadRequest:
    return BadRequest(
        f"Tool choice '{choice}' must be specified with 'tools' parameter.", param="tool_choice"
    )


def model_not_found(model: str) -> BadRequest:
    return BadRequest(
        f"The requested model '{shortened(model)}' does not exist.", param="model", code="model_not_found"
    )


# Values


def wrong_type(path: str, expected: str, value: Any) -> BadRequest:
    return BadRequest(
        f"Invalid type for '{path}': expected {expected}, but got {_got(value)} instead.",
        param=path,
        code="invalid_type",
    )


def wrong_value(path: str, value: Any, supported: Collection[str]) -> BadRequest:
    """A value outside a list. What is no string at all is quoted as an empty one, as the official API does."""
    quoted = shortened(value) if isinstance(value, str) else ""
    values = _joined([f"'{each}'" for each in supported], "and")
    return BadRequest(
        f"Invalid value: '{quoted}'. Supported values are: {values}.", param=path, code="invalid_value"
    )


def below_minimum(path: str, kind: str, bound: float, value: float) -> BadRequest:
    """`kind` is "integer" or "decimal"."""
    return BadRequest(
        f"Invalid '{path}': {kind} below minimum value. Expected a value >= {bound}, but got {value} instead.",
        param=path,
        code=f"{kind}_below_min_value",
    )


def above_maximum(path: str, kind: str, bound: float, value: float) -> BadRequest:
    """`kind` is "integer" or "decimal"."""
    return BadRequest(
        f"Invalid '{path}': {kind} above maximum value. Expected a value <= {bound}, but got {value} instead.",
        param=path,
        code=f"{kind}_above_max_value",
    )


def too_short(path: str, bound: int, value: str) -> BadRequest:
    if not value:
        return BadRequest(
            f"Invalid '{path}': empty string. Expected a string with minimum length {bound}, but got an empty string "
            "instead.",
            param=path,
            code="empty_string",
        )
    return BadRequest(
        f"Invalid '{path}': string too short. Expected a string with minimum length {bound}, but got a string with "
        f"length {len(value)} instead.",
        param=path,
        code="string_below_min_length",
    )


def too_long(path: str, bound: int, value: str) -> BadRequest:
    return BadRequest(
        f"Invalid '{path}': string too long. Expected a string with maximum length {bound}, but got a string with "
        f"length {len(value)} instead.",
        param=path,
        code="string_above_max_length",
    )


def pattern_mismatch(path: str, pattern: str) -> BadRequest:
    return BadRequest(
        f"Invalid '{path}': string does not match pattern. Expected a string that matches the pattern '{pattern}'.",
        param=path,
        code="invalid_value",
    )


def too_few(path: str, bound: int, value: Sequence[Any]) -> BadRequest:
    got = f"array with length {len(value)}" if value else "empty array"
    return BadRequest(
        f"Invalid '{path}': {'array too short' if value else 'empty array'}. Expected an array with minimum length "
        f"{bound}, but got an {got} instead.",
        param=path,
        code="array_below_min_length" if value else "empty_array",
    )


def too_many(path: str, bound: int, value: Sequence[Any]) -> BadRequest:
    return BadRequest(
        f"Invalid '{path}': array too long. Expected an array with maximum length {bound}, but got an array with "
        f"length {len(value)} instead.",
        param=path,
        code="array_above_max_length",
    )


def too_many_properties(path: str, bound: int, count: int) -> BadRequest:
    return BadRequest(
        f"Invalid '{path}': too many properties. Expected an object with at most {bound} properties, but got an "
        f"object with {count} properties instead.",
        param=path,
        code="object_above_max_properties",
    )


def name_too_long(path: str, bound: int, name: str) -> BadRequest:
    return BadRequest(
        f"Invalid property name in '{path}': '{_elided(name)}' is too long. Expected a string with maximum length "
        f"{bound}, but got a string with length {len(name)} instead.",
        param=f"{path}.{shortened(name)}",
        code="property_name_above_max_length",
    )


# Ids


def id_characters(path: str, value: str) -> BadRequest:
    return BadRequest(
        f"Invalid '{path}': '{shortened(value)}'. Expected an ID that contains letters, numbers, underscores, or "
        "dashes, but this value contained additional characters.",
        param=path,
        code="invalid_value",
    )


def id_prefix(path: str, value: str, prefix: str) -> BadRequest:
    return BadRequest(
        f"Invalid '{path}': '{shortened(value)}'. Expected an ID that begins with '{prefix}'.",
        param=path,
        code="invalid_id_prefix",
    )


def trigger_not_last(path: str) -> BadRequest:
    return BadRequest(
        f"Invalid '{path}': an item of type 'compaction_trigger' must be the last one of the input.",
        param=path,
        code="invalid_value",
    )


def duplicate_item(item_id: str, path: str = "input") -> BadRequest:
    return BadRequest(
        f"Duplicate item found with id {item_id}. Remove duplicate items from your input and try again.",
        param=path,
    )


# Lists and names in a sentence


def one_of(values: Collection[str]) -> str:
    """What a list of values is called where a type is expected; long ones are shortened there."""
    quoted = [f"'{_elided(value) if len(value) > 16 else value}'" for value in values]
    return quoted[0] if len(quoted) == 1 else f"one of {either(quoted)}"


def either(parts: Sequence[str]) -> str:
    """`a`, `a or b`, `a, b, or c`."""
    return _joined(parts, "or")


def shortened(text: str) -> str:
    """`text` itself, unless it is so long that an error should not carry it."""
    return text if len(text) <= _MAX_QUOTED else _elided(text)


def edit_distance(one: str, other: str, limit: int = _MAX_DISTANCE) -> int:
    """How many characters to insert, remove or replace to get from one to the other; `limit + 1` if more."""
    if abs(len(one) - len(other)) > limit:
        return limit + 1
    row = list(range(len(other) + 1))
    for above, left in enumerate(one, start=1):
        diagonal, row[0] = row[0], above
        for column, right in enumerate(other, start=1):
            replaced = diagonal + (left != right)
            diagonal, row[column] = row[column], min(replaced, row[column] + 1, row[column - 1] + 1)
    return min(row[-1], limit + 1)


def _close_names(name: str, alternatives: Iterable[str]) -> list[str]:
    near = [(edit_distance(name, each), each) for each in alternatives]
    return [each for distance, each in sorted(near) if distance <= _MAX_DISTANCE]


def _joined(parts: Sequence[str], word: str) -> str:
    if len(parts) <= 2:
        return f" {word} ".join(parts)
    return f"{', '.join(parts[:-1])}, {word} {parts[-1]}"


def _elided(text: str) -> str:
    return f"{text[:3]}...{text[-3:]}"


def _got(value: Any) -> str:
    return _JSON_NAMES[type(value)]
