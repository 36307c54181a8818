"""The application, put together: settings in, all that answers out."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from catena.attachments import Attachments
from catena.config import Config, is_loopback, seal_keys_path
from catena.conversations import Conversations
from catena.engines import open_router
from catena.entrance import gate_of
from catena.erasure import Erasure
from catena.fetching import Fetcher
from catena.guard import Guard
from catena.history import History
from catena.lanes import Limits
from catena.limits.limiter import Limiter
from catena.limits.storage import Storage
from catena.planning import Planning
from catena.prefix import PrefixCache
from catena.prompts import Prompts
from catena.retention import Retention, Term
from catena.run import RunSettings
from catena.runs import BackgroundSettings, Runs
from catena.seal import Seals
from catena.store import Store
from catena.stores import open_store
from catena.tracing import Tracing, open_tracing
from catena.upstream.http import HttpClient
from catena.upstream.routing import Router
from catena.vault import Vault
from catena.web.app import App, Behind, Terms
from catena.web.chat import ChatRoutes
from catena.web.contexts import ContextRoutes
from catena.web.conversations import ConversationRoutes
from catena.web.end_users import EndUserRoutes
from catena.web.explorer import ExplorerRoutes
from catena.web.files import FileRoutes
from catena.web.forward import ForwardRoutes
from catena.web.health import HealthRoutes
from catena.web.lineage import LineageRoutes
from catena.web.metering import Meter
from catena.web.metrics import MetricRoutes, Observed
from catena.web.models import ModelRoutes
from catena.web.openapi import OpenApiRoutes
from catena.web.responses import ResponseRoutes
from catena.web.routes import Routes
from catena.web.webhooks import WebhookRoutes
from catena.web.websocket import SocketRoutes
from catena.webhooks import Deliverer, DeliverySettings
from catena.worker import Worker

__all__ = ["build_app", "open_app", "retention_term"]


def build_app(config: Config, store: Store, router: Router) -> App:
    """The application over parts that are open."""
    cache = PrefixCache(config.chains.cache_bytes)
    fetcher = _fetcher(config)
    tracing = _tracing(config)
    runs = _runs(config, store, router, cache, fetcher, tracing)
    worker = Worker(runs)
    retention = Retention(store, runs.history, term=retention_term(config), clock=time.time)
    guard = Guard(allow_private=config.webhooks.allow_private)
    deliverer = Deliverer(
        store,
        HttpClient(max_idle=4, resolve=guard.addresses),
        settings=_delivery(config),
        waiting=runs.told,
    )
    gate = gate_of(config, store)
    meter = Meter(Limiter(store.counters, Storage(store.stored_bytes).used))
    routes = _routes(config, store, router, runs)
    WebhookRoutes(store, deliverer, guard).register(routes)
    socket_routes = _socket_routes(config, runs)
    socket_routes.register(routes)
    app = App(
        routes,
        gate,
        meter,
        terms=_terms(config),
        behind=Behind(
            start=_in_turn(worker.start, retention.start, deliverer.start),
            stop=socket_routes.drain,
            close=_in_turn(
                *(retention.stop, worker.stop, runs.close, deliverer.stop),
                *(part.close for part in (tracing, fetcher) if part is not None),
                *(meter.limiter.close, gate.keys.close),
            ),
        ),
    )
    _metrics(config, Observed(app.traffic, runs, cache, router, deliverer)).register(routes)
    return app


def _in_turn(*steps: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    async def each() -> None:
        for step in steps:
            await step()

    return each


def _terms(config: Config) -> Terms:
    return Terms(
        max_body=config.server.max_body_bytes,
        patience=config.server.client_seconds,
        keep_alive=config.server.keep_alive_seconds,
        ping=config.streams.ping_seconds,
    )


def _runs(
    config: Config,
    store: Store,
    router: Router,
    cache: PrefixCache,
    fetcher: Fetcher | None,
    tracing: Tracing | None,
) -> Runs:
    """What makes responses."""
    return (Runs if tracing is None else tracing.runs)(
        store,
        router,
        History(store, cache, Vault(Seals(seal_keys_path(config)))),
        settings=RunSettings(
            grace=config.streams.grace_seconds,
            lease=config.background.lease_seconds,
            log_every=config.streams.log_seconds,
            outage=config.store.outage_seconds if store.peers is not None else 0.0,
            wait_for_log=config.streams.wait_for_log,
        ),
        background=BackgroundSettings(
            concurrency=config.background.concurrency,
            queue=config.background.queue,
            tries=config.background.tries,
            keep_unstored=config.background.keep_unstored_seconds,
        ),
        planning=Planning(
            require_same_model=config.chains.require_same_model,
            omitted_tools=config.tools.omitted,
            attachments=Attachments(
                store.files,
                fetcher,
                max_bytes=config.files.prompt_bytes,
                fetch_images=config.files.fetch_images,
            ),
            prompts=Prompts(Path(config.prompts.folder).expanduser() if config.prompts.folder else None),
        ),
    )


def _routes(config: Config, store: Store, router: Router, runs: Runs) -> Routes:
    """What can be asked for, but for what is put together with more than these."""
    routes = Routes()
    ResponseRoutes(runs, done_sentinel=config.server.done_sentinel).register(routes)
    ChatRoutes(runs).register(routes)
    ContextRoutes(runs).register(routes)
    ConversationRoutes(Conversations(store, runs.history, clock=time.time)).register(routes)
    LineageRoutes(store, runs.planner).register(routes)
    ModelRoutes(router).register(routes)
    EndUserRoutes(Erasure(store, runs.history)).register(routes)
    FileRoutes(store, max_bytes=config.files.max_bytes).register(routes)
    if config.explorer.enabled:
        ExplorerRoutes().register(routes)
    ForwardRoutes(router).register(routes)
    HealthRoutes(store, router).register(routes)
    OpenApiRoutes().register(routes)
    return routes


def _tracing(config: Config) -> Tracing | None:
    if not config.traces.enabled:
        return None
    return open_tracing(endpoint=config.traces.endpoint, sample_ratio=config.traces.sample_ratio)


def _metrics(config: Config, observed: Observed) -> MetricRoutes:
    here = is_loopback(config.server.host)
    return MetricRoutes(
        observed,
        needs_key=not (here or config.metrics.open),
        behind_proxies=config.metrics.open,
        worker=str(os.getpid()) if config.server.workers > 1 else None,
    )


def _socket_routes(config: Config, runs: Runs) -> SocketRoutes:
    settings = config.websocket
    return SocketRoutes(
        runs,
        lifetime=settings.lifetime_seconds,
        limits=Limits(
            in_flight=settings.in_flight,
            lanes=settings.lanes,
            waiting=settings.waiting,
            waiting_bytes=config.server.max_body_bytes,
        ),
        warm_engine=settings.warm_engine,
    )


def retention_term(config: Config) -> Term:
    """How long turns are kept."""
    return Term(days=config.store.retention_days, by_project=config.store.retention_days_by_project)


def _fetcher(config: Config) -> Fetcher | None:
    settings = config.files
    if not settings.fetch:
        return None
    guard = Guard(allow_private=settings.fetch_private)
    client = HttpClient(max_idle=4, resolve=guard.addresses)
    return Fetcher(client, guard, max_bytes=settings.fetch_bytes, seconds=settings.fetch_seconds)


def _delivery(config: Config) -> DeliverySettings:
    return DeliverySettings(
        concurrency=config.webhooks.concurrency,
        timeout=config.webhooks.timeout_seconds,
        give_up=config.webhooks.give_up_hours * 3600,
    )


@contextlib.asynccontextmanager
async def open_app(config: Config) -> AsyncIterator[App]:
    """The application with its store and engines open, for as long as the context lasts."""
    async with contextlib.AsyncExitStack() as stack:
        store = await open_store(config)
        stack.push_async_callback(store.close)
        router = await stack.enter_async_context(open_router(config))
        yield build_app(config, store, router)
