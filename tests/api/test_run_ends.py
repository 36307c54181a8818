"""Ends of runs that meet something else: a second cancel, a worker, a store that fails, a machine that slept."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import pytest

from catena.chunks import Chunk, Finish, TextDelta
from catena.config import BackgroundSection, Config
from catena.errors import StoreUnavailable
from catena.history import History
from catena.planning import Order
from catena.prefix import PrefixCache
from catena.runs import Runs
from catena.sse import Decoder
from catena.store import Turn
from catena.store.sqlite import SqliteStore
from catena.taps import Tapped
from catena.upstream import Prompt
from catena.upstream.routing import Route, Router
from catena.upstream.scripted import ScriptedUpstream
from catena.wire.request import CreateRequest
from catena.worker import Worker
from tests.light import exchange
from tests.running import LIMIT, RunningServer, StartServer, until


async def status_of(server: RunningServer, response_id: str) -> str:
    status: str = (await server.http.get(f"/responses/{response_id}")).json()["status"]
    return status


async def ended(server: RunningServer, response_id: str) -> dict[str, Any]:
    async with asyncio.timeout(LIMIT):
        while await status_of(server, response_id) in ("queued", "in_progress"):
            pass
    response: dict[str, Any] = (await server.http.get(f"/responses/{response_id}")).json()
    return response


async def begin(server: RunningServer, text: str = "hi", **more: Any) -> str:
    response_id: str = (await server.post("/responses", {"model": "m", "input": text, **more})).json()["id"]
    return response_id


class Gate:
    """An engine that says a word, waits to be let on, and says another."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.engine = ScriptedUpstream(self.script)

    def script(self, _: Prompt) -> Any:
        yield TextDelta("half ")
        yield self.open
        yield TextDelta("done")
        yield Finish("stop")


class Finishing:
    """Holds up, or fails, the storing of ends: of all, or of `only` one."""

    def __init__(self, server: RunningServer, monkeypatch: pytest.MonkeyPatch, only: str = "") -> None:
        self.only = only
        self.begun = asyncio.Event()
        self.allowed = asyncio.Event()
        self.fails = False
        self._finish = server.store.finish
        monkeypatch.setattr(server.store, "finish", self.finish)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.allowed.set()

    async def finish(self, turn: Turn, **more: Any) -> None:
        if self.only in ("", turn.id):
            self.begun.set()
            await self.allowed.wait()
            if self.fails:
                raise StoreUnavailable
        await self._finish(turn, **more)


class SlowToLeave(ScriptedUpstream):
    """An engine that needs a moment when its answer is given up."""

    def __init__(self) -> None:
        super().__init__(self.words)
        self.leaving = asyncio.Event()
        self.may_leave = asyncio.Event()
        self.left = False

    def words(self, _: Prompt) -> Any:
        yield TextDelta("half ")
        yield asyncio.Event()

    async def stream(self, prompt: Prompt) -> Tapped[Sequence[Chunk]]:
        try:
            async for chunks in super().stream(prompt):
                yield chunks
        finally:
            self.leaving.set()
            await self.may_leave.wait()
            self.left = True


async def test_a_second_cancel_does_not_break_into_the_first(start_server: StartServer) -> None:
    engine = SlowToLeave()
    async with start_server(engine=engine) as server, asyncio.timeout(LIMIT):
        response_id = await begin(server, background=True)
        await until(lambda: engine.prompts)
        path = f"/responses/{response_id}/cancel"
        first = asyncio.create_task(server.http.post(path))
        await engine.leaving.wait()
        second = asyncio.create_task(server.http.post(path))
        await server.http.get("/models")  # by now the second has arrived too
        engine.may_leave.set()
        replies = [(await first).json(), (await second).json()]
        assert [reply["status"] for reply in replies] == ["cancelled", "cancelled"]
        assert engine.left


