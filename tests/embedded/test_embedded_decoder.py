"""The native runtime's chunks as an async generator; a module of the same shape plays the runtime."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from catena.embedded.decoder import Accepted, Decoded, Done, LlamaDecoder, Piece
from catena.embedded.runtime import Unfit
from catena.errors import BadRequest, CatenaError

HELLO = [{"role": "user", "content": "Hello"}]

Callback = Callable[[bytes], bool]


class FakeRuntime(ModuleType):
    """What `import xllamacpp` gives. `work` is what a chat completion does."""

    work: Callable[[dict[str, Any], Callback], None]

    def __init__(self) -> None:
        super().__init__("xllamacpp")
        self.params: Any = None
        self.calls = 0

    def CommonParams(self) -> Any:  # noqa: N802 - the runtime's own name
        return SimpleNamespace(
            model=SimpleNamespace(), cpuparams=SimpleNamespace(), cpuparams_batch=SimpleNamespace()
        )

    def Server(self, params: Any) -> FakeRuntime:  # noqa: N802 - the runtime's own name
        if "broken" in params.model.path:
            raise RuntimeError("Failed to init server")
        self.params = params
        return self

    def handle_chat_completions(self, body: bytes, callback: Callback) -> None:
        self.calls += 1
        self.work(json.loads(body), callback)


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> FakeRuntime:
    fake = FakeRuntime()
    monkeypatch.setitem(sys.modules, "xllamacpp", fake)
    monkeypatch.setattr("catena.embedded.runtime._require", lambda _: None)
    monkeypatch.setenv("OMP_WAIT_POLICY", "untouched")
    return fake


@pytest.fixture
def decoder(runtime: FakeRuntime) -> LlamaDecoder:
    return LlamaDecoder(Path("model.gguf"), context=100)


def chunk(**fields: Any) -> bytes:
    return json.dumps({"object": "chat.completion.chunk", "choices": [], **fields}).encode()


def said(text: str | None, finish_reason: str | None = None, **fields: Any) -> bytes:
    return chunk(choices=[{"delta": {"content": text}, "finish_reason": finish_reason, **fields}])


PROGRESS = chunk(
    choices=[{"delta": {"role": "assistant", "content": None}, "finish_reason": None}],
    prompt_progress={"total": 9, "processed": 3},
)
END = [
    said(None, "length"),
    chunk(usage={"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 3}}),
]


def telling(*chunks: bytes) -> Callable[[dict[str, Any], Callback], None]:
    def work(_: dict[str, Any], callback: Callback) -> None:
        for chunk in chunks:
            callback(chunk)

    return work


async def all_of(decoder: LlamaDecoder, **options: Any) -> list[Decoded]:
    async with asyncio.timeout(5):
        return [event async for event in decoder.decode(HELLO, options)]


async def test_chunks_become_events(runtime: FakeRuntime, decoder: LlamaDecoder) -> None:
    bodies = []

    def work(body: dict[str, Any], callback: Callback) -> None:
        bodies.append(body)
        telling(PROGRESS, said(None), said("He", logprobs={"content": []}), said("llo"), *END)(body, callback)

    runtime.work = work
    assert await all_of(decoder, max_tokens=2) == [
        Accepted(),
        Piece("He", logprobs={"content": []}),
        Piece("llo"),
        Done("length", prompt_tokens=9, completion_tokens=2, cached_tokens=3),
    ]
    (body,) = bodies
    assert (body["messages"], body["max_tokens"]) == (HELLO, 2)
    assert body["stream"] is body["return_progress"] is True


async def test_thoughts_are_told_apart_from_text(runtime: FakeRuntime, decoder: LlamaDecoder) -> None:
    thought = chunk(choices=[{"delta": {"reasoning_content": "Hm."}}])
    runtime.work = telling(thought, *END)
    assert (await all_of(decoder))[0] == Piece(reasoning="Hm.")


async def test_a_prompt_that_is_too_long_is_a_bad_request(
    runtime: FakeRuntime, decoder: LlamaDecoder
) -> None:
    error = {"code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": 120, "n_ctx": 100}
    runtime.work = telling(json.dumps({"error": {**error, "message": "too long"}}).encode())
    with pytest.raises(
        BadRequest, match="maximum context length is 100 tokens, but the messages come to 120"
    ):
        await all_of(decoder)


async def test_what_the_runtime_raises_for_a_bad_schema_is_a_bad_request(
    runtime: FakeRuntime, decoder: LlamaDecoder
) -> None:
    def work(*_: Any) -> None:
        raise ValueError("Parser failed: JSON schema error at #: unrecognized type thing")

    runtime.work = work
    with pytest.raises(BadRequest, match=r"This schema cannot be followed at #: unrecognized type thing"):
        await all_of(decoder)


async def test_a_failure_of_the_runtime_is_not_the_callers_fault(
    runtime: FakeRuntime, decoder: LlamaDecoder
) -> None:
    def work(*_: Any) -> None:
        raise RuntimeError("oh")

    for runtime.work in (work, telling(json.dumps({"error": {"code": 500, "message": "oh"}}).encode())):
        with pytest.raises(CatenaError) as failure:
            await all_of(decoder)
        assert failure.value.http_status == 500


@pytest.mark.parametrize("chunks", [[], [said("Hel")], [said("Hel"), b"not json"]])
async def test_an_answer_without_an_end_is_a_failure(
    chunks: list[bytes], runtime: FakeRuntime, decoder: LlamaDecoder
) -> None:
    def work(_: dict[str, Any], callback: Callback) -> None:
        with contextlib.suppress(ValueError):  # as the runtime does with whatever its callback raises
            telling(*chunks)(_, callback)

    runtime.work = work
    with pytest.raises(CatenaError, match="in the middle"):
        await all_of(decoder)


class Endless:
    """Work that goes on until its callback says stop."""

    def __init__(self) -> None:
        self.stopped = threading.Event()

    def __call__(self, _: dict[str, Any], callback: Callback) -> None:
        while not callback(said("on and ")):
            pass
        self.stopped.set()


@pytest.fixture
def endless(runtime: FakeRuntime) -> Iterator[Endless]:
    work = Endless()
    runtime.work = work
    yield work
    assert work.stopped.wait(5)


async def test_closing_the_generator_stops_the_work_before_the_slot_is_free(
    endless: Endless, runtime: FakeRuntime, decoder: LlamaDecoder
) -> None:
    answer = decoder.decode(HELLO, {})
    assert await anext(answer) == Piece("on and ")
    await answer.aclose()
    assert endless.stopped.is_set()
    runtime.work = telling(said("Hi"), *END)
    assert (await all_of(decoder))[0] == Piece("Hi")


async def test_who_gives_up_waiting_for_the_slot_never_reaches_the_runtime(
    endless: Endless, runtime: FakeRuntime, decoder: LlamaDecoder
) -> None:
    first = decoder.decode(HELLO, {})
    await anext(first)
    second = asyncio.create_task(all_of(decoder))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])
    await first.aclose()
    assert runtime.calls == 1


def test_the_runtime_is_set_up_for_a_busy_machine_and_asks_for_a_key(runtime: FakeRuntime) -> None:
    LlamaDecoder(Path("model.gguf"), context=100, parallel=3)
    params = runtime.params
    assert (params.n_ctx, params.n_parallel) == (300, 3)
    assert 1 <= params.cpuparams.n_threads <= params.cpuparams_batch.n_threads
    assert params.cache_ram_mib <= 512
    assert params.n_batch <= 256
    assert len(params.api_keys[0]) > 20
    assert params.ui is False


def test_waiting_threads_do_not_spin_unless_the_user_wants_it(
    runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:

    LlamaDecoder(Path("model.gguf"), context=100)
    assert os.environ["OMP_WAIT_POLICY"] == "untouched"
    monkeypatch.delenv("OMP_WAIT_POLICY")
    LlamaDecoder(Path("model.gguf"), context=100)
    assert os.environ["OMP_WAIT_POLICY"] == "passive"


def test_a_file_that_cannot_be_loaded_is_named(runtime: FakeRuntime) -> None:
    with pytest.raises(Unfit, match=r"broken\.gguf cannot be loaded"):
        LlamaDecoder(Path("broken.gguf"), context=100)


def test_a_runtime_that_is_not_installed_is_told_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    monkeypatch.setattr("catena.embedded.runtime._require", lambda _: None)
    with pytest.raises(Unfit, match=r"pip install 'catena\[embedded\]'"):
        LlamaDecoder(Path("model.gguf"), context=100)
