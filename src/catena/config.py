"""The settings: `catena.toml`, then the environment, then flags; each overrides the one before.

Every key has a default, and a key that is not known is an error that names it.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

__all__ = [
    "Config",
    "ConfigError",
    "ModelRoute",
    "UpstreamSettings",
    "database_path",
    "is_loopback",
    "load_config",
]


class ConfigError(Exception):
    """The settings cannot be used as they are; the message names the key and what was expected."""


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class ServerSettings(_Section, frozen=True, kw_only=True):
    host: str = "127.0.0.1"
    port: int = 8080
    """0 takes any free port."""
    api_key: str | None = None
    """Clients must send it as `Authorization: Bearer …`. Required beyond loopback."""
    read_only_api_key: str | None = None
    """A second key, which may read but not create or delete."""
    max_body_bytes: int = 100 * 1024 * 1024
    done_sentinel: bool = False
    """End Responses streams with `data: [DONE]`, which some clients expect and the original does not send."""
    stop_seconds: float = 10.0
    """How long a server that is told to stop lets requests under way go on."""
    access_log: bool = False
    """One line for each request, with ids and counts only."""


class StoreSettings(_Section, frozen=True, kw_only=True):
    database: str = ""
    """A path. By default a file in the user's data folder."""
    durability: Literal["full", "normal"] = "full"
    """`full` survives power loss at once; `normal` survives any crash of the process, and power loss but for the
    last moments."""
    retention_days: int = 30
    """Trees whose newest turn is older are removed; 0 keeps everything."""


class ChainSettings(_Section, frozen=True, kw_only=True):
    require_same_model: bool = False
    """Refuse to continue a chain on another model than its last turn's."""
    cache_bytes: int = 256 * 1024 * 1024
    """Memory for rendered histories."""


class StreamSettings(_Section, frozen=True, kw_only=True):
    grace_seconds: float = 10.0
    """How long a stored stream goes on when its client is gone; 0 ends it at once, -1 never."""
    log_seconds: float = 0.0
    """How often what an engine has sent is saved while a stream goes on; 0: each piece, before it is told, so that a
    crash takes nothing back."""
    ping_seconds: float = 15.0
    """A stream that is idle this long gets a comment, so that nothing in between closes it, and a WebSocket a ping; 0
    sends none."""


class WebSocketSettings(_Section, frozen=True, kw_only=True):
    lifetime_seconds: float = 3600.0
    """How long one connection may last; 0 is without end."""
    in_flight: int = 16
    """How many responses are produced at once on one connection; more wait."""
    lanes: int = 32
    """How many names of lanes one connection may use."""
    waiting: int = 256
    """How many requests may wait on one connection."""
    warm_engine: bool = False
    """Have the engine read the context of a response with `generate: false`, so that its cache is warm."""


class BackgroundSection(_Section, frozen=True, kw_only=True):
    concurrency: int = 16
    """How many background responses are produced at once."""
    queue: int = 1000
    """How many may wait; beyond that clients are told to come back later."""
    tries: int = 3
    """How often one is begun again after a crash of its server."""
    lease_seconds: float = 30.0
    """After how long without a sign of life a run's server is taken for dead."""
    keep_unstored_seconds: float = 600.0
    """How long the result of a background response with `store: false` can be fetched."""


class WebhookSettings(_Section, frozen=True, kw_only=True):
    allow_private: bool = False
    """Deliver to private addresses too: to this machine, and to the networks that it stands in."""
    concurrency: int = 16
    """How many are delivered at once."""
    timeout_seconds: float = 10.0
    """How long an endpoint may take to answer."""
    give_up_hours: float = 72.0
    """For how long one that does not answer is tried again."""


class ToolSettings(_Section, frozen=True, kw_only=True):
    """What becomes of a tool that runs on the side of the engine, where the engine does not have it: `reject` is an
    error, `omit` leaves it out and says so in the reply's headers."""

    web_search: Literal["reject", "omit"] = "omit"
    file_search: Literal["reject", "omit"] = "reject"
    code_interpreter: Literal["reject", "omit"] = "reject"
    image_generation: Literal["reject", "omit"] = "reject"
    mcp: Literal["reject", "omit"] = "reject"

    @property
    def omitted(self) -> frozenset[str]:
        return frozenset(name for name in self.__struct_fields__ if getattr(self, name) == "omit")