async def test_nobody_hears_of_an_end_before_it_is_stored(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start_server() as server, asyncio.timeout(LIMIT):
        with Finishing(server, monkeypatch) as finishing:
            response_id = await begin(server, background=True, stream=False)
            await finishing.begun.wait()
            polled = (await server.http.get(f"/responses/{response_id}")).json()
            assert (polled["status"], polled["completed_at"], polled["usage"]) == ("in_progress", None, None)
            cancelling = asyncio.create_task(server.http.post(f"/responses/{response_id}/cancel"))
            finishing.allowed.set()
            done = await ended(server, response_id)
            assert done["status"] == "completed"
            assert (await cancelling).json() == done


async def test_an_end_that_could_not_be_stored_is_a_failure_and_is_stored_later(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start_server() as server, asyncio.timeout(LIMIT):
        with Finishing(server, monkeypatch) as finishing:
            finishing.fails = True
            finishing.allowed.set()
            reply = await server.post("/responses", {"model": "m", "input": "hi", "stream": True})
            told = json.loads(Decoder().feed(reply.content)[-1].data)
            response_id, error = told["response"]["id"], told["response"]["error"]
            assert told["type"] == "response.failed"
            assert error["message"] == str(StoreUnavailable())
            assert await status_of(server, response_id) == "in_progress"
            finishing.fails = False
            await begin(server, background=True)  # which wakes the worker
            failed = await ended(server, response_id)
            assert (failed["status"], failed["error"]) == ("failed", error)
            below = {"model": "m", "input": "on", "previous_response_id": response_id}
            assert (await server.post("/responses", below)).status_code == 200


async def test_what_waits_is_cancelled_or_taken_up_but_never_both(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    config = Config(background=BackgroundSection(concurrency=2))
    async with start_server(engine=gate.engine, config=config) as server, asyncio.timeout(LIMIT):
        first = [await begin(server, name, background=True) for name in ("one", "another")]
        await until(lambda: len(gate.engine.prompts) == 2)
        body = {"model": "m", "input": "two", "background": True, "stream": True}
        async with exchange(server.url, "POST", "/v1/responses", body) as opened:
            events = opened.events()
            second = json.loads((await anext(events)).data)["response"]["id"]
            with Finishing(server, monkeypatch, only=second) as finishing:
                cancelling = asyncio.create_task(server.http.post(f"/responses/{second}/cancel"))
                await finishing.begun.wait()
                gate.open.set()
                for each in first:
                    assert (await ended(server, each))["status"] == "completed"
                for _ in range(3):  # there is room now for one that waits, and the worker has looked for it
                    await server.http.get("/models")
            assert (await cancelling).json()["status"] == "cancelled"
            told = [json.loads(event.data) async for event in events]
            assert [(each["type"], each["response"]["status"]) for each in told] == [
                ("response.queued", "queued"),
                ("response.failed", "cancelled"),
            ]
        third = await begin(server, "three", background=True)
        assert (await ended(server, third))["status"] == "completed"
        assert len(gate.engine.prompts) == 3


async def test_a_machine_that_slept_does_not_take_its_own_runs_for_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its leases are over when it wakes, and its worker may be the first to notice."""
    slept = 0.0

    gate = Gate()
    store = await SqliteStore.open(tmp_path / "catena.sqlite3")
    monkeypatch.setattr("catena.store.sqlite.leases.time.time", lambda real=time.time: real() + slept)
    history = History(store, PrefixCache(1000))
    runs = Runs(store, Router({}, Route(gate.engine)), history, clock=lambda: time.time())
    worker = Worker(runs)
    await worker.start()
    try:
        async with asyncio.timeout(LIMIT):
            plan = await runs.plan("p", Order(request=CreateRequest(model="m", input="hi", stream=True)))
            run = runs.begin(plan)
            run.start()
            await run.feed.reaches(3)
            slept = 3600.0
            request = CreateRequest(model="m", input="two", background=True)
            woken = await runs.submit(await runs.plan("p", Order(request=request)))
            gate.open.set()
            await woken.feed.finished()
            await run.feed.finished()
            stored = await store.load("p", run.response.id)
            assert stored is not None
            assert stored.status == "completed"
            assert len(gate.engine.prompts) == 2
    finally:
        await worker.stop()
        await runs.close()
        await store.close()
