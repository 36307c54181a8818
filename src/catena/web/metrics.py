"""`/metrics`: what this server counts, in the forms that Prometheus reads.

Nothing is added up before somebody asks. Names follow Prometheus' conventions: base units, `_total` for what only
grows. Labels are routes, engines and outcomes, never anything that a client can make up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

import msgspec

from catena import __version__
from catena.errors import CatenaError, Forbidden
from catena.measures import Histogram
from catena.prefix import PrefixCache
from catena.runs import Runs
from catena.upstream.routing import Router
from catena.web.http import Reply, Request
from catena.web.routes import Routes
from catena.web.traffic import Traffic
from catena.webhooks import Deliverer

if TYPE_CHECKING:  # slow to import: that is done when somebody asks
    from prometheus_client import Metric

__all__ = ["CountsCommits", "CountsErrors", "MetricRoutes", "Observed", "families"]

_FORWARDED: Final = (b"forwarded", b"x-forwarded-for", b"x-real-ip")


@runtime_checkable
class CountsCommits(Protocol):
    """A store that says how often it has committed, and how many writes were in its commits."""

    @property
    def commits(self) -> int: ...
    @property
    def writes(self) -> int: ...


@runtime_checkable
class CountsErrors(Protocol):
    """An engine that says how often it could not answer, by the code of the error."""

    @property
    def errors(self) -> Mapping[str, int]: ...


class Observed(msgspec.Struct, frozen=True):
    """The parts of a server that count."""

    traffic: Traffic
    runs: Runs
    cache: PrefixCache
    router: Router
    deliverer: Deliverer


class MetricRoutes:
    """With `needs_key`, a key that may administer is asked for. Without, what came through a proxy is only answered
    with `behind_proxies`. `worker` is the name of this process where several answer over one socket."""

    def __init__(
        self, observed: Observed, *, needs_key: bool, behind_proxies: bool, worker: str | None = None
    ) -> None:
        self._observed = observed
        self._labels = {"worker": worker} if worker is not None else {}
        self._scope = "admin" if needs_key else None
        self._refuses_proxied = not needs_key and not behind_proxies

    def register(self, routes: Routes) -> None:
        routes.add("GET", "/metrics", self.metrics, scope=self._scope)

    async def metrics(self, request: Request) -> Reply:
        if self._refuses_proxied and any(request.header(name) is not None for name in _FORWARDED):
            raise Forbidden(
                "/metrics is open for this machine only, and this request came through a proxy. Set metrics.open to "
                "let it through.",
                code="metrics_not_open",
            )
        try:
            waiting: int | None = await self._observed.runs.store.waiting()
        except CatenaError:
            waiting = None  # what can be told is told, also when the store is gone
        exposed = await asyncio.to_thread(_load_client)
        accept, found = request.header(b"accept") or "", families(self._observed, waiting)
        body, content_type = exposed(accept, found, self._labels)
        return Reply(body, content_type=content_type)


def _load_client() -> Any:
    from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
    from prometheus_client.exposition import choose_encoder

    def exposed(accept: str, found: Iterable[Metric], labels: dict[str, str]) -> tuple[bytes, str]:
        registry, own = CollectorRegistry(auto_describe=False), CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=own)
        GCCollector(registry=own)
        registry.register(_Collector([*own.collect(), *found], labels))
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type

    return exposed


class _Collector:
    def __init__(self, found: list[Metric], labels: dict[str, str]) -> None:
        self._found = found
        for metric in found if labels else ():
            metric.samples = [
                sample._replace(labels={**sample.labels, **labels}) for sample in metric.samples
            ]

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> list[Metric]:
        return self._found


def families(observed: Observed, waiting: int | None) -> Iterator[Metric]:
    """Every metric with its values now; `waiting` is the length of the queue, if it is known."""
    yield _gauge("build_info", "The version that runs here.", [({"version": __version__}, 1)])
    yield from _requests(observed.traffic)
    yield from _runs(observed.runs, waiting)
    yield from _engines(observed.runs, observed.router)
    yield from _cache(observed.cache)
    store = observed.runs.store
    if isinstance(store, CountsCommits):
        yield _counter("store_commits", "Transactions that the store has committed.", [({}, store.commits)])
        yield _counter(
            "store_writes", "Writes in them; writes by commits is the batch size.", [({}, store.writes)]
        )
    outcomes = observed.deliverer.outcomes.items()
    yield _counter(
        "webhook_deliveries", "Tries to deliver a webhook.", [({"outcome": name}, n) for name, n in outcomes]
    )


def _requests(traffic: Traffic) -> Iterator[Metric]:
    routes = traffic.routes.items()
    yield _counter(
        "http_requests",
        "Requests that were answered; 499 is a client that went away in the middle of a stream.",
        [
            ({"method": method, "route": route, "status": str(status)}, count)
            for (method, route), each in routes
            for status, count in each.statuses.items()
        ],
    )
    yield _histogram(
        "http_request_seconds",
        "From a request to the last byte of its reply.",
        [({"method": method, "route": route}, each.seconds) for (method, route), each in routes],
    )
    yield _gauge("websocket_connections", "WebSockets that are open.", [({}, traffic.sockets)])


def _runs(runs: Runs, waiting: int | None) -> Iterator[Metric]:
    active = list(runs.active.values())
    working = sum(run.working and not run.feed.ended for run in active)
    yield _gauge("runs_active", "Responses that are being produced here.", [({}, working)])
    yield _gauge(
        "feed_followers", "Who follows a response's events here.", [({}, sum(r.followers for r in active))]
    )
    if waiting is not None:
        yield _gauge("queue_length", "Background responses that wait, in the whole store.", [({}, waiting)])
    tally = runs.tally
    yield _counter(
        "leases_lost", "Runs that another server has taken from this one.", [({}, tally.leases_lost)]
    )
    yield _counter("leases_taken_over", "Runs that another server had left.", [({}, tally.taken_over)])
    yield _histogram("chain_depth", "Turns before the one that a run produced.", [({}, tally.depth)])


def _engines(runs: Runs, router: Router) -> Iterator[Metric]:
    engines = runs.tally.engines.items()
    by = [({"upstream": name}, each) for name, each in engines]
    yield _counter(
        "runs",
        "Runs that have ended, by how.",
        [({**label, "status": status}, n) for label, each in by for status, n in each.ended.items()],
    )
    yield _counter(
        "run_failures",
        "Runs that have failed because of their engine, by the code of the error.",
        [({**label, "code": code}, n) for label, each in by for code, n in each.failed.items()],
    )
    yield _histogram(
        "run_seconds", "From an order to its end.", [(label, each.seconds) for label, each in by]
    )
    yield _histogram(
        "first_token_seconds",
        "From an order to the first words of its engine.",
        [(label, each.first_token) for label, each in by],
    )
    yield _counter(
        "tokens",
        "Tokens as the engines counted them. Cached ones are among the input, reasoning ones among the output.",
        [({**label, "kind": kind}, n) for label, each in by for kind, n in each.tokens.items()],
    )
    yield _counter(
        "upstream_errors",
        "Tries to ask an engine that have failed, by the code of the error; most are tried again.",
        [
            ({"upstream": upstream.name, "code": code}, n)
            for upstream in router.upstreams
            if isinstance(upstream, CountsErrors)
            for code, n in upstream.errors.items()
        ],
    )


def _cache(cache: PrefixCache) -> Iterator[Metric]:
    yield _counter("prefix_cache_hits", "Chains that were there as they are rendered.", [({}, cache.hits)])
    yield _counter("prefix_cache_misses", "Chains that had to be read and rendered.", [({}, cache.misses)])
    yield _gauge("prefix_cache_bytes", "Memory for rendered chains.", [({}, cache.bytes)])
    yield _gauge("prefix_cache_limit_bytes", "The most it may be.", [({}, cache.max_bytes)])


def _counter(name: str, text: str, samples: Iterable[tuple[dict[str, str], float]]) -> Metric:
    return _metric("counter", name, text, "_total", samples)


def _gauge(name: str, text: str, samples: Iterable[tuple[dict[str, str], float]]) -> Metric:
    return _metric("gauge", name, text, "", samples)


def _metric(
    kind: str, name: str, text: str, suffix: str, samples: Iterable[tuple[dict[str, str], float]]
) -> Metric:
    from prometheus_client import Metric

    metric = Metric(f"catena_{name}", text, kind)
    for labels, value in samples:
        metric.add_sample(f"catena_{name}{suffix}", labels, value)
    return metric


def _histogram(name: str, text: str, samples: Iterable[tuple[dict[str, str], Histogram]]) -> Metric:
    from prometheus_client import Metric

    metric = Metric(f"catena_{name}", text, "histogram")
    for labels, histogram in samples:
        buckets = histogram.buckets()
        for bound, count in buckets:
            metric.add_sample(f"catena_{name}_bucket", {**labels, "le": bound}, count)
        metric.add_sample(f"catena_{name}_count", labels, buckets[-1][1])
        metric.add_sample(f"catena_{name}_sum", labels, histogram.total)
    return metric
