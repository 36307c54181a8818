"""What must hold between settings, and what follows from them."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

from catena.config.problems import Place, Problem
from catena.config.sections import Config, OidcSettings

__all__ = [
    "check",
    "database_path",
    "encryption_key_path",
    "is_loopback",
    "is_postgres",
    "needs_keys",
    "seal_keys_path",
]


def check(config: Config, wrong: Sequence[Place] = ()) -> Iterator[Problem]:
    """What is wrong between settings that are each well-formed: nothing is said of those that are `wrong` by
    themselves, nor of what follows from them."""
    for rule in _RULES:
        if not any(_is_in(read, place) for read in rule.reads for place in wrong):
            for problem in rule.check(config):
                about = problem.place[:2]
                if not any(_is_in(about, place) or _is_in(place, about) for place in wrong):
                    yield problem


def _is_in(inner: Place, outer: Place) -> bool:
    """Whether a setting is another one, or in it."""
    return inner[: len(outer)] == outer


def _check_network(config: Config) -> Iterator[Problem]:
    if not needs_keys(config) and not is_loopback(config.server.host):
        yield Problem(
            ("server", "host"),
            f"{config.server.host} can be reached from other machines, and no API key is set. Set CATENA_API_KEY; or "
            "set `keys.required`, and make keys with `catena keys create`; or bind to 127.0.0.1.",
        )


def _check_traces(config: Config) -> Iterator[Problem]:
    if config.traces.enabled and not _has_opentelemetry():
        yield Problem(
            ("traces", "enabled"),
            "OpenTelemetry is not installed: pip install 'catena[otel]', or leave this off",
        )


def _has_opentelemetry() -> bool:
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except (ImportError, ValueError):
        return False


def _check_store(config: Config) -> Iterator[Problem]:
    if "://" in config.store.database and not is_postgres(config):
        yield Problem(("store", "database"), "expected a path, or a URL that begins with postgresql://")
    if config.server.workers > 1 and not is_postgres(config):
        yield Problem(
            ("server", "workers"),
            "expected 1: a SQLite database is for one process. Several need PostgreSQL: set store.database to "
            "postgresql://…",
        )


def is_postgres(config: Config) -> bool:
    """Whether turns are kept in PostgreSQL, and not in a file."""
    return config.store.database.startswith(("postgresql://", "postgres://"))


def needs_keys(config: Config) -> bool:
    """Whether these settings alone say that nobody is answered without a key."""
    keys = config.keys
    return bool(
        config.server.api_key or keys.required or keys.file or keys.proxy_header or config.oidc.issuer
    )


def _check_keys(config: Config) -> Iterator[Problem]:
    if bool(config.keys.proxy_header) != bool(config.keys.proxy_addresses):
        yield Problem(
            ("keys", "proxy_header"), "expected together with keys.proxy_addresses, which it is trusted from"
        )
    for number, address in enumerate(config.keys.proxy_addresses):
        try:
            ipaddress.ip_network(address, strict=False)
        except ValueError:
            yield Problem(
                ("keys", "proxy_addresses", number), "expected an address, or a network such as 10.0.0.0/8"
            )


def _check_oidc(config: Config) -> Iterator[Problem]:
    settings = config.oidc
    if settings == OidcSettings():
        return
    for name in ("issuer", "audience", "jwks_url"):
        if not getattr(settings, name):
            yield Problem(("oidc", name), "expected, as other settings of [oidc] are given")
    if settings.jwks_url and not re.match(r"https?://", settings.jwks_url):
        yield Problem(("oidc", "jwks_url"), "expected a URL that begins with http:// or https://")


def _check_upstreams(config: Config) -> Iterator[Problem]:
    for name, upstream in config.upstreams.items():
        place = ("upstreams", name, "url")
        if upstream.kind != "embedded" and not upstream.urls:
            yield Problem(place, "expected the base URL of the engine")
        if not all(re.match(r"https?://", url) for url in upstream.urls):
            yield Problem(place, "expected a URL that begins with http:// or https://")
        if upstream.key_env and not upstream.key and not os.environ.get(upstream.key_env):
            yield Problem(("upstreams", name, "key_env"), f"the variable {upstream.key_env} is not set")


def _check_routes(config: Config) -> Iterator[Problem]:
    known = config.upstreams.keys() or {"embedded"}
    for name, route in config.models.items():
        if route.upstream not in known:
            yield Problem(("models", name, "upstream"), f"there is no upstream '{route.upstream}'")
    if config.default_upstream is not None and config.default_upstream not in known:
        yield Problem(("default_upstream",), f"there is no upstream '{config.default_upstream}'")


_OPENED_BY: Final = (
    ("server", "api_key"),
    ("keys", "required"),
    ("keys", "file"),
    ("keys", "proxy_header"),
    ("oidc", "issuer"),
)
"""What `needs_keys` looks at."""


class _Rule(NamedTuple):
    """What is checked, and the settings without which nothing can be said."""

    check: Callable[[Config], Iterator[Problem]]
    reads: Sequence[Place] = ()


_RULES: Final = (
    _Rule(_check_network, [("server", "host"), *_OPENED_BY]),
    _Rule(_check_keys, [("keys", "proxy_header"), ("keys", "proxy_addresses")]),
    _Rule(_check_oidc),
    _Rule(_check_store, [("store", "database")]),
    _Rule(_check_upstreams),
    _Rule(_check_routes, [("upstreams",)]),
    _Rule(_check_traces),
)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that is bound to `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def database_path(config: Config, environment: Mapping[str, str] = os.environ) -> Path:
    """The file that turns are kept in: the one that was set, or one in the user's data folder."""
    if config.store.database:
        return Path(config.store.database).expanduser()
    base = environment.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "catena" / "catena.sqlite3"


def seal_keys_path(config: Config, environment: Mapping[str, str] = os.environ) -> Path:
    """The file of the keys that what clients carry is sealed with: the one that was set, or one beside the database."""
    if config.store.seal_keys:
        return Path(config.store.seal_keys).expanduser()
    if "://" in config.store.database:
        base = environment.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
        return Path(base) / "catena" / "seal.keys"
    path = database_path(config, environment)
    return path.with_name(f"{path.name}.seal-keys")


def encryption_key_path(config: Config) -> Path | None:
    """The file of the keys that contents are encrypted with; None where they are not."""
    name = config.store.encryption_key_file
    return Path(name).expanduser() if name else None
