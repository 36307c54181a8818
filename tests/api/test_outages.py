"""The database goes away while a server works, and comes back or not."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from msgspec.structs import replace
from openai import APIStatusError

from catena.chunks import Finish, TextDelta, UsageReport
from catena.config import Config, StoreSettings, StreamSettings
from catena.errors import StoreUnavailable
from catena.history import History
from catena.prefix import PrefixCache
from catena.runs import Runs
from catena.store import Turn
from catena.store.postgres import PostgresStore
from catena.upstream.routing import Route, Router
from catena.upstream.scripted import ScriptedUpstream
from catena.worker import Worker
from tests.pipe import Pipe, running_pipe
from tests.postgres import TestDatabase
from tests.running import LIMIT, RunningServer, running_server
from tests.store.turns import running


class Gate:
    """An engine that says a word, waits to be let on, and says others."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.engine = ScriptedUpstream(self.script)

    def script(self, _: Any) -> Any:
        yield TextDelta("half ")
        yield self.open
        for number in range(5):
            yield TextDelta(f"more{number} ")
        yield UsageReport(1, 2)
        yield Finish("stop")


class Away:
    """A server, its engine, and the way to its database."""

    def __init__(self, server: RunningServer, gate: Gate, pipe: Pipe) -> None:
        self.server = server
        self.gate = gate
        self.pipe = pipe


@contextlib.asynccontextmanager
async def behind_a_pipe(postgres: TestDatabase, outage: float, **streams: Any) -> AsyncIterator[Away]:
    await postgres.empty()
    (socket,) = parse_qs(urlsplit(postgres.url).query)["host"]
    gate = Gate()
    config = Config(store=StoreSettings(outage_seconds=outage), streams=StreamSettings(**streams))
    with tempfile.TemporaryDirectory(prefix="catena-") as folder:  # names of sockets must be short
        async with running_pipe(Path(folder), Path(socket)) as pipe:
            url = postgres.url.replace(socket, folder)
            store = await PostgresStore.open(replace(postgres.settings, url=url, timeout=1.0))
            serving = running_server(Path("nowhere"), store=store, engine=gate.engine, config=config)
            async with serving as server, asyncio.timeout(LIMIT):
                yield Away(server, gate, pipe)
                gate.open.set()
                await pipe.mend()


async def begun(stream: Any) -> tuple[str, list[Any]]:
    events = []
    async for event in stream:
        events.append(event)
        if event.type == "response.output_text.delta":
            return events[0].response.id, events
    raise AssertionError


