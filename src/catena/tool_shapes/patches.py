"""Patches: one file that is created, changed or deleted."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from catena.tool_shapes.shape import Fields, Shape, decoded, object_schema
from catena.wire.response import Item
from catena.wire.tools import Tool

__all__ = ["APPLY_PATCH"]


class _PatchArguments(msgspec.Struct, frozen=True, omit_defaults=True):
    type: Literal["create_file", "update_file", "delete_file"]
    path: Annotated[str, Meta(min_length=1)]
    diff: str | None = None


_ARGUMENTS: Final = msgspec.json.Decoder(_PatchArguments)


def _offer_apply_patch(tool: Tool) -> Fields:
    kinds = ["create_file", "update_file", "delete_file"]
    diff = (
        "The change in V4A form, without a header: lines that begin with '+' are added, with '-' removed, with a space "
        "kept, and '@@ …' says where. A new file has only '+' lines; to delete a file, leave it out."
    )
    return {
        "name": "apply_patch",
        "description": "Creates, changes or deletes one file on the user's machine.",
        "parameters": object_schema(
            {
                "type": {"type": "string", "enum": kinds},
                "path": {"type": "string", "description": "The file, from the root of the workspace."},
                "diff": {"type": "string", "description": diff},
            },
            "diff",
        ),
    }


def _read_apply_patch(arguments: str) -> Fields | None:
    read = decoded(_ARGUMENTS, arguments)
    if read is None or (read.diff is None and read.type != "delete_file"):
        return None
    operation = {"type": read.type, "path": read.path}
    return {"operation": operation if read.type == "delete_file" else {**operation, "diff": read.diff}}


def _write_apply_patch(item: Item) -> Fields:
    return dict(item["operation"])


def _answer_apply_patch(item: Item) -> str:
    told = item.get("output") or ""
    return f"Failed\n{told}".rstrip() if item.get("status") == "failed" else told or "Done"


APPLY_PATCH = Shape(
    name="apply_patch",
    call="apply_patch_call",
    output="apply_patch_call_output",
    offer=_offer_apply_patch,
    read=_read_apply_patch,
    write=_write_apply_patch,
    answer=_answer_apply_patch,
)
