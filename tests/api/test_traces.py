"""One trace for each run, without contents; and the client's trace goes on at the engine."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from catena import server as assembly
from catena.chunks import Finish, TextDelta, UsageReport
from catena.config import Config, ConfigError, TraceSettings, load_config
from catena.errors import UpstreamError
from catena.tracing import Tracing
from catena.upstream.chat import ChatUpstream
from catena.upstream.scripted import ScriptedUpstream
from tests.api.sockets import socket
from tests.receiver import receiver
from tests.running import LIMIT, RunningServer, StartServer
from tests.upstream.raw_engine import Peer, raw_engine

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ON = Config(traces=TraceSettings(enabled=True))


class Kept:
    """The spans that were kept, by what they are."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    def all(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> ReadableSpan:
        (span,) = [span for span in self.all() if span.name == name]
        return span

    def clear(self) -> None:
        self._exporter.clear()


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    """Has traces kept in memory instead of sent."""
    exporter = InMemorySpanExporter()

    def keep(**settings: Any) -> Tracing:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        return Tracing(provider)

    monkeypatch.setattr(assembly, "open_tracing", keep)
    return Kept(exporter)


def parent_of(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent is not None else None


async def test_a_run_is_one_trace_with_its_parts(start_server: StartServer, kept: Kept) -> None:
    usage = UsageReport(input_tokens=10, output_tokens=4, cached_tokens=6, reasoning_tokens=3)
    engine = ScriptedUpstream(lambda _: [TextDelta("a secret answer"), usage, Finish("stop")])
    async with start_server(config=ON, engine=engine) as server:
        first = await server.client.responses.create(model="gpt-x", input="a secret question")
        kept.clear()
        second = await server.client.responses.create(
            model="gpt-x",
            input="a secret question",
            instructions="a secret",
            temperature=0.5,
            previous_response_id=first.id,
            extra_headers={"traceparent": PARENT},
        )
        assert {span.name for span in kept.all()} == {"run", "resolve", "render", "chat gpt-x", "commit"}
        root = kept.named("run")
        assert root.context.trace_id == 0x0AF7651916CD43DD8448EB211C80319C
        assert parent_of(root) == 0xB7AD6B7169203331
        for name in ("resolve", "render", "chat gpt-x", "commit"):
            assert parent_of(kept.named(name)) == root.context.span_id
        ends = [kept.named(name).end_time for name in ("resolve", "render", "chat gpt-x", "commit", "run")]
        assert all(ends)
        assert ends == sorted(end for end in ends if end is not None)
        said = dict(root.attributes or {})
        assert said["gen_ai.operation.name"] == "chat"
        assert said["gen_ai.request.model"] == "gpt-x"
        assert said["gen_ai.request.temperature"] == 0.5
        assert said["gen_ai.response.id"] == second.id
        assert said["gen_ai.usage.input_tokens"] == 10
        assert said["gen_ai.usage.output_tokens"] == 4
        assert said["gen_ai.usage.cache_read.input_tokens"] == 6
        assert said["gen_ai.usage.reasoning.output_tokens"] == 3
        assert said["catena.chain.depth"] == 1
        asked = dict(kept.named("chat gpt-x").attributes or {})
        assert asked["gen_ai.provider.name"] == "scripted"
        assert float(asked["gen_ai.response.time_to_first_chunk"]) >= 0  # type: ignore[arg-type]  # a float
        assert "secret" not in "".join(span.to_json() for span in kept.all())


async def test_a_failure_is_told_by_its_code_alone(start_server: StartServer, kept: Kept) -> None:
    broken = UpstreamError("It said: a secret.", code="upstream_broke_off")
    engine = ScriptedUpstream(lambda _: [TextDelta("hi"), broken])
    async with start_server(config=ON, engine=engine) as server:
        await server.post("/responses", {"model": "m", "input": "hi"})
        for name in ("run", "chat m"):
            span = kept.named(name)
            assert not span.status.is_ok
            assert (span.attributes or {})["error.type"] == "upstream_broke_off"
        kept.clear()
        unknown = "resp_" + "0" * 50
        await server.post("/responses", {"model": "m", "input": "hi", "previous_response_id": unknown})
        assert {span.name for span in kept.all()} == {"run", "resolve"}
        assert (kept.named("run").attributes or {})["error.type"] == "previous_response_not_found"
        assert "secret" not in "".join(span.to_json() for span in kept.all())


async def test_a_background_run_stays_in_the_trace_of_its_request(
    start_server: StartServer, kept: Kept
) -> None:
    async with start_server(config=ON) as server, asyncio.timeout(LIMIT):
        queued = await server.client.responses.create(
            model="m", input="hi", background=True, extra_headers={"traceparent": PARENT}
        )
        while (found := await server.client.responses.retrieve(queued.id)).status in (
            "queued",
            "in_progress",
        ):
            await asyncio.sleep(0)
        assert found.status == "completed", found.error
        root = kept.named("run")
        assert parent_of(root) == 0xB7AD6B7169203331
        assert {parent_of(kept.named(name)) for name in ("chat m", "commit")} == {root.context.span_id}


async def test_runs_of_one_websocket_are_traces_of_their_own(start_server: StartServer, kept: Kept) -> None:
    async with start_server(config=ON) as server:
        async with socket(server) as connection:
            await connection.answer("one")
            await connection.answer("two")
        roots = [span for span in kept.all() if span.name == "run"]
        assert len({root.context.trace_id for root in roots}) == 2
        assert [parent_of(root) for root in roots] == [None, None]


@asynccontextmanager
async def listening_engine() -> AsyncIterator[tuple[ChatUpstream, list[bytes]]]:
    """An engine that keeps the heads of what it is asked, and answers nothing of use."""
    heads: list[bytes] = []

    async def refuse(peer: Peer) -> None:
        while request := await peer.request():
            heads.append(request.partition(b"\r\n\r\n")[0])
            await peer.send(b"HTTP/1.1 400 X\r\ncontent-length: 2\r\n\r\n{}")

    async with raw_engine(refuse) as engine:
        upstream = ChatUpstream("heard", [engine.url])
        yield upstream, heads
        await upstream.close()


def told(heads: list[bytes]) -> list[str]:
    lines = [line.decode() for head in heads for line in head.split(b"\r\n")]
    return [line.partition(": ")[2] for line in lines if line.lower().startswith("traceparent:")]


async def ask(server: RunningServer, **headers: str) -> None:
    body = {"model": "heard", "input": "hi"}
    await server.http.post("/responses", json=body, headers=headers)


async def test_without_traces_of_ours_the_clients_trace_is_passed_on_as_it_is(
    start_server: StartServer,
) -> None:
    async with listening_engine() as (engine, heads), start_server(routes={"heard": engine}) as server:
        await ask(server, traceparent=PARENT)
        await ask(server)
        await ask(server, traceparent="00-" + "0" * 32 + "-b7ad6b7169203331-01")
        await ask(server, traceparent="nonsense")
        assert len(heads) == 4
        assert told(heads) == [PARENT]


async def test_with_traces_of_ours_the_engine_is_told_the_span_that_asks_it(
    start_server: StartServer, kept: Kept
) -> None:
    async with (
        listening_engine() as (engine, heads),
        start_server(config=ON, routes={"heard": engine}) as server,
    ):
        await ask(server, traceparent=PARENT)
        span = kept.named("chat heard").context
        assert told(heads) == [f"00-0af7651916cd43dd8448eb211c80319c-{span.span_id:016x}-01"]
        heads.clear()
        await ask(server)
        assert told(heads)[0].split("-")[1] != "0af7651916cd43dd8448eb211c80319c"


async def test_traces_are_sent_to_a_collector(start_server: StartServer) -> None:
    """Over the wire, as a collector reads it; a sample of none sends none."""
    async with receiver() as collector:
        for ratio, expected in ((1.0, 1), (0.0, 0)):
            collector.heard.clear()
            traces = TraceSettings(enabled=True, endpoint=collector.url, sample_ratio=ratio)
            async with start_server(name=f"with-{ratio}", config=Config(traces=traces)) as server:
                await server.post("/responses", {"model": "m", "input": "hi"})
            assert len(collector.heard) == expected
            for heard in collector.heard:
                sent = ExportTraceServiceRequest.FromString(heard.body)
                (resource,) = sent.resource_spans
                names = {span.name for scope in resource.scope_spans for span in scope.spans}
                assert names == {"run", "render", "chat m", "commit"}
                service = {each.key: each.value.string_value for each in resource.resource.attributes}
                assert service["service.name"] == "catena"


async def test_opentelemetry_is_not_even_imported_while_traces_are_off() -> None:
    program = (
        "import sys, catena.server, catena.cli.serve; "
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    async with asyncio.timeout(LIMIT):
        assert await process.wait() == 0


def test_traces_that_cannot_be_made_are_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
    with pytest.raises(ConfigError) as refusal:
        load_config(environment={"CATENA_TRACES__ENABLED": "true"})
    assert "pip install 'catena[otel]'" in str(refusal.value)
    assert str(refusal.value).startswith("CATENA_TRACES__ENABLED: traces.enabled: ")
    load_config(environment={})
