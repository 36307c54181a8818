"""The server, put together: settings in, a running server out. The only place that names concrete adapters."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import uvicorn
from msgspec.structs import replace

from catena.attachments import Attachments
from catena.config import Config, UpstreamSettings, is_loopback, seal_keys_path
from catena.conversations import Conversations
from catena.embedded import EmbeddedEngine
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
from catena.upstream import Upstream
from catena.upstream.chat import ChatUpstream
from catena.upstream.embedded import EmbeddedUpstream
from catena.upstream.engine import Access
from catena.upstream.http import HttpClient, Timeouts
from catena.upstream.responses import ResponsesUpstream
from catena.upstream.routing import Route, Router
from catena.upstream.traits import Content, Traits, traits_of
from catena.vault import Vault
from catena.web.app import App, Behind, Terms
from catena.web.bounds import Bounds, bounded
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

__all__ = [
    "HttpServer",
    "bind",
    "build_app",
    "event_loop",
    "open_app",
    "open_upstream",
    "retention_term",
    "serve",
]

log = logging.getLogger("catena")

_PONG_WITHIN = 60.0
"""Seconds in which the client of a WebSocket must answer a ping."""

_STOPPING = (signal.SIGINT, signal.SIGTERM)

_GOODBYES = 5
"""Seconds that clients have to take the ends of runs that were stopped, before their connections are closed."""


class HttpServer(uvicorn.Server):
    """uvicorn, which says when it is ready."""

    def __init__(self, app: App, *, stop_within: float = 10.0) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=bounded(Bounds(app.terms.patience)),
                ws="websockets-sansio",
                ws_max_size=app.terms.max_body,
                ws_ping_interval=app.terms.ping or None,
                ws_ping_timeout=_PONG_WITHIN,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                timeout_keep_alive=app.terms.keep_alive,
                timeout_graceful_shutdown=round(stop_within) + _GOODBYES,
            )
        )
        self.ready = asyncio.Event()
        self._app = app
        self._stop_within = stop_within
        self._closing: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGINT and SIGTERM. Unlike uvicorn's own way this does not raise the signal again afterwards, of
        which the process would die before its store is closed."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in _STOPPING:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in _STOPPING:
                loop.remove_signal_handler(number)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let requests go on for a while; then end their runs, so that every client hears of an end."""
        for listening in self.servers:
            listening.close()
        loop = asyncio.get_running_loop()
        end = loop.time() + self._stop_within
        patience = loop.call_at(end, self._close_app)
        # uvicorn would cut WebSockets off in the middle of a response.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(end):
                await self._app.stop()
        self.config.timeout_graceful_shutdown = max(0, round(end - loop.time())) + _GOODBYES
        await super().shutdown(sockets)
        patience.cancel()
        await self._close_app()

    def _close_app(self) -> asyncio.Task[None]:
        if self._closing is None:
            self._closing = asyncio.create_task(self._app.close())
        return self._closing

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self._app.start()
        await super().startup(sockets)
        self.ready.set()


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

    async def start() -> None:
        await worker.start()
        await retention.start()
        await deliverer.start()

    async def close() -> None:
        await retention.stop()
        await worker.stop()
        await runs.close()
        await deliverer.stop()
        if tracing is not None:
            await tracing.close()
        if fetcher is not None:
            await fetcher.close()
        await meter.limiter.close()
        await gate.keys.close()

    routes = _routes(config, store, router, runs)
    WebhookRoutes(store, deliverer, guard).register(routes)
    socket_routes = _socket_routes(config, runs)
    socket_routes.register(routes)
    app = App(
        routes,
        gate,
        meter,
        terms=Terms(
            max_body=config.server.max_body_bytes,
            patience=config.server.client_seconds,
            keep_alive=config.server.keep_alive_seconds,
            ping=config.streams.ping_seconds,
        ),
        behind=Behind(start=start, stop=socket_routes.drain, close=close),
    )
    _metrics(config, Observed(app.traffic, runs, cache, router, deliverer)).register(routes)
    return app


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
        upstreams: dict[str, Upstream] = {}
        configured = config.upstreams or {"embedded": UpstreamSettings(kind="embedded")}
        for name, settings in configured.items():
            upstreams[name] = open_upstream(name, settings)
            stack.push_async_callback(upstreams[name].close)
        traits = {name: _traits(settings) for name, settings in configured.items()}
        routes = {
            name: Route(
                upstreams[route.upstream],
                route.model,
                _accepting(traits[route.upstream], route.accepts),
                route.context_window,
            )
            for name, route in config.models.items()
        }
        default = config.default_upstream or next(iter(upstreams))
        yield build_app(config, store, Router(routes, Route(upstreams[default], None, traits[default])))


def _traits(settings: UpstreamSettings) -> Traits:
    """What an engine takes: what is known of it, but for what is set."""
    known = traits_of(settings.kind, settings.urls[0] if settings.urls else "")
    passes = known.passes if settings.passes is None else frozenset(settings.passes)
    return _accepting(replace(known, passes=passes, grammar=settings.grammar), settings.accepts)


def _accepting(traits: Traits, accepts: Sequence[Content] | None) -> Traits:
    return traits if accepts is None else replace(traits, accepts=frozenset({"text", *accepts}))


def open_upstream(name: str, settings: UpstreamSettings) -> Upstream:
    """The engine of these settings; an embedded one begins to load."""
    if settings.kind == "embedded":
        model = Path(settings.model_path) if settings.model_path else None
        upstream = EmbeddedUpstream(name, EmbeddedEngine(model, context=settings.context_tokens))
        upstream.warm_up()
        return upstream
    access: Access = {
        "key": settings.key or (os.environ.get(settings.key_env) if settings.key_env else None),
        "timeouts": Timeouts(
            connect=settings.connect_timeout,
            first=settings.first_timeout,
            between=settings.between_timeout,
        ),
    }
    if settings.kind == "responses":
        return ResponsesUpstream(name, settings.urls, context_window=settings.context_window, **access)
    return ChatUpstream(
        name,
        settings.urls,
        parse_think=settings.parse_think,
        max_tokens_field=settings.max_tokens_field,
        reasoning_field=None if settings.reasoning_field == "none" else settings.reasoning_field,
        context_window=settings.context_window,
        **access,
    )


def bind(config: Config) -> socket.socket:
    """The listening socket. Raises OSError where the address cannot be had."""
    family = socket.AF_INET6 if ":" in config.server.host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it, short replies wait for 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((config.server.host, config.server.port))
        listening.listen(2048)
    except OSError:
        listening.close()
        raise
    listening.setblocking(False)
    return listening


def event_loop() -> asyncio.AbstractEventLoop:
    """The fastest event loop that this platform has."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _settle_collector() -> None:
    """What was built until now lives as long as the server: the collector need not go through it again and again.

    Nor so often through the rest, which leaves few cycles: at 64 requests at once that was a fifth of the processor's
    time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


async def serve(app: App, sockets: Sequence[socket.socket], *, stop_within: float) -> None:
    """Answer until a signal says stop; then give what is under way `stop_within` seconds."""
    _settle_collector()
    await HttpServer(app, stop_within=stop_within).serve(sockets=list(sockets))
