"""Starting the engine's process, and what happens when it dies; another process plays the engine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path

import pytest
import uvloop

from catena.embedded import EmbeddedEngine, EngineUnavailable
from catena.embedded.process import _how_it_ended

FAKE = Path(__file__).parent / "fake_child.py"
LIMIT = 20.0

Behave = Callable[[str], None]


class Line:
    """A connection to the fake child."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def to(cls, engine: EmbeddedEngine) -> Line:
        port = int(engine.base_url.removesuffix("/v1").rpartition(":")[2])
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def pid(self) -> int:
        return int(await self._reader.readline())

    async def crash(self) -> None:
        self._writer.write(b"crash")
        await self.broken()

    async def broken(self) -> None:
        """Wait until the other end is gone."""
        with contextlib.suppress(ConnectionError):
            assert await self._reader.read() == b""
        self._writer.close()

    async def hang_up(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


@pytest.fixture
def behave(tmp_path: Path) -> Behave:
    """Says how the children behave that are started from now on."""

    def behave(how: str) -> None:
        (tmp_path / "behaviour").write_text(how)

    behave("answers")
    return behave


@pytest.fixture(autouse=True)
async def limit() -> AsyncIterator[None]:
    """No test waits for ever, whatever it waits for."""
    loop = asyncio.get_running_loop()
    watchdog = loop.call_later(LIMIT, lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
    yield
    watchdog.cancel()


@pytest.fixture
async def engine(behave: Behave, tmp_path: Path) -> AsyncIterator[EmbeddedEngine]:
    engine = make_engine(tmp_path)
    yield engine
    await engine.close()


def make_engine(folder: Path, *, patience: float = LIMIT) -> EmbeddedEngine:
    (folder / "model.gguf").write_bytes(b"GGUF")
    command = [sys.executable, str(FAKE), str(folder / "behaviour")]
    return EmbeddedEngine(folder / "model.gguf", command=command, patience=patience)


async def test_a_started_engine_answers_at_its_address(engine: EmbeddedEngine) -> None:
    await engine.start()
    line = await Line.to(engine)
    pid = await line.pid()
    assert pid != os.getpid()
    await line.hang_up()


async def test_starting_twice_starts_one_child(engine: EmbeddedEngine) -> None:
    await asyncio.gather(engine.start(), engine.start())
    await engine.start()
    first = await Line.to(engine)
    pid = await first.pid()
    await first.hang_up()
    second = await Line.to(engine)
    assert await second.pid() == pid
    await second.hang_up()


async def test_a_crash_breaks_the_connection_and_the_next_one_waits_for_the_next_child(
    engine: EmbeddedEngine,
) -> None:
    await engine.start()
    before = engine.base_url
    first = await Line.to(engine)
    pid = await first.pid()
    await first.crash()
    second = await Line.to(engine)
    assert await second.pid() != pid
    assert engine.base_url == before
    await engine.start()
    await second.hang_up()


async def test_it_is_started_again_as_often_as_it_dies(
    engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catena.embedded.process._PAUSES", (0.0, 0.01))
    await engine.start()
    pids = set()
    for _ in range(4):
        line = await Line.to(engine)
        pids.add(await line.pid())
        await line.crash()
    assert len(pids) == 4


async def test_an_engine_that_cannot_start_again_turns_away_who_waits_and_tells_who_asks(
    engine: EmbeddedEngine, behave: Behave
) -> None:
    await engine.start()
    line = await Line.to(engine)
    await line.pid()
    behave("is unfit")
    waiting = await Line.to(engine)  # in the backlog: the child serves one at a time
    await line.crash()
    await waiting.broken()
    with pytest.raises(EngineUnavailable, match=r"It is too hot here\."):
        await engine.start()
    behave("answers")
    await engine.start()
    line = await Line.to(engine)
    assert await line.pid()
    await line.hang_up()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("is unfit", r"^It is too hot here\.$"),
        ("talks nonsense", "first word is not understood: JSON is malformed"),
        ("complains", r"^The embedded engine ended with status 3 \(no such luck\)\.$"),
        ("dies", "illegal instruction: this CPU is too old"),
    ],
)
async def test_why_it_does_not_start_is_told(
    how: str, message: str, engine: EmbeddedEngine, behave: Behave
) -> None:
    behave(how)
    with pytest.raises(EngineUnavailable, match=message) as failure:
        await engine.start()
    assert failure.value.http_status == 503


async def test_a_child_that_says_nothing_is_given_up(behave: Behave, tmp_path: Path) -> None:
    behave("says nothing")
    engine = make_engine(tmp_path, patience=0.05)
    with pytest.raises(EngineUnavailable, match=r"was not ready after 0\.05 s"):
        await engine.start()
    await engine.close()


async def test_a_start_that_failed_is_tried_again(engine: EmbeddedEngine, behave: Behave) -> None:
    behave("complains")
    with pytest.raises(EngineUnavailable):
        await engine.start()
    behave("answers")
    await engine.start()


async def test_missing_weights_are_told_with_the_command_that_fetches_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATENA_CACHE", str(tmp_path))
    engine = EmbeddedEngine()
    with pytest.raises(EngineUnavailable, match="catena model pull"):
        await engine.start()
    await engine.close()


async def test_a_model_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path / "absent.gguf")
    with pytest.raises(EngineUnavailable, match=r"There is no model file .*absent\.gguf"):
        await engine.start()
    await engine.close()


