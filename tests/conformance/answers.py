"""What engines may answer: one script for each shape that an output can have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from catena.chunks import (
    Annotation,
    Boundary,
    Chunk,
    Finish,
    ItemDone,
    ItemEvent,
    ItemStarted,
    PartEnd,
    ReasoningDelta,
    RefusalDelta,
    SummaryDelta,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from catena.upstream.scripted import ScriptedUpstream

__all__ = ["ANSWERS", "ENDINGS", "HOSTED", "TOOLS", "engine"]

LOGPROB: Final[dict[str, Any]] = {
    "token": "a",
    "bytes": [97],
    "logprob": -0.5,
    "top_logprobs": [{"token": "a", "bytes": [97], "logprob": -0.5}],
}
CITATION: Final[dict[str, Any]] = {
    "type": "url_citation",
    "url": "https://example.com",
    "title": "t",
    "start_index": 0,
    "end_index": 1,
}
USAGE: Final = UsageReport(7, 3, cached_tokens=2, reasoning_tokens=1, cache_write_tokens=4)

TOOLS: Final[list[Any]] = [
    {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}},
    {"type": "custom", "name": "c"},
]
"""The tools that the answers call."""

ANSWERS: Final[Mapping[str, Sequence[Chunk]]] = {
    "text": [
        TextDelta("a", [LOGPROB]),
        TextDelta("b"),
        Annotation(CITATION),
        TextDelta("c"),
        USAGE,
        Finish("stop"),
    ],
    "two_parts": [TextDelta("a"), PartEnd(), TextDelta("b"), Finish("stop")],
    "phases": [
        Boundary(phase="commentary"),
        TextDelta("a"),
        Boundary(phase="final_answer"),
        TextDelta("b"),
        Finish("stop"),
    ],
    "refusal": [RefusalDelta("n"), RefusalDelta("o"), Finish("stop")],
    "summary": [
        SummaryDelta("a", 0),
        SummaryDelta("b", 0),
        SummaryDelta("c", 1),
        TextDelta("d"),
        Finish("stop"),
    ],
    "raw_reasoning": [ReasoningDelta("a"), ReasoningDelta("b"), TextDelta("c"), Finish("stop")],
    "sealed_reasoning": [Boundary(encrypted_content="sealed"), TextDelta("a"), Finish("stop")],
    "function_call": [
        ToolCallDelta(0, "call_1", "f", '{"a"'),
        ToolCallDelta(0, arguments=":1}"),
        Finish("tool_calls"),
    ],
    "parallel_calls": [
        TextDelta("see"),
        ToolCallDelta(0, "call_1", "f", '{"a":1}'),
        ToolCallDelta(1, "call_2", "f", '{"a":2}'),
        Finish("tool_calls"),
    ],
    "interleaved_calls": [
        ToolCallDelta(0, "call_1", "f", '{"a"'),
        ToolCallDelta(1, "call_2", "f", '{"b"'),
        ToolCallDelta(0, arguments=":1}"),
        ToolCallDelta(1, arguments=":2}"),
        Finish("tool_calls"),
    ],
    "custom_call": [
        ToolCallDelta(0, "call_1", "c", "fr", custom=True),
        ToolCallDelta(0, arguments="ee"),
        Finish("tool_calls"),
    ],
    "wrapped_call": [ToolCallDelta(0, "", "c", '{"input":"free"}'), Finish("tool_calls")],
    "nothing": [Finish("stop")],
}
"""What ends as completed."""

ENDINGS: Final[Mapping[str, Sequence[Chunk]]] = {
    "length": [ReasoningDelta("hm"), TextDelta("and so"), USAGE, Finish("length")],
    "length_in_reasoning": [ReasoningDelta("hm"), Finish("length")],
    "length_in_call": [TextDelta("see"), ToolCallDelta(0, "call_1", "f", '{"a'), Finish("length")],
    "content_filter": [TextDelta("how to"), Finish("content_filter")],
}
"""What ends as incomplete."""


def _hosted(
    item: dict[str, Any], *events: tuple[str, dict[str, Any]], start: dict[str, Any] | None = None
) -> list[Chunk]:
    began = {**item, **(start or {"status": "in_progress"})}
    return [ItemStarted(began), *(ItemEvent(kind, data) for kind, data in events), ItemDone(item)]


def _steps(kind: str, *steps: str) -> list[tuple[str, dict[str, Any]]]:
    return [(f"response.{kind}.{step}", {}) for step in steps]


_MCP_TOOL: Final = {
    "name": "roll",
    "input_schema": {"type": "object"},
    "annotations": None,
    "description": None,
}

HOSTED: Final[Mapping[str, Sequence[Chunk]]] = {
    "mcp_list_tools": _hosted(
        {"type": "mcp_list_tools", "server_label": "dice", "tools": [_MCP_TOOL]},
        *_steps("mcp_list_tools", "in_progress", "completed"),
        start={"tools": []},
    ),
    "mcp_call": _hosted(
        {
            "type": "mcp_call",
            "server_label": "dice",
            "name": "roll",
            "arguments": "{}",
            "output": "4",
            "status": "completed",
        },
        *_steps("mcp_call", "in_progress"),
        ("response.mcp_call_arguments.delta", {"delta": "{}"}),
        ("response.mcp_call_arguments.done", {"arguments": "{}"}),
        *_steps("mcp_call", "completed"),
        start={"arguments": "", "output": None, "status": "in_progress"},
    ),
    "mcp_approval_request": [
        ItemDone({"type": "mcp_approval_request", "server_label": "dice", "name": "roll", "arguments": "{}"})
    ],
    "web_search_call": _hosted(
        {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}},
        *_steps("web_search_call", "in_progress", "searching", "completed"),
    ),
    "file_search_call": _hosted(
        {"type": "file_search_call", "status": "completed", "queries": ["q"], "results": None},
        *_steps("file_search_call", "in_progress", "searching", "completed"),
    ),
    "code_interpreter_call": _hosted(
        {
            "type": "code_interpreter_call",
            "status": "completed",
            "container_id": "cntr_1",
            "code": "1",
            "outputs": None,
        },
        *_steps("code_interpreter_call", "in_progress"),
        ("response.code_interpreter_call_code.delta", {"delta": "1"}),
        ("response.code_interpreter_call_code.done", {"code": "1"}),
        *_steps("code_interpreter_call", "interpreting", "completed"),
        start={"status": "in_progress", "code": ""},
    ),
    "image_generation_call": _hosted(
        {"type": "image_generation_call", "status": "completed", "result": "AA=="},
        *_steps("image_generation_call", "in_progress", "generating"),
        (
            "response.image_generation_call.partial_image",
            {"partial_image_index": 0, "partial_image_b64": "AA=="},
        ),
        *_steps("image_generation_call", "completed"),
        start={"status": "in_progress", "result": None},
    ),
    "shell_call": _hosted(
        {
            "type": "shell_call",
            "status": "completed",
            "call_id": "call_1",
            "action": {"commands": ["ls"], "timeout_ms": None, "max_output_length": None},
        },
        ("response.shell_call_command.added", {"command": "", "command_index": 0}),
        ("response.shell_call_command.delta", {"delta": "ls", "command_index": 0}),
        ("response.shell_call_command.done", {"command": "ls", "command_index": 0}),
    ),
}
"""Items of hosted tools, as an engine that speaks the Responses API composes them."""


def engine(answer: Sequence[Any], **options: Any) -> ScriptedUpstream:
    """An engine that always answers so; an exception among the chunks is raised there."""
    return ScriptedUpstream(lambda _: answer, **options)
