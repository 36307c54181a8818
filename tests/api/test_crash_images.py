"""What a server finds that starts where another was killed: exact moments, each frozen as a copy of the files."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from catena.chunks import Finish, TextDelta, UsageReport
from catena.config import BackgroundSection, Config
from catena.sse import Decoder
from catena.store.rows import key_of
from catena.upstream import Prompt
from catena.upstream.scripted import ScriptedUpstream
from tests.light import exchange
from tests.running import LIMIT, RunningServer, StartServer

STOPPED = "The server stopped before the response was finished."
ONE_AT_ONCE = Config(background=BackgroundSection(concurrency=1))


class Gate:
    """An engine that says a word, waits to be let on, and says another."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.engine = ScriptedUpstream(self.script)

    def script(self, _: Prompt) -> Any:
        yield TextDelta("half ")
        yield self.open
        yield TextDelta("done")
        yield UsageReport(1, 2)
        yield Finish("stop")


class Told:
    """Hears a stream, as far as it comes."""

    def __init__(self, server: RunningServer, body: dict[str, Any]) -> None:
        self.events: list[Any] = []
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._hear(server, body))

    @property
    def id(self) -> str:
        response_id: str = self.events[0]["response"]["id"]
        return response_id

    async def until(self, kind: str) -> None:
        async with asyncio.timeout(LIMIT):
            while not self.events or self.events[-1]["type"] != kind:
                await self._changed.wait()
                self._changed.clear()

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _hear(self, server: RunningServer, body: dict[str, Any]) -> None:
        async with exchange(server.url, "POST", "/v1/responses", body) as opened:
            async for event in opened.events():
                self.events.append(json.loads(event.data))
                self._changed.set()


def crash_image(folder: Path, name: str = "crashed", *, of: str = "catena") -> Path:
    """The files as they are in this moment, which is what a kill would leave."""
    for suffix in ("", "-wal"):
        shutil.copy(folder / f"{of}.sqlite3{suffix}", folder / f"{name}.sqlite3{suffix}")
    shutil.copytree(folder / f"{of}.sqlite3-logs", folder / f"{name}.sqlite3-logs")
    return folder / f"{name}.sqlite3"


async def post(server: RunningServer, text: str, **more: Any) -> dict[str, Any]:
    reply = await server.post("/responses", {"model": "m", "input": text, **more})
    assert reply.status_code == 200, reply.text
    response: dict[str, Any] = reply.json()
    return response


async def get(server: RunningServer, response_id: str) -> dict[str, Any]:
    response: dict[str, Any] = (await server.http.get(f"/responses/{response_id}")).json()
    return response


async def ended(server: RunningServer, response_id: str) -> dict[str, Any]:
    async with asyncio.timeout(LIMIT):
        while (response := await get(server, response_id))["status"] in ("queued", "in_progress"):
            pass
    return response


async def told_again(server: RunningServer, response_id: str, after: int | None = None) -> list[Any]:
    place = "" if after is None else f"&starting_after={after}"
    reply = await server.http.get(f"/responses/{response_id}?stream=true{place}")
    assert reply.status_code == 200, reply.text
    return [json.loads(event.data) for event in Decoder().feed(reply.content)]


def text_of(response: dict[str, Any]) -> str:
    return "".join(part["text"] for item in response["output"] for part in item["content"])


async def started(server: RunningServer, gate: Gate, number: int) -> None:
    async with asyncio.timeout(LIMIT):
        while len(gate.engine.prompts) < number:
            await asyncio.sleep(0)


@pytest.mark.parametrize("background", [False, True])
async def test_a_stream_that_was_cut_off_has_failed_with_all_that_was_told(
    start_server: StartServer, tmp_path: Path, background: bool
) -> None:
    gate = Gate()
    async with start_server(engine=gate.engine) as server:
        told = Told(server, {"model": "m", "input": "hi", "stream": True, "background": background})
        await told.until("response.output_text.delta")
        crash_image(tmp_path)
        await told.stop()
    async with start_server("crashed") as server:
        response = await get(server, told.id)
        assert (response["status"], text_of(response)) == ("failed", "half ")
        again = await told_again(server, told.id)
        *same, error, failed = again
        assert same == told.events
        assert [event["sequence_number"] for event in again] == list(range(len(again)))
        assert (error["type"], failed["type"]) == ("error", "response.failed")
        assert failed["response"] == response
        assert await told_again(server, told.id, after=len(told.events) - 1) == [error, failed]
        assert not server.engine.prompts
        await post(server, "on", previous_response_id=told.id)
        assert [each["content"] for each in server.seen()] == ["hi", "half ", "on"]