async def test_a_command_that_does_not_exist_is_told(tmp_path: Path) -> None:
    engine = EmbeddedEngine(Path(__file__), command=[str(tmp_path / "absent")])
    with pytest.raises(EngineUnavailable, match=r"cannot be started: .*No such file"):
        await engine.start()
    await engine.close()


async def test_closing_ends_the_child(engine: EmbeddedEngine) -> None:
    await engine.start()
    line = await Line.to(engine)
    pid = await line.pid()
    await engine.close()
    await line.broken()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("steps", [1, 2, 3])
async def test_closing_tells_those_who_wait_for_the_start(
    steps: int, engine: EmbeddedEngine, behave: Behave
) -> None:
    behave("says nothing")
    starting = asyncio.create_task(engine.start())
    for _ in range(steps):  # of the loop: before and after the child's life begins
        await asyncio.sleep(0)
    await engine.close()
    for waiting in (starting, engine.start()):
        with pytest.raises(EngineUnavailable, match="was closed"):
            await waiting


async def test_the_child_ends_when_the_server_is_killed(behave: Behave, tmp_path: Path) -> None:
    server = textwrap.dedent(f"""
        import asyncio
        from pathlib import Path
        from tests.embedded.test_embedded_process import make_engine

        async def main():
            engine = make_engine(Path({str(tmp_path)!r}))
            await engine.start()
            print(engine.base_url, flush=True)
            await asyncio.Event().wait()

        asyncio.run(main())
    """)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", server, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert process.stdout is not None
    port = int((await process.stdout.readline()).removesuffix(b"/v1\n").rpartition(b":")[2])
    line = Line(*await asyncio.open_connection("127.0.0.1", port))
    await line.pid()
    process.kill()
    await process.wait()
    await line.broken()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_it_works_on_every_loop_and_in_every_thread(
    run: Callable[[Coroutine[None, None, None]], None], behave: Behave, tmp_path: Path
) -> None:
    async def life() -> None:
        engine = make_engine(tmp_path)
        async with asyncio.timeout(LIMIT):
            await engine.start()
            line = await Line.to(engine)
            await line.pid()
            await line.crash()
            await engine.start()
            await engine.close()

    async def in_a_thread() -> None:
        await asyncio.to_thread(run, life())

    asyncio.run(in_a_thread())


def test_how_a_child_ended_is_told_in_words() -> None:
    assert _how_it_ended(-signal.SIGSEGV) == "died of SIGSEGV"
    assert "needs more memory" in _how_it_ended(-signal.SIGKILL)
    assert _how_it_ended(0) == "ended with status 0"
