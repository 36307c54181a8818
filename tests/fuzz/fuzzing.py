"""A server of its own in a thread, and one case after another sent to it."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok

from catena.config import Config, FileSettings, WebhookSettings
from catena.upstream.scripted import ScriptedUpstream
from tests.running import running_server

__all__ = ["Fuzzer", "fuzzed_server"]

SECONDS: Final = 20.0
"""After which an answer that has not come is taken for one that never comes."""

EXPECTED: Final = ("invalid_structured_output",)
"""Faults of an engine that does not know the form that it is asked for, as the scripted one."""

CHECKS: Final = ("status_code_conformance", "content_type_conformance", "response_schema_conformance")


_IN_BODIES: Final = {
    "model": "model",
    "previous_response_id": "response_id",
    "conversation": "conversation_id",
}


@contextlib.contextmanager
def fuzzed_server(engine: ScriptedUpstream | None = None) -> Iterator[str]:
    """The URL of a server in a thread, which fetches nothing from outside."""
    ready, over = threading.Event(), asyncio.Event()
    found: dict[str, Any] = {}

    async def serve(folder: str) -> None:
        config = Config(files=FileSettings(fetch=False), webhooks=WebhookSettings(allow_private=True))
        async with running_server(Path(folder) / "fuzzed.sqlite3", config=config, engine=engine) as server:
            found.update(url=server.url, loop=asyncio.get_running_loop())
            ready.set()
            await over.wait()

    with tempfile.TemporaryDirectory() as folder:
        thread = threading.Thread(target=asyncio.run, args=[serve(folder)])
        thread.start()
        try:
            assert ready.wait(SECONDS)
            yield found["url"]
        finally:
            found["loop"].call_soon_threadsafe(over.set)
            thread.join()


class Fuzzer:
    """Sends cases for every operation of the document that a server publishes; `failures` are those that failed, by
    the operation and what was wrong, with the first such case. `change` may alter the document before it is used."""

    def __init__(self, url: str, *, change: Callable[[Any], None] = lambda document: None) -> None:
        self.cases = 0
        self.statuses: Counter[int] = Counter()
        self.failures: dict[tuple[str, str], str] = {}
        self._url = url
        self._session = requests.Session()
        document = self._session.get(f"{url}/openapi.json", timeout=SECONDS).json()
        change(document)
        self._schema = schemathesis.openapi.from_dict(document)
        self._there: dict[str, str] = {}
        load_all_checks()
        self._checks = [schemathesis.checks.CHECKS.get_one(name) for name in CHECKS]

    @property
    def operations(self) -> dict[str, Any]:
        """Every operation by its label, for instance `GET /v1/models`."""
        found: dict[str, Any] = {}
        for each in self._schema.get_all_operations():
            assert isinstance(each, Ok), each.err()
            found[each.ok().label] = each.ok()
        return found

    def fuzz(self, operation: Any, *, examples: int, number: int) -> None:
        """Send cases that fit the schema and cases that do not, the same for the same `number`.

        Every other one is about things that are there, as ids are never guessed.
        """
        self._there = self._made(background="cancel" in operation.label)
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            try:
                strategy = operation.as_strategy(generation_mode=mode)
            except Exception as error:
                self.failures[operation.label, type(error).__name__] = str(error)
                continue

            @seed(number)
            @given(strategy)
            @settings(
                max_examples=examples,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            def send(case: Any) -> None:
                self._send(operation.label, case)

            send()

    def _send(self, label: str, case: Any) -> None:
        self.cases += 1
        if self.cases % 2:
            self._point_at_what_is_there(case)
        try:
            response = case.call(base_url=self._url, session=self._session, timeout=SECONDS)
        except requests.RequestException as error:
            self._fail(label, type(error).__name__, case, str(error))
            return
        self.statuses[response.status_code] += 1
        if response.status_code >= 500 and not _expected(response):
            self._fail(label, f"status {response.status_code}", case, response.text)
            return
        try:
            case.validate_response(response, checks=self._checks)
        except FailureGroup as group:
            for failure in group.exceptions:
                self._fail(
                    label,
                    getattr(failure, "title", str(failure)),
                    case,
                    f"{response.status_code} {response.text}",
                )

    def _made(self, *, background: bool) -> dict[str, str]:
        """Ids of one thing of each kind, by the names that they have in paths."""
        if "webhook_endpoint_id" in self._there:  # there may not be too many
            self._session.delete(
                f"{self._url}/v1/webhook_endpoints/{self._there['webhook_endpoint_id']}", timeout=SECONDS
            )
        said = {"model": "m", "input": "hi", "background": background}
        conversation = self._post("conversations", {"items": [{"role": "user", "content": "hi"}]})
        items = self._session.get(f"{self._url}/v1/conversations/{conversation}/items", timeout=SECONDS)
        messages = [{"role": "user", "content": "hi"}]
        hook = {"name": "n", "url": "http://127.0.0.1:9/", "event_types": ["response.failed"]}
        form = {"files": {"file": ("a.txt", b"text")}, "data": {"purpose": "user_data"}}
        return {
            "response_id": self._post("responses", said),
            "completion_id": self._post(
                "chat/completions", {"model": "m", "messages": messages, "store": True}
            ),
            "conversation_id": conversation,
            "item_id": items.json()["data"][0]["id"],
            "webhook_endpoint_id": self._post("webhook_endpoints", hook),
            "file_id": self._posted("files", **form),
            "model": "scripted-1",
        }

    def _post(self, path: str, body: dict[str, Any]) -> str:
        return self._posted(path, json=body)

    def _posted(self, path: str, **sent: Any) -> str:
        response = self._session.post(f"{self._url}/v1/{path}", timeout=SECONDS, **sent)
        assert response.status_code == 200, response.text
        return str(response.json()["id"])

    def _point_at_what_is_there(self, case: Any) -> None:
        for name in case.path_parameters or {}:
            case.path_parameters[name] = self._there.get(name, case.path_parameters[name])
        if isinstance(case.body, dict):
            for name, kind in _IN_BODIES.items():
                if isinstance(case.body.get(name), str):
                    case.body[name] = self._there[kind]

    def _fail(self, label: str, what: str, case: Any, told: str) -> None:
        if (label, what) not in self.failures:
            self.failures[label, what] = f"{case.as_curl_command()[:1500]}\n→ {told[:600]}"


def _expected(response: Any) -> bool:
    try:
        return response.json()["error"]["code"] in EXPECTED
    except (ValueError, KeyError, TypeError):
        return False
