from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.client.recording_server import RecordingServer


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "CATENA_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[RecordingServer]:
    with RecordingServer() as recording:
        thread = threading.Thread(target=recording.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield recording
        recording.shutdown()
        thread.join()