class UpstreamSettings(_Section, frozen=True, kw_only=True):
    kind: Literal["chat", "responses", "embedded"] = "chat"
    url: str | list[str] = []
    """The base URL, with `/v1` where the engine has it; several are equal replicas."""
    key: str | None = None
    key_env: str | None = None
    """The environment variable that holds the key."""
    connect_timeout: float = 5.0
    first_timeout: float = 300.0
    """Seconds until the engine's first sign of life."""
    between_timeout: float = 120.0
    """Seconds between two pieces of an answer."""
    parse_think: bool = True
    """Take `<think>…</think>` at the beginning of an answer as reasoning."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    """The engine's name for the limit; by default the one that its host is known to take."""
    model_path: str | None = None
    """For `embedded`: a GGUF file instead of the default model."""
    context_tokens: int = 8192
    """For `embedded`: the size of its context window."""

    @property
    def urls(self) -> list[str]:
        return [self.url] if isinstance(self.url, str) else self.url


class ModelRoute(_Section, frozen=True, kw_only=True):
    upstream: str
    model: str | None = None
    """The engine's own name for it; by default the client's."""


class Config(_Section, frozen=True, kw_only=True):
    """Everything that can be set."""

    server: ServerSettings = ServerSettings()
    store: StoreSettings = StoreSettings()
    chains: ChainSettings = ChainSettings()
    streams: StreamSettings = StreamSettings()
    websocket: WebSocketSettings = WebSocketSettings()
    background: BackgroundSection = BackgroundSection()
    webhooks: WebhookSettings = WebhookSettings()
    tools: ToolSettings = ToolSettings()
    upstreams: dict[str, UpstreamSettings] = {}
    models: dict[str, ModelRoute] = {}
    default_upstream: str | None = None
    """The upstream for model names without a mapping; by default the first."""


_ENVIRONMENT = {
    "CATENA_HOST": ("server", "host"),
    "CATENA_PORT": ("server", "port"),
    "CATENA_API_KEY": ("server", "api_key"),
    "CATENA_READ_ONLY_API_KEY": ("server", "read_only_api_key"),
    "CATENA_DATABASE": ("store", "database"),
    "CATENA_RETENTION_DAYS": ("store", "retention_days"),
    "CATENA_UPSTREAM": ("upstreams", "default", "url"),
    "CATENA_UPSTREAM_KEY": ("upstreams", "default", "key"),
    "CATENA_UPSTREAM_KIND": ("upstreams", "default", "kind"),
}


def load_config(
    path: Path | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
    flags: Mapping[tuple[str, ...], Any] | None = None,
) -> Config:
    """The settings in force. `flags` are given by their place, for instance `("server", "port")`.

    Raises ConfigError.
    """
    settings = _read(path) if path is not None else {}
    for name, place in _ENVIRONMENT.items():
        if environment.get(name):
            _put(settings, place, environment[name])
    for place, value in (flags or {}).items():
        if value is not None:
            _put(settings, place, value)
    try:
        # Not strict: the environment has only text.
        config = msgspec.convert(settings, Config, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(_explained(error, path)) from error
    _check(config)
    return config


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error


def _put(settings: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    for name in place[:-1]:
        settings = settings.setdefault(name, {})
    settings[place[-1]] = value


def _explained(error: msgspec.ValidationError, path: Path | None) -> str:
    text, _, where = str(error).partition(" - at `$.")
    key = where.rstrip("`")
    unknown = re.fullmatch(r"Object contains unknown field `(.+)`", text)
    if unknown:
        key = ".".join(filter(None, [key, unknown[1]]))
        text = "there is no such setting"
    place = f"{path}: " if path is not None else ""
    return f"{place}{key or 'settings'}: {text}"


def _check(config: Config) -> None:
    if not config.server.api_key and not is_loopback(config.server.host):
        raise ConfigError(
            f"server.host: {config.server.host} can be reached from other machines, and no API key is set. Set "
            "CATENA_API_KEY, or bind to 127.0.0.1."
        )
    if "://" in config.store.database:
        raise ConfigError("store.database: expected a path; database servers are not supported yet")
    known = config.upstreams.keys() or {"embedded"}
    for name, upstream in config.upstreams.items():
        if upstream.kind != "embedded" and not upstream.urls:
            raise ConfigError(f"upstreams.{name}.url: expected the base URL of the engine")
        for url in upstream.urls:
            if not re.match(r"https?://", url):
                raise ConfigError(
                    f"upstreams.{name}.url: expected a URL that begins with http:// or https://"
                )
    for name, route in config.models.items():
        if route.upstream not in known:
            raise ConfigError(f"models.{name}.upstream: there is no upstream '{route.upstream}'")
    if config.default_upstream is not None and config.default_upstream not in known:
        raise ConfigError(f"default_upstream: there is no upstream '{config.default_upstream}'")


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
