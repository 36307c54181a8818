"""Starting the engine's process, and what happens when it dies; another process plays the engine."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from catena.embedded import EmbeddedEngine, EngineUnavailable
from catena.embedded.process import _how_it_ended
from catena.embedded.runtime import missing_instructions, why_not_imported

FAKE = Path(__file__).parent / "fake_child.py"
LIMIT = 20.0

StartEngine = Callable[..., EmbeddedEngine]


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
        try:
            assert await self._reader.read() == b""
        except ConnectionError:
            pass
        self._writer.close()

    async def hang_up(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


@pytest.fixture
def behaviour(tmp_path: Path) -> Path:
    """The file that says how the next child behaves."""
    file = tmp_path / "behaviour"
    file.write_text("answers")
    return file


@pytest.fixture
async def engine(behaviour: Path, tmp_path: Path) -> AsyncIterator[EmbeddedEngine]:
    engine = make_engine(behaviour, tmp_path)
    async with asyncio.timeout(LIMIT):
        yield engine
        await engine.close()


def make_engine(behaviour: Path, folder: Path, *, patience: float = LIMIT) -> EmbeddedEngine:
    model = folder / "model.gguf"
    model.write_bytes(b"GGUF")
    command = [sys.executable, str(FAKE), str(behaviour)]
    return EmbeddedEngine(model, command=command, patience=patience)


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
    engine: EmbeddedEngine, behaviour: Path
) -> None:
    await engine.start()
    line = await Line.to(engine)
    await line.pid()
    behaviour.write_text("is unfit")
    waiting = await Line.to(engine)  # in the backlog: the child serves one at a time
    await line.crash()
    await waiting.broken()
    with pytest.raises(EngineUnavailable, match=r"It is too hot here\."):
        await engine.start()
    behaviour.write_text("answers")
    await engine.start()
    line = await Line.to(engine)
    assert await line.pid()
    await line.hang_up()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("is unfit", r"^It is too hot here\.$"),
        ("talks nonsense", "is not one: it said b'Hello"),
        ("complains", r"^The embedded engine ended with status 3 \(no such luck\)\.$"),
        ("dies", "illegal instruction: this CPU is too old"),
    ],
)
async def test_why_it_does_not_start_is_told(
    how: str, message: str, engine: EmbeddedEngine, behaviour: Path
) -> None:
    behaviour.write_text(how)
    with pytest.raises(EngineUnavailable, match=message) as failure:
        await engine.start()
    assert failure.value.http_status == 503


async def test_a_child_that_says_nothing_is_given_up(behaviour: Path, tmp_path: Path) -> None:
    behaviour.write_text("says nothing")
    engine = make_engine(behaviour, tmp_path, patience=0.05)
    async with asyncio.timeout(LIMIT):
        with pytest.raises(EngineUnavailable, match=r"was not ready after 0\.05 s"):
            await engine.start()
        await engine.close()


async def test_a_start_that_failed_is_tried_again(engine: EmbeddedEngine, behaviour: Path) -> None:
    behaviour.write_text("complains")
    with pytest.raises(EngineUnavailable):
        await engine.start()
    behaviour.write_text("answers")
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
    with pytest.raises(EngineUnavailable, match="cannot be started: .*No such file"):
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


async def test_closing_tells_those_who_wait_for_the_start(engine: EmbeddedEngine, behaviour: Path) -> None:
    behaviour.write_text("says nothing")
    starting = asyncio.create_task(engine.start())
    await asyncio.sleep(0)
    await engine.close()
    with pytest.raises(EngineUnavailable, match="was closed"):
        await starting


async def test_the_child_ends_when_the_server_is_killed(behaviour: Path, tmp_path: Path) -> None:
    server = textwrap.dedent(f"""
        import asyncio
        from pathlib import Path
        from tests.embedded.test_embedded_process import make_engine

        async def main():
            engine = make_engine(Path({str(behaviour)!r}), Path({str(tmp_path)!r}))
            await engine.start()
            print(engine.base_url, flush=True)
            await asyncio.Event().wait()

        asyncio.run(main())
    """)
    async with asyncio.timeout(LIMIT):
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
    run: Callable[[Awaitable[None]], None], behaviour: Path, tmp_path: Path
) -> None:
    async def life() -> None:
        engine = make_engine(behaviour, tmp_path)
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


def test_an_old_cpu_is_recognised() -> None:
    modern = "processor : 0\nflags\t\t: fpu sse avx2 fma f16c bmi1 bmi2\n"
    assert missing_instructions(modern) == []
    assert missing_instructions(modern.replace("avx2 fma", "avx")) == ["avx2", "fma"]
    assert missing_instructions("Features : asimd\n") == []


def test_a_missing_system_library_is_told_with_the_command_that_installs_it() -> None:
    complaint = "libgomp.so.1: cannot open shared object file: No such file or directory"
    assert "apt-get install -y libgomp1" in why_not_imported(complaint)
    assert why_not_imported("oh") == "The embedded engine cannot be loaded: oh"
