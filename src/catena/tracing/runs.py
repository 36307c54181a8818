"""Runs that are traced: the same runs, whose history, engine and store tell when they are asked."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, Final, cast

from msgspec.structs import replace
from opentelemetry.trace import SpanKind, Tracer

from catena.chunks import Chunk
from catena.history import History
from catena.planning import Order, Plan, Recollection
from catena.run import Run
from catena.runs import Runs
from catena.store import Store, Turn
from catena.taps import Tapped
from catena.traceparent import passed_on
from catena.tracing.spans import Attributes, Trace
from catena.upstream import Prompt, Upstream
from catena.upstream.routing import Router

__all__ = ["TracedRuns"]

_planning: Final[ContextVar[Trace]] = ContextVar("planning")
"""The trace of the run that is being planned."""


class TracedRuns(Runs):
    """See `Runs`. A trace begins with the plan of its run, so that it has the client's own trace above it."""

    def __init__(
        self, tracer: Tracer, store: Store, router: Router, history: History, **options: Any
    ) -> None:
        super().__init__(store, router, cast("History", _TracedHistory(history)), **options)
        self._tracer = tracer

    async def plan(self, project: str, order: Order, recollection: Recollection | None = None) -> Plan:
        trace = Trace(self._tracer, order, passed_on.get())
        token = _planning.set(trace)
        try:
            plan = await super().plan(project, order, recollection)
        except BaseException as error:
            trace.refused(error)
            raise
        finally:
            _planning.reset(token)
        trace.rendered()
        return replace(plan, upstream=cast("Upstream", _TracedUpstream(plan.upstream, trace)))

    def _made(self, plan: Plan) -> Run:
        if not isinstance(plan.upstream, _TracedUpstream):  # it was planned again after a stop of its server
            trace = Trace(self._tracer, plan.order, None)
            plan = replace(plan, upstream=cast("Upstream", _TracedUpstream(plan.upstream, trace)))
        store = cast("Store", _TracedStore(self.store, _trace_of(plan)))
        return Run(plan, replace(self.workshop, store=store))

    def dismiss(self, turn_id: str) -> None:
        run = self.active[turn_id]
        super().dismiss(turn_id)
        _trace_of(run.plan).ended(run)

    def _ended(self, turn_id: str) -> None:
        run = self.active[turn_id]
        _trace_of(run.plan).ended(run)
        super()._ended(turn_id)


def _trace_of(plan: Plan) -> Trace:
    upstream = cast("Any", plan.upstream)
    assert isinstance(upstream, _TracedUpstream)
    return upstream.trace


class _Wrapped:
    """Has every attribute of what it wraps."""

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)


class _TracedHistory(_Wrapped):
    async def resolve(self, *arguments: Any, **options: Any) -> Any:
        with _resolving():
            return await self._wrapped.resolve(*arguments, **options)

    async def resolve_conversation(self, *arguments: Any, **options: Any) -> Any:
        with _resolving():
            return await self._wrapped.resolve_conversation(*arguments, **options)


@contextlib.contextmanager
def _resolving() -> Any:
    trace = _planning.get(None)
    if trace is None:  # something else than a run wants the chain
        yield
        return
    with trace.span("resolve"):
        yield
    trace.resolved()


class _TracedUpstream(_Wrapped):
    def __init__(self, upstream: Upstream, trace: Trace) -> None:
        super().__init__(upstream)
        self.trace = trace

    async def stream(self, prompt: Prompt) -> Tapped[Sequence[Chunk]]:
        attributes: Attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": self._wrapped.name,
            "gen_ai.request.model": prompt.model,
        }
        above, began, heard = passed_on.get(), time.perf_counter(), False
        with self.trace.span(f"chat {prompt.model}".strip(), SpanKind.CLIENT, attributes) as span:
            passed_on.set(self.trace.header(span))
            try:
                async with contextlib.aclosing(self._wrapped.stream(prompt)) as answer:
                    async for chunks in answer:
                        if not heard:
                            heard = True
                            waited = time.perf_counter() - began
                            span.set_attribute("gen_ai.response.time_to_first_chunk", waited)
                        yield chunks
            finally:
                passed_on.set(above)


class _TracedStore(_Wrapped):
    def __init__(self, store: Store, trace: Trace) -> None:
        super().__init__(store)
        self._trace = trace

    async def finish(self, turn: Turn, **options: Any) -> None:
        with self._trace.span("commit"):
            await self._wrapped.finish(turn, **options)
