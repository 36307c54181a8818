"""Which test shows that a row of docs/compatibility.md is true.

Most rows are asked for by one test with the row as its parameter. Endpoints and error codes have tests of their own:
the first one, in the order of the files, that makes the call or names the code.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from tests.conformance.sdk import endpoints

__all__ = ["Evidence", "evidence_of"]

TESTS: Final = Path(__file__).parents[1]

_ASKED: Final = "conformance/test_compatibility_page.py"

_BY_ROW: Final = {
    "What is not there": (_ASKED, "test_what_is_not_there_is_an_unknown_url"),
    "Create parameters": (_ASKED, "test_a_parameter_does_what_the_page_says"),
    "`include`": (_ASKED, "test_an_include_value_is_taken_and_passed_on_as_the_page_says"),
    "Tools": (_ASKED, "test_a_tool_is_treated_as_the_page_says"),
    "Items": (_ASKED, "test_an_item_is_treated_as_the_page_says"),
    "Stream events": ("conformance/test_stream_order.py", "test_the_events_of_every_shape_of_output"),
}
"""The tests that ask for each row of a table."""

_OF_HOSTED_TOOLS: Final = (
    "conformance/test_stream_order.py",
    "test_what_a_hosted_tool_does_passes_under_our_ids",
)

_CHOSEN: Final = {
    "POST /v1/responses": ("api/test_chains.py", "test_the_model_sees_the_whole_chain"),
    "GET /v1/responses": (
        "api/test_websocket.py",
        "test_a_response_over_a_socket_has_the_events_of_a_stream",
    ),
    "POST /v1/chat/completions": (
        "api/test_chat_completions.py",
        "test_two_linked_completions_share_their_context",
    ),
    "DELETE /v1/responses/{response_id}": ("api/test_chains.py", "test_cascade_deletes_the_subtree"),
    "POST /v1/conversations": (
        "api/test_conversations.py",
        "test_a_conversation_is_created_read_changed_and_deleted",
    ),
    "GET /v1/conversations": (
        "api/test_conversations.py",
        "test_conversations_are_listed_by_their_metadata_in_pages",
    ),
    "POST /v1/files": ("api/test_files.py", "test_a_file_is_uploaded_listed_read_and_deleted"),
    "POST /v1/webhook_endpoints": (
        "api/test_webhooks.py",
        "test_the_secret_is_shown_when_it_is_made_and_never_again",
    ),
    "response.queued": (
        "api/test_background.py",
        "test_a_background_stream_tells_its_whole_life_and_survives_its_client",
    ),
    "mismatched_organization": ("access/test_gate.py", "test_a_project_that_is_not_the_keys_is_refused"),
    "mismatched_project": ("access/test_gate.py", "test_a_project_that_is_not_the_keys_is_refused"),
    "metrics_not_open": ("api/test_metrics.py", "test_metrics_are_open_for_this_machine_only"),
    "previous_response_id": (
        "conformance/test_parents.py",
        "test_a_parent_that_cannot_be_is_refused_in_the_official_words",
    ),
}


class Evidence(NamedTuple):
    """A test: its file below `tests`, and its name."""

    file: str
    test: str


def evidence_of(heading: str, name: str, words: list[str]) -> Evidence | None:
    """The test for a row, None if there is none."""
    if name in _CHOSEN:
        return _checked(*_CHOSEN[name])
    if heading == "Endpoints":
        if words[0] in ("refused", "not yet"):
            return _checked(_ASKED, "test_an_endpoint_that_is_not_there_says_so")
        if words[0] == "passed on":
            return _checked(
                "conformance/test_rows_of_their_own.py",
                "test_what_is_passed_on_whole_reaches_the_engine_of_its_model",
            )
        return _first(_calls(name))
    if heading == "Error codes":
        return _first(rf"[\"']{re.escape(name)}[\"']")
    if heading == "Stream events":
        if words[0] == "passed on":
            return _checked(*_OF_HOSTED_TOOLS)
        if words[0] == "not sent":
            return _checked(_ASKED, "test_the_events_are_those_of_the_sdk_and_those_that_work_are_ours")
    return _checked(*_BY_ROW[heading])


def _calls(endpoint: str) -> str:
    """What a test that asks an endpoint has in it: the SDK's call, or the path."""
    method, _, path = endpoint.partition(" ")
    inside = re.sub(r"\\\{[^}]*\\\}", r"\\{[^}]+\\}", re.escape(path.removeprefix("/v1")))
    raw = rf"(\.{method.lower()}\(|\"{method}\",)\s*f?[\"'](/v1)?{inside}[\"'?]"
    call = endpoints().get(endpoint)
    return raw if call is None else rf"{raw}|\.{re.escape(call)}\(|\b{re.escape(call)}\("


def _first(pattern: str) -> Evidence | None:
    asks = re.compile(pattern)
    return next((Evidence(file, test) for file, test, text in _tests() if asks.search(text)), None)


@cache
def _tests() -> list[tuple[str, str, str]]:
    """Every test with its file and its text, decorators included; those of the API come first."""
    folders = ("api", "access", "conformance", "unit", "upstream", "embedded", "client", "cli", "store")
    return [
        found
        for folder in folders
        for path in sorted((TESTS / folder).rglob("test_*.py"))
        for found in _in(path)
    ]


def _in(path: Path) -> Iterator[tuple[str, str, str]]:
    lines = path.read_text().splitlines()
    for node in ast.walk(ast.parse("\n".join(lines))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            text = "\n".join(lines[first - 1 : node.end_lineno])
            yield str(path.relative_to(TESTS)), node.name, text


def _checked(file: str, test: str) -> Evidence:
    assert any((file, test) == known[:2] for known in _tests()), f"there is no {file}::{test}"
    return Evidence(file, test)
