"""`docs/client.md` says what is so: its programs run, and its list of versions is the one that is tested."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.client.recording_server import RecordingServer
from tests.client.sdk_environments import ROOT
from tests.client.test_sdk_versions import VERSIONS

PAGE = (ROOT / "docs" / "client.md").read_text()
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_every_program_of_the_page_continues_its_first_turn(program: str, server: RecordingServer) -> None:
    settings = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "key"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    first, *others = server.bodies
    assert "previous_response_id" not in first
    assert others
    assert {body["previous_response_id"] for body in others} == {"chatcmpl-1"}


def test_the_versions_of_the_page_are_those_that_are_tested() -> None:
    section = PAGE.partition("## Versions")[2]

    assert re.findall(r"\d+\.\d+\.\d+", section) == VERSIONS
