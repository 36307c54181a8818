"""Traces for OpenTelemetry: one for each run, told by wrappers around the parts that it goes through.

    spans  the spans of one run, and their attributes
    runs   `Runs`, with a trace for each run

Nothing else in the server knows of traces, so they cost nothing when they are off. Spans carry ids, names of models and
counts, never what was said: errors are told by their codes.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from catena import __version__
from catena.runs import Runs

if TYPE_CHECKING:  # an optional extra
    from opentelemetry.sdk.trace import TracerProvider

__all__ = ["Tracing", "open_tracing"]


class Tracing:
    """Where traces go. `runs` makes runs that are traced."""

    def __init__(self, provider: TracerProvider) -> None:
        from catena.tracing.runs import TracedRuns

        self._provider = provider
        self.runs: Callable[..., Runs] = partial(TracedRuns, provider.get_tracer("catena", __version__))

    async def close(self) -> None:
        """Send what was not sent yet."""
        await asyncio.to_thread(self._provider.shutdown)


def open_tracing(*, endpoint: str, sample_ratio: float) -> Tracing:
    """Traces that are sent by OTLP over HTTP, without an `endpoint` to where OpenTelemetry's own variables say.

    Raises ImportError where OpenTelemetry is not installed.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    name = os.environ.get("OTEL_SERVICE_NAME", "catena")
    resource = Resource.create({"service.name": name, "service.version": __version__})
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(sample_ratio)), resource=resource, shutdown_on_exit=False
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint or None)))
    return Tracing(provider)
