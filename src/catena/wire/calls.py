"""Input items other than messages: calls, their outputs, and what the server itself left behind (spec §2.3, A.2).

Each struct says what one kind of item requires and allows. Required is what the item cannot be understood without;
what only the server fills in (ids, statuses) may be left out, as clients that keep their own history do. What a hosted
tool did is left open inside: it is a receipt, and this server does not act on it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from catena.wire.parts import (
    ComputerScreenshot,
    OutputPart,
    ReasoningPart,
    SummaryPart,
    ToolOutput,
    ToolOutputPart,
)
from catena.wire.settings import Effort, JsonSchema, PlainText
from catena.wire.tools import NAME

__all__ = [
    "AdditionalTools",
    "AgentMessage",
    "AnyItem",
    "ApplyPatchCall",
    "ApplyPatchCallOutput",
    "CodeInterpreterCall",
    "Compaction",
    "ComputerCall",
    "ComputerCallOutput",
    "ConfigurationUpdate",
    "CustomToolCall",
    "CustomToolCallOutput",
    "FileSearchCall",
    "FunctionCall",
    "FunctionCallOutput",
    "ImageGenerationCall",
    "ItemReference",
    "LocalShellCall",
    "LocalShellCallOutput",
    "McpApprovalRequest",
    "McpApprovalResponse",
    "McpCall",
    "McpListTools",
    "MultiAgentCall",
    "MultiAgentCallOutput",
    "Program",
    "ProgramOutput",
    "Reasoning",
    "ShellCall",
    "ShellCallOutput",
    "Status",
    "ToolSearchCall",
    "ToolSearchOutput",
    "WebSearchCall",
]

Status: TypeAlias = Literal["in_progress", "completed", "incomplete"]
CallId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Sealed: TypeAlias = Annotated[str, Meta(max_length=20_971_520)]
Object: TypeAlias = dict[str, Any]


class AnyItem(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """What every item may have. The last field is not in the SDK; Codex sends it with every item."""

    type: str | None = None
    id: str | None = None
    created_by: str | None = None
    agent: Object | None = None
    internal_chat_message_metadata_passthrough: Any = None


class ItemReference(AnyItem, frozen=True, kw_only=True):
    id: str


class Direct(
    msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, tag_field="type", tag="direct"
):
    pass


class ByProgram(
    msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, tag_field="type", tag="program"
):
    caller_id: str


Caller: TypeAlias = Direct | ByProgram


class _CallItem(AnyItem, frozen=True, kw_only=True):
    """A call that somebody runs, or what came of it."""

    call_id: CallId
    caller: Caller | None = None
    status: Status | None = None


# Calls that the client runs


class FunctionCall(_CallItem, frozen=True, kw_only=True):
    """The last field is not in the SDK; Codex sends it."""

    name: Annotated[str, NAME]
    arguments: str
    async_: bool | None = msgspec.field(name="async", default=None)
    namespace: str | None = None
    encrypted_function_args: list[str] | None = None


class FunctionCallOutput(AnyItem, frozen=True, kw_only=True):
    """An output that answers no call has a `name` in place of the `call_id`."""

    call_id: CallId | None = None
    output: ToolOutput
    caller: Caller | None = None
    name: str | None = None
    namespace: str | None = None
    status: Status | None = None


class CustomToolCall(_CallItem, frozen=True, kw_only=True):
    name: Annotated[str, Meta(min_length=1, max_length=128)]
    input: str
    async_: bool | None = msgspec.field(name="async", default=None)
    namespace: str | None = None


class CustomToolCallOutput(_CallItem, frozen=True, kw_only=True):
    """The SDK has no `name`; Codex sends it."""

    output: ToolOutput
    name: str | None = None


class ComputerCall(_CallItem, frozen=True, kw_only=True):
    pending_safety_checks: list[Object] | None = None
    action: Object | None = None
    actions: list[Object] | None = None


class ComputerCallOutput(_CallItem, frozen=True, kw_only=True):
    output: ComputerScreenshot
    acknowledged_safety_checks: list[Object] | None = None


class LocalShellAction(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    type: Literal["exec"]
    command: list[str]
    env: dict[str, str] | None = None
    timeout_ms: int | None = None
    user: str | None = None
    working_directory: str | None = None


class LocalShellCall(AnyItem, frozen=True, kw_only=True):
    call_id: CallId | None = None
    action: LocalShellAction
    status: Status | None = None


class LocalShellCallOutput(AnyItem, frozen=True, kw_only=True):
    """The legacy shell names its call by `id`; clients that name it by `call_id`, as all others, are understood."""

    id: str | None = None
    call_id: CallId | None = None
    output: str
    status: Status | None = None


class ShellAction(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    commands: list[str]
    max_output_length: int | None = None
    timeout_ms: int | None = None


class ShellCall(_CallItem, frozen=True, kw_only=True):
    action: ShellAction
    environment: Object | None = None


class ShellOutput(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    outcome: Object
    stdout: str
    stderr: str
    created_by: str | None = None


class ShellCallOutput(_CallItem, frozen=True, kw_only=True):
    output: list[ShellOutput]
    max_output_length: int | None = None


class CreateFile(
    msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, tag_field="type", tag="create_file"
):
    path: str
    diff: str


class DeleteFile(
    msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, tag_field="type", tag="delete_file"
):
    path: str


class UpdateFile(
    msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, tag_field="type", tag="update_file"
):
    path: str
    diff: str


class ApplyPatchCall(_CallItem, frozen=True, kw_only=True):
    operation: CreateFile | DeleteFile | UpdateFile


class ApplyPatchCallOutput(AnyItem, frozen=True, kw_only=True):
    call_id: CallId
    status: Literal["completed", "failed"]
    caller: Caller | None = None
    output: str | None = None


# Calls that the server, or a hosted tool, ran


class WebSearchCall(AnyItem, frozen=True, kw_only=True):
    action: Object | None = None
    results: list[Object] | None = None
    status: str | None = None


class FileSearchCall(AnyItem, frozen=True, kw_only=True):
    queries: list[str]
    results: list[Object] | None = None
    status: str | None = None


class CodeInterpreterCall(AnyItem, frozen=True, kw_only=True):
    container_id: str
    code: str | None = None
    outputs: list[Object] | None = None
    status: str | None = None


class ImageGenerationCall(AnyItem, frozen=True, kw_only=True):
    result: str | None = None
    action: str | None = None
    background: str | None = None
    error: Object | None = None
    output_format: str | None = None
    quality: str | None = None
    revised_prompt: str | None = None
    size: str | None = None
    status: str | None = None
    svg_usage: Object | None = None


class McpListTools(AnyItem, frozen=True, kw_only=True):
    server_label: str
    tools: list[Object]
    error: Any = None


class McpApprovalRequest(AnyItem, frozen=True, kw_only=True):
    server_label: str
    name: str
    arguments: str


class McpApprovalResponse(AnyItem, frozen=True, kw_only=True):
    approval_request_id: str
    approve: bool
    reason: str | None = None


class McpCall(AnyItem, frozen=True, kw_only=True):
    server_label: str
    name: str
    arguments: str
    approval_request_id: str | None = None
    error: Any = None
    output: str | None = None
    status: str | None = None


class ToolSearchCall(AnyItem, frozen=True, kw_only=True):
    arguments: Any
    call_id: CallId | None = None
    execution: Literal["server", "client"] | None = None
    status: Status | None = None


class ToolSearchOutput(AnyItem, frozen=True, kw_only=True):
    tools: list[Object]
    call_id: CallId | None = None
    execution: Literal["server", "client"] | None = None
    status: Status | None = None


class Program(AnyItem, frozen=True, kw_only=True):
    call_id: CallId
    code: str
    fingerprint: str


class ProgramOutput(AnyItem, frozen=True, kw_only=True):
    call_id: CallId
    result: str
    status: Literal["completed", "incomplete"] | None = None


class MultiAgentCall(AnyItem, frozen=True, kw_only=True):
    call_id: CallId
    action: str
    arguments: str


class MultiAgentCallOutput(AnyItem, frozen=True, kw_only=True):
    call_id: CallId
    action: str
    output: list[OutputPart]


# What was thought, summed up, said between agents, or set


class Reasoning(AnyItem, frozen=True, kw_only=True):
    summary: list[SummaryPart]
    content: list[ReasoningPart] | None = None
    encrypted_content: Sealed | None = None
    status: Status | None = None


class Compaction(AnyItem, frozen=True, kw_only=True):
    encrypted_content: Sealed


class AgentMessage(AnyItem, frozen=True, kw_only=True):
    author: str
    recipient: str
    content: list[ToolOutputPart]


class AdditionalTools(AnyItem, frozen=True, kw_only=True):
    role: Literal["developer"]
    tools: Annotated[list[Object], Meta(extra={"expected": "an array of tools"})]


class ReasoningUpdate(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    effort: Effort | None = None


class TextUpdate(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    format: PlainText | JsonSchema


class ConfigurationUpdate(AnyItem, frozen=True, kw_only=True):
    reasoning: ReasoningUpdate | None = None
    text: TextUpdate | None = None
