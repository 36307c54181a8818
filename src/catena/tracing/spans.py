"""The spans of one run, named and described by OpenTelemetry's conventions for generative AI."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from catena.errors import CatenaError
from catena.planning import Order
from catena.run import Run
from catena.wire.response import Usage

__all__ = ["Attributes", "Trace"]

Attributes: TypeAlias = Mapping[str, str | int | float | bool]

_w3c = TraceContextTextMapPropagator()


class Trace:
    """One run from its order to its end. `parent` is the client's `traceparent`, if it sent one."""

    def __init__(self, tracer: Tracer, order: Order, parent: str | None) -> None:
        self._tracer = tracer
        self._resolved_at = time.time_ns()
        above = _w3c.extract({"traceparent": parent}) if parent is not None else None
        self._root = tracer.start_span(
            "run", above, kind=SpanKind.SERVER, attributes=_ordered(order), start_time=self._resolved_at
        )
        self._context = set_span_in_context(self._root)

    @contextlib.contextmanager
    def span(
        self, name: str, kind: SpanKind = SpanKind.INTERNAL, attributes: Attributes | None = None
    ) -> Iterator[Span]:
        """A part of the run, which lasts as long as the context."""
        span = self._tracer.start_span(name, self._context, kind, attributes)
        try:
            yield span
        except Exception as error:
            _fail(span, error)
            raise
        finally:
            span.end()

    def header(self, span: Span) -> str:
        """The `traceparent` for what is asked on behalf of `span`."""
        carrier: dict[str, str] = {}
        _w3c.inject(carrier, set_span_in_context(span))
        return carrier["traceparent"]

    def resolved(self) -> None:
        """The chain is there: what follows is its rendering."""
        self._resolved_at = time.time_ns()

    def rendered(self) -> None:
        """The prompt is there."""
        self._tracer.start_span("render", self._context, start_time=self._resolved_at).end()

    def refused(self, error: BaseException) -> None:
        """There will be no run."""
        _fail(self._root, error)
        self._root.end()

    def ended(self, run: Run) -> None:
        """The run has come to its end."""
        outcome = run.outcome
        self._root.set_attributes(
            {
                "gen_ai.response.id": outcome.id,
                "gen_ai.response.model": run.plan.prompt.model,
                "catena.status": outcome.status,
                "catena.chain.depth": 0 if run.plan.link is None else run.plan.link.depth,
                **(_spent(outcome.usage) if outcome.usage is not None else {}),
            }
        )
        if run.error is not None:
            _fail(self._root, run.error)
        self._root.end()


def _fail(span: Span, error: BaseException) -> None:
    """Say that `span` failed, by a code: a message may repeat what was said."""
    kind = (error.code or error.type) if isinstance(error, CatenaError) else type(error).__name__
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, kind))


def _ordered(order: Order) -> dict[str, str | int | float | bool]:
    request = order.request
    attributes: dict[str, str | int | float | bool | None] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": request.model,
        "gen_ai.request.stream": bool(request.stream),
        "gen_ai.request.temperature": request.temperature,
        "gen_ai.request.top_p": request.top_p,
        "gen_ai.request.max_tokens": request.max_output_tokens,
        "gen_ai.conversation.id": request.conversation_id,
        "catena.endpoint": order.door,
        "catena.background": bool(request.background),
        "catena.previous_response_id": request.previous_response_id,
    }
    return {name: value for name, value in attributes.items() if value is not None}


def _spent(usage: Usage) -> dict[str, int]:
    return {
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.input_tokens_details.cached_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage.output_tokens_details.reasoning_tokens,
    }
