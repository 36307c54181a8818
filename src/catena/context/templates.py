"""Prompt templates filled in: `{{variable}}` in texts, and what a template sets besides. Pure.

A variable of text can stand anywhere in a text. An image or a file can stand in a message, where it becomes a content
part of its own between the texts around it. Nothing that is filled in is looked through for variables again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from catena.errors import BadRequest
from catena.wire import wording

__all__ = ["SETTINGS", "Template", "Variable", "fill"]

Variable: TypeAlias = str | dict[str, Any]
"""A text, or a content part."""

SETTINGS: Final = frozenset(
    {
        "frequency_penalty",
        "include",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "model",
        "parallel_tool_calls",
        "presence_penalty",
        "reasoning",
        "service_tier",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
    }
)
"""The create parameters that a template can set; what the request sets itself counts more."""

_SLOT: Final = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_-]*)\s*\}\}")


class Template(msgspec.Struct, frozen=True):
    """One version of a prompt. `defaults` are the values of variables that need not be given."""

    instructions: str = ""
    input: list[dict[str, Any]] = []
    settings: dict[str, Any] = {}
    defaults: dict[str, str] = {}

    @property
    def variables(self) -> frozenset[str]:
        """The names of all that can be filled in."""
        return frozenset(
            name for text in _texts([self.instructions, self.input]) for name in _SLOT.findall(text)
        )


def fill(template: Template, given: Mapping[str, Variable]) -> dict[str, Any]:
    """The create parameters that a template makes. Raises BadRequest, which names the variable that is wrong."""
    for name in given:
        if name not in template.variables:
            raise wording.unknown(
                f"prompt.variables.{name}", [f"prompt.variables.{each}" for each in template.variables]
            )
    values: dict[str, Variable] = {**template.defaults, **given}
    for name in sorted(template.variables):
        if name not in values:
            raise wording.missing(f"prompt.variables.{name}")
    values = {name: _said(value) for name, value in values.items()}
    filled = dict(template.settings)
    if template.instructions:
        filled["instructions"] = _text(template.instructions, values)
    if template.input:
        filled["input"] = [_item(item, values) for item in template.input]
    return filled


def _said(value: Variable) -> Variable:
    if isinstance(value, dict) and value.get("type") == "input_text":
        return str(value["text"])
    return value


def _text(text: str, values: Mapping[str, Variable]) -> str:
    def value_of(slot: re.Match[str]) -> str:
        value = values[slot[1]]
        if isinstance(value, str):
            return value
        raise BadRequest(
            f"Invalid 'prompt.variables.{slot[1]}': expected a text, as it stands where no image or file can.",
            param=f"prompt.variables.{slot[1]}",
            code="invalid_value",
        )

    return _SLOT.sub(value_of, text)


def _item(item: dict[str, Any], values: Mapping[str, Variable]) -> dict[str, Any]:
    content = item.get("content")
    if not isinstance(content, str | list):
        return item
    parts = content if isinstance(content, list) else [{"type": "input_text", "text": content}]
    filled = [made for part in parts for made in _parts(part, values)]
    if isinstance(content, str) and len(filled) == 1 and "text" in filled[0]:
        return {**item, "content": filled[0]["text"]}
    return {**item, "content": filled}


def _parts(part: dict[str, Any], values: Mapping[str, Variable]) -> Sequence[dict[str, Any]]:
    """The part with its variables: several where images or files stand between texts."""
    text = part.get("text")
    if not isinstance(text, str):
        return [part]
    made: list[dict[str, Any]] = [{**part, "text": ""}]
    for place, piece in enumerate(_SLOT.split(text)):
        value = values[piece] if place % 2 else piece  # names stand between the texts
        if isinstance(value, str):
            made[-1]["text"] += value
        else:
            made += [value, {**part, "text": ""}]
    said = [each for each in made if "text" not in each or each["text"].strip()]
    return said or made


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name in ("text", "content"):
                yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
