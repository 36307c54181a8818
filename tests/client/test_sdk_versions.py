"""The drop-in works with the SDK of any age: the same script in one environment for each version."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from tests.client.recording_server import RecordingServer
from tests.client.sdk_environments import ROOT, NoEnvironmentError, python_with

VERSIONS = ["1.66.0", "1.91.0", "1.109.1", "2.0.0", "2.54.0", "3.0.0", "3.51.0"]
PARSES_IN_CHAT_SINCE = (1, 92)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_form_of_a_call_sends_the_id_and_reads_it_back(version: str, server: RecordingServer) -> None:
    try:
        python = python_with(version)
    except NoEnvironmentError as why:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no environment with openai {version}: {why}")

    done = subprocess.run(
        [python, "-W", "error::ResourceWarning", str(ROOT / "tests/client/matrix_script.py")],
        env={
            "OPENAI_BASE_URL": server.base_url,
            "OPENAI_API_KEY": "key",
            "PYTHONPATH": str(ROOT / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert said["openai"] == version
    assert sorted(request.question for request in server.requests) == sorted(said["forms"])
    assert {request.body["previous_response_id"] for request in server.requests} == {"chatcmpl-parent"}
    in_chat = {"chat parse", "chat parse raw", "chat stream", "async chat parse", "async chat stream"}
    new_enough = tuple(map(int, version.split(".")[:2])) >= PARSES_IN_CHAT_SINCE
    assert (in_chat & set(said["forms"])) == (in_chat if new_enough else set())
