"""The short form of `make fuzz`: some cases for every endpoint."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from catena.chunks import Finish, TextDelta
from catena.upstream import Prompt
from catena.upstream.scripted import ScriptedUpstream
from tests.fuzz.fuzzing import Fuzzer, fuzzed_server


def test_a_few_cases_for_every_endpoint_find_no_fault() -> None:
    """No fault of the server, no answer that does not come, and no status or shape that the document does not have."""
    with fuzzed_server() as url:
        fuzzer = Fuzzer(url)
        operations = fuzzer.operations
        for operation in operations.values():
            fuzzer.fuzz(operation, examples=2, number=1)
    assert not fuzzer.failures, "\n\n".join(f"{each}: {case}" for each, case in fuzzer.failures.items())
    assert fuzzer.cases >= 2 * len(operations) > 100
    assert fuzzer.statuses[200] > len(operations) / 4


def test_a_status_that_is_not_documented_is_found() -> None:
    def forget(document: Any) -> None:
        del document["paths"]["/v1/files/{file_id}"]["get"]["responses"]["404"]

    with fuzzed_server() as url:
        fuzzer = Fuzzer(url, change=forget)
        fuzzer.fuzz(fuzzer.operations["GET /v1/files/{file_id}"], examples=10, number=1)
    assert fuzzer.failures.keys() == {("GET /v1/files/{file_id}", "Undocumented status code")}


def test_a_fault_of_the_server_is_found(caplog: pytest.LogCaptureFixture) -> None:
    """Also one that only some requests come to."""

    def fail(prompt: Prompt) -> Iterable[Any]:
        if prompt.options:
            raise RuntimeError
        return [TextDelta("hi"), Finish("stop")]

    with fuzzed_server(ScriptedUpstream(fail)) as url:
        fuzzer = Fuzzer(url)
        fuzzer.fuzz(fuzzer.operations["POST /v1/responses"], examples=20, number=1)
    assert ("POST /v1/responses", "status 500") in fuzzer.failures
