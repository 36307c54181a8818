"""Shells: commands in one of several forms."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from catena.tool_shapes.functions import answer_as_given
from catena.tool_shapes.shape import Fields, Shape, decoded, object_schema
from catena.wire.response import Item
from catena.wire.tools import Tool

__all__ = ["LOCAL_SHELL", "SHELL"]


class _ShellArguments(msgspec.Struct, frozen=True):
    commands: Annotated[list[str], Meta(min_length=1)]
    timeout_ms: int | None = None
    max_output_length: int | None = None


class _LocalShellArguments(msgspec.Struct, frozen=True, omit_defaults=True):
    command: Annotated[list[str], Meta(min_length=1)]
    timeout_ms: int | None = None
    user: str | None = None
    working_directory: str | None = None
    env: dict[str, str] | None = None


_SHELL_ARGUMENTS: Final = msgspec.json.Decoder(_ShellArguments)
_LOCAL_SHELL_ARGUMENTS: Final = msgspec.json.Decoder(_LocalShellArguments)


def _offer_shell(tool: Tool) -> Fields:
    commands = {
        "type": "array",
        "items": {"type": "string"},
        "description": "Commands, run one after another.",
    }
    timeout = {"type": "integer", "description": "Milliseconds after which a command is stopped."}
    longest = {"type": "integer", "description": "How many characters of a command's output are wanted."}
    return {
        "name": "shell",
        "description": "Runs commands in a shell on the user's machine and returns what they print.",
        "parameters": object_schema(
            {"commands": commands, "timeout_ms": timeout, "max_output_length": longest},
            "timeout_ms",
            "max_output_length",
        ),
    }


def _read_shell(arguments: str) -> Fields | None:
    read = decoded(_SHELL_ARGUMENTS, arguments)
    return None if read is None else {"action": msgspec.to_builtins(read)}


def _write_shell(item: Item) -> Fields:
    return {name: value for name, value in item["action"].items() if value is not None}


def _answer_shell(item: Item) -> str | list[Fields]:
    output = item["output"]
    return output if isinstance(output, str) else "\n\n".join(_ran(each) for each in output)


def _ran(output: Fields) -> str:
    outcome = output["outcome"]
    ended = "Timed out" if outcome.get("type") == "timeout" else f"Exit code: {outcome.get('exit_code')}"
    printed = [f"{name}:\n{output[name]}" for name in ("stdout", "stderr") if output[name]]
    return "\n".join([ended, *printed])


def _offer_local_shell(tool: Tool) -> Fields:
    command = {"type": "array", "items": {"type": "string"}, "description": "The program and its arguments."}
    return {
        "name": "local_shell",
        "description": "Runs a command on the user's machine and returns what it prints.",
        "parameters": object_schema(
            {
                "command": command,
                "working_directory": {"type": "string"},
                "timeout_ms": {"type": "integer"},
                "env": {"type": "object", "additionalProperties": {"type": "string"}},
            },
            "working_directory",
            "timeout_ms",
            "env",
        ),
    }


def _read_local_shell(arguments: str) -> Fields | None:
    read = decoded(_LOCAL_SHELL_ARGUMENTS, arguments)
    return None if read is None else {"action": {"type": "exec", "env": {}, **msgspec.to_builtins(read)}}


def _write_local_shell(item: Item) -> Fields:
    return {name: value for name, value in item["action"].items() if name != "type" and value}


SHELL = Shape(
    name="shell",
    call="shell_call",
    output="shell_call_output",
    offer=_offer_shell,
    read=_read_shell,
    write=_write_shell,
    answer=_answer_shell,
)
LOCAL_SHELL = Shape(
    name="local_shell",
    call="local_shell_call",
    output="local_shell_call_output",
    offer=_offer_local_shell,
    read=_read_local_shell,
    write=_write_local_shell,
    answer=answer_as_given,
)