async def test_a_stream_whose_engine_had_said_everything_is_completed(
    start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start_server() as server:
        at_the_end, allowed = asyncio.Event(), asyncio.Event()

        async def finish(turn: Any, **more: Any) -> None:
            at_the_end.set()
            await allowed.wait()

        monkeypatch.setattr(server.store, "finish", finish)
        told = Told(server, {"model": "m", "input": "hi", "stream": True})
        try:
            async with asyncio.timeout(LIMIT):
                await at_the_end.wait()
            await told.until("response.output_text.delta")
            crash_image(tmp_path)
        finally:
            allowed.set()
            await told.stop()
    async with start_server("crashed") as server:
        response = await get(server, told.id)
        assert (response["status"], text_of(response)) == ("completed", "1: hi")
        assert response["usage"]["output_tokens"] == 2
        again = await told_again(server, told.id)
        assert again[: len(told.events)] == told.events
        assert again[-1] == {
            "type": "response.completed",
            "response": response,
            "sequence_number": len(again) - 1,
        }


async def test_what_waited_can_be_followed_cancelled_and_not_deleted_though_there_is_no_room_yet(
    start_server: StartServer, tmp_path: Path
) -> None:
    gate = Gate()
    async with start_server(engine=gate.engine, config=ONE_AT_ONCE) as server:
        first = await post(server, "one", background=True)
        await started(server, gate, 1)
        cut = Told(server, {"model": "m", "input": "in the foreground", "stream": True})
        followed = Told(server, {"model": "m", "input": "two", "stream": True, "background": True})
        await followed.until("response.queued")
        await cut.until("response.output_text.delta")
        third = await post(server, "three", background=True)
        crash_image(tmp_path)
        await cut.stop()
        await followed.stop()
    gate = Gate()
    async with start_server("crashed", engine=gate.engine, config=ONE_AT_ONCE) as server:
        await started(server, gate, 1)
        assert (await get(server, cut.id))["status"] == "failed"
        assert [(await get(server, each))["status"] for each in (followed.id, third["id"])] == ["queued"] * 2
        following = asyncio.create_task(told_again(server, followed.id))
        refused = await server.http.delete(f"/responses/{third['id']}")
        assert (refused.status_code, refused.json()["error"]["message"]) == (
            400,
            "Cannot delete an in-flight response.",
        )
        cancelled = await server.http.post(f"/responses/{third['id']}/cancel")
        assert cancelled.json()["status"] == "cancelled"
        gate.open.set()
        again = await following
        assert again[: len(followed.events)] == followed.events
        assert again[-1]["type"] == "response.completed"
        assert (await ended(server, first["id"]))["status"] == "completed"
        assert (await get(server, third["id"]))["status"] == "cancelled"
        assert len(gate.engine.prompts) == 2


async def test_a_run_is_begun_again_so_often_and_then_failed(
    start_server: StartServer, tmp_path: Path
) -> None:
    config = Config(background=BackgroundSection(tries=2))
    gate = Gate()
    async with start_server(engine=gate.engine, config=config) as server:
        queued = await post(server, "hi", background=True)
        await started(server, gate, 1)
        crash_image(tmp_path, "second")
    gate = Gate()
    async with start_server("second", engine=gate.engine, config=config) as server:
        await started(server, gate, 1)
        assert (await get(server, queued["id"]))["status"] == "in_progress"
        crash_image(tmp_path, "third", of="second")
    async with start_server("third", config=config) as server:
        response = await get(server, queued["id"])
        assert response["status"] == "failed"
        assert response["error"]["message"] == (
            "The response was begun 2 times, and the server stopped each time."
        )
        assert not server.engine.prompts


async def test_a_run_that_this_version_cannot_read_fails_and_holds_up_nobody(
    start_server: StartServer, tmp_path: Path
) -> None:
    gate = Gate()
    async with start_server(engine=gate.engine, config=ONE_AT_ONCE) as server:
        strange = await post(server, "strange", background=True)
        await started(server, gate, 1)
        good = await post(server, "good", background=True)
        image = crash_image(tmp_path)
    connection = sqlite3.connect(image)
    with connection:
        key = key_of(strange["id"])
        assert key is not None
        changed = connection.execute(
            "UPDATE turns SET request = CAST('{}' AS BLOB) WHERE tree = ? AND id = ?", key
        )
        assert changed.rowcount == 1
    connection.close()
    async with start_server("crashed") as server:
        assert (await get(server, strange["id"]))["status"] == "failed"
        assert (await ended(server, good["id"]))["status"] == "completed"


async def test_a_stream_in_the_background_that_was_told_is_not_begun_again_after_a_stop(
    start_server: StartServer,
) -> None:
    gate = Gate()
    async with start_server(engine=gate.engine) as server:
        told = Told(server, {"model": "m", "input": "hi", "stream": True, "background": True})
        await told.until("response.output_text.delta")
        await told.stop()
    async with start_server() as server:
        response = await get(server, told.id)
        assert (response["status"], text_of(response)) == ("failed", "half ")
        assert response["error"]["message"] == STOPPED
        assert (await told_again(server, told.id))[: len(told.events)] == told.events
        assert not server.engine.prompts