@pytest.mark.parametrize("how", ["cut", "block"])
async def test_a_stream_waits_for_its_database_and_is_told_whole_when_that_is_back(
    postgres: TestDatabase, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What it tells is on record before, so that another server can tell it again."""
    async with behind_a_pipe(postgres, outage=LIMIT, wait_for_log=True) as away:
        stream = await away.server.client.responses.create(model="m", input="hi", stream=True)
        response_id, events = await begun(stream)
        if how == "cut":
            await away.pipe.cut()
        else:
            away.pipe.block()
        away.gate.open.set()
        while "the log of" not in caplog.text:
            await asyncio.sleep(0.01)
        await away.pipe.mend()
        events += [event async for event in stream]
        assert events[-1].type == "response.completed"
        stored = await away.server.client.responses.retrieve(response_id)
        assert stored.model_dump() == events[-1].response.model_dump()
        assert stored.output_text == "half more0 more1 more2 more3 more4 "


@pytest.mark.parametrize("log_seconds", [0.0, 0.1])
@pytest.mark.parametrize("how", ["cut", "block"])
async def test_a_stream_goes_on_without_its_database_and_is_stored_when_that_is_back(
    postgres: TestDatabase, how: str, log_seconds: float
) -> None:
    async with behind_a_pipe(postgres, outage=LIMIT, log_seconds=log_seconds) as away:
        stream = await away.server.client.responses.create(model="m", input="hi", stream=True)
        response_id, events = await begun(stream)
        if how == "cut":
            await away.pipe.cut()
        else:
            away.pipe.block()
        away.gate.open.set()
        while events[-1].type != "response.output_text.delta" or "more4" not in events[-1].delta:
            events.append(await anext(stream))  # the database is away all the time
        await away.pipe.mend()
        events += [event async for event in stream]
        assert events[-1].type == "response.completed"
        stored = await away.server.client.responses.retrieve(response_id)
        assert stored.model_dump() == events[-1].response.model_dump()


async def test_a_stream_that_cannot_be_stored_in_time_fails_and_is_never_told_as_completed(
    postgres: TestDatabase,
) -> None:
    async with behind_a_pipe(postgres, outage=0.0, wait_for_log=True) as away:
        stream = await away.server.client.responses.create(model="m", input="hi", stream=True)
        response_id, events = await begun(stream)
        await away.pipe.cut()
        away.gate.open.set()
        with pytest.raises(Exception, match="could not be"):
            async for event in stream:
                events.append(event)
        assert "response.completed" not in [event.type for event in events]
        await away.pipe.mend()
        while (stored := await away.server.client.responses.retrieve(response_id)).status == "in_progress":
            pass
        assert (stored.status, stored.output_text) == ("failed", "half more0 ")


async def test_an_end_that_was_stored_without_an_answer_is_told_as_it_is_stored(
    postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    await postgres.empty()
    store = await PostgresStore.open(postgres.settings)
    finish, silent = store.finish, [True]

    async def finish_in_silence(turn: Turn, *, notify_at: float | None = None) -> None:
        await finish(turn, notify_at=notify_at)
        if silent:
            silent.clear()
            raise StoreUnavailable

    monkeypatch.setattr(store, "finish", finish_in_silence)
    config = Config(store=StoreSettings(outage_seconds=0.0))
    async with running_server(Path("nowhere"), store=store, config=config) as server, asyncio.timeout(LIMIT):
        stream = await server.client.responses.create(model="m", input="hi", stream=True)
        events: list[Any] = [event async for event in stream]
        stored = await server.client.responses.retrieve(events[0].response.id)
        assert (events[-1].type, stored.status, silent) == ("response.completed", "completed", [])
        assert stored.model_dump() == events[-1].response.model_dump()
        assert [event.sequence_number for event in events] == list(range(len(events)))


@pytest.mark.parametrize("how", ["cut", "block"])
async def test_requests_are_told_to_come_back(postgres: TestDatabase, how: str) -> None:
    async with behind_a_pipe(postgres, outage=0.0) as away:
        away.gate.open.set()
        client = away.server.client.responses
        made = await client.create(model="m", input="hi")
        if how == "cut":
            await away.pipe.cut()
        else:
            away.pipe.block()
        for asked in (
            client.create(model="m", input="hi"),
            client.create(model="m", input="hi", stream=True),
            client.create(model="m", input="hi", background=True),
            client.create(model="m", input="hi", previous_response_id="resp_" + made.id[5:]),
            client.retrieve(made.id),
            client.delete(made.id),
        ):
            with pytest.raises(APIStatusError) as error:
                await asked
            assert error.value.status_code == 503
            assert error.value.response.headers["retry-after"]
            assert error.value.body["code"] == "store_unavailable"  # type: ignore[index]  # an object
        await away.pipe.mend()
        assert (await client.retrieve(made.id)).id == made.id
        assert (
            await client.create(model="m", input="hi", previous_response_id=made.id)
        ).status == "completed"


async def test_a_server_that_slept_leaves_others_the_time_to_renew_before_it_takes_what_seems_left(
    postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stood still may have been the database: then nobody's leases say anything."""
    await postgres.empty()
    store, other = [await PostgresStore.open(postgres.settings) for _ in range(2)]
    slept = 0.0
    left, renewed, claimed = asyncio.Event(), asyncio.Event(), asyncio.Event()
    sleep, claim = asyncio.sleep, store.claim

    async def sleep_until_renewed(seconds: float) -> None:
        if seconds != 3.0:
            await sleep(seconds)
        else:
            left.set()
            await renewed.wait()

    async def claim_and_tell(*arguments: Any, **options: Any) -> Any:
        claims = await claim(*arguments, **options)
        claimed.set()
        return claims

    runs = Runs(
        store,
        Router({}, Route(Gate().engine)),
        History(store, PrefixCache(1000)),
        clock=lambda: time.time() + slept,
    )
    worker = Worker(runs)
    await worker.start()
    monkeypatch.setattr("catena.worker.asyncio.sleep", sleep_until_renewed)
    monkeypatch.setattr(store, "claim", claim_and_tell)
    try:
        async with asyncio.timeout(LIMIT):
            turn = running()
            await other.begin(turn, owner="other", lease=60)
            await postgres.run("UPDATE turns SET lease_until = now() - interval '1 second'")
            slept = 3600.0
            runs.queued.set()
            await left.wait()
            assert await other.renew("other", 60, [turn.id]) == [turn.id]
            claimed.clear()
            renewed.set()
            await claimed.wait()
            assert await other.renew("other", 60, [turn.id]) == [turn.id]
    finally:
        await worker.stop()
        await runs.close()
        await store.close()
        await other.close()
