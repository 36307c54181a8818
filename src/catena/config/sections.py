"""Every key that can be set, with its default and what it does, one struct for each table of the file.

A key that is added here has its place in the file, its environment variable (`CATENA_SECTION__KEY`) and its checks at
once; docs/settings.md needs its line.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

from catena.upstream.traits import Content, Grammar, Optional

__all__ = [
    "BackgroundSection",
    "ChainSettings",
    "Config",
    "ExplorerSettings",
    "FileSettings",
    "KeySettings",
    "LimitSettings",
    "LogSettings",
    "MetricsSettings",
    "ModelRoute",
    "OidcSettings",
    "PromptSettings",
    "ServerSettings",
    "StoreSettings",
    "StreamSettings",
    "ToolSettings",
    "TraceSettings",
    "UpstreamSettings",
    "WebSocketSettings",
    "WebhookSettings",
]

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
AtLeastOne: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0)]
Port: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Share: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1)]


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class ServerSettings(_Section, frozen=True, kw_only=True):
    host: str = "127.0.0.1"
    port: Port = 8080
    """0 takes any free port."""
    api_key: str | None = None
    """Clients must send it as `Authorization: Bearer …`. Required beyond loopback."""
    read_only_api_key: str | None = None
    """A second key, which may read but not create or delete."""
    max_body_bytes: AtLeastOne = 100 * 1024 * 1024
    done_sentinel: bool = False
    """End Responses streams with `data: [DONE]`, which some clients expect and the original does not send."""
    workers: AtLeastOne = 1
    """How many processes answer, over one socket. More than one needs PostgreSQL."""
    stop_seconds: Seconds = 10.0
    """How long a server that is told to stop lets requests under way go on."""
    access_log: bool = False
    """One line for each request, with ids and counts only."""
    client_seconds: Seconds = 30.0
    """For how long a client may not come on, with its request or with taking the reply; 0 is without end."""
    keep_alive_seconds: AtLeastOne = 75
    """How long a connection over which nothing is asked stays open: longer than clients, and what is in between, keep
    it, or they ask over one that is just being closed."""
    hosts: list[str] = []
    """Names that a server without keys answers under, beside the local ones."""


class KeySettings(_Section, frozen=True, kw_only=True):
    """Where keys come from, beside `server.api_key` and those that `catena keys create` makes."""

    required: bool = False
    """Answer nobody without a key, also while there is none yet."""
    file: str = ""
    """A file of keys, in clear or hashed."""
    proxy_header: str = ""
    """The header in which an authenticating proxy names the project that it asks for."""
    proxy_addresses: list[str] = []
    """The addresses and networks that this header is trusted from."""
    end_user_header: str = ""
    """The header that names the end user of each request, who sees only what was stored for them."""
    organization: str = ""
    """What clients may name in `OpenAI-Organization`; by default anything."""


class OidcSettings(_Section, frozen=True, kw_only=True):
    """An identity provider whose bearer tokens are taken for keys; needs the extra `oidc`."""

    issuer: str = ""
    audience: str = ""
    """What the tokens for this server name."""
    jwks_url: str = ""
    """Where the keys are that they are signed with."""
    project: str = ""
    """The project of all of them, instead of that in a claim."""
    project_claim: str = "project"
    scopes_claim: str = "scope"
    """A claim with words, in one text or a list."""
    scopes: list[str] = []
    """What a token without that claim gives."""


class LimitSettings(_Section, frozen=True, kw_only=True):
    """How much each project may have that has no limits of its own; 0 is without end."""

    requests_per_minute: Count = 0
    tokens_per_minute: Count = 0
    concurrent_runs: Count = 0
    stored_bytes: Count = 0


class StoreSettings(_Section, frozen=True, kw_only=True):
    database: str = ""
    """A path, or `postgresql://…`. By default a file in the user's data folder."""
    durability: Literal["full", "normal"] = "full"
    """`full` survives power loss at once; `normal` survives any crash of the process, and power loss but for the
    last moments."""
    connections: AtLeastOne = 10
    """How many connections to PostgreSQL each process has at most."""
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    """How long PostgreSQL may take for an answer; then requests fail with 503."""
    pooled: bool = False
    """A transaction pooler such as PgBouncer stands between: nothing is kept in a session."""
    outage_seconds: Seconds = 60.0
    """How long a stream waits to be stored, where the store cannot be reached; then it fails."""
    retention_days: Count = 30
    """Trees whose newest turn is older are removed; 0 keeps everything."""
    retention_days_by_project: dict[str, Count] = {}
    """Projects that keep turns for another number of days."""
    seal_keys: str = ""
    """The file of the keys that summaries and reasoning are sealed with for clients, one a line, the newest last. By
    default beside the database; it is made when it is first needed. Servers that share clients share it."""
    encryption_key_file: str = ""
    """The file of the keys that contents are encrypted with at rest, one a line, the newest last; by default they are
    not. It is made when it is first needed, and never again once anything is encrypted."""


class ChainSettings(_Section, frozen=True, kw_only=True):
    require_same_model: bool = False
    """Refuse to continue a chain on another model than its last turn's."""
    cache_bytes: Count = 256 * 1024 * 1024
    """Memory for rendered histories."""


class StreamSettings(_Section, frozen=True, kw_only=True):
    grace_seconds: Annotated[float, msgspec.Meta(ge=-1)] = 10.0
    """How long a stored stream goes on when its client is gone; 0 ends it at once, -1 never."""
    log_seconds: Seconds = 0.0
    """How often what an engine has sent is saved while a stream goes on; 0: each piece, before it is told, so that a
    crash takes nothing back."""
    wait_for_log: bool = False
    """With PostgreSQL: whether a stream waits while the database is away, for up to `store.outage_seconds`, so that
    what it tells can always be told again by another server. Otherwise it goes on, and is logged when that is back."""
    ping_seconds: Seconds = 15.0
    """A stream that is idle this long gets a comment, so that nothing in between closes it, and a WebSocket a ping; 0
    sends none."""


class WebSocketSettings(_Section, frozen=True, kw_only=True):
    lifetime_seconds: Seconds = 3600.0
    """How long one connection may last; 0 is without end."""
    in_flight: AtLeastOne = 16
    """How many responses are produced at once on one connection; more wait."""
    lanes: AtLeastOne = 32
    """How many names of lanes one connection may use."""
    waiting: Count = 256
    """How many requests may wait on one connection."""
    warm_engine: bool = False
    """Have the engine read the context of a response with `generate: false`, so that its cache is warm."""


class BackgroundSection(_Section, frozen=True, kw_only=True):
    concurrency: AtLeastOne = 16
    """How many background responses are produced at once."""
    queue: Count = 1000
    """How many may wait; beyond that clients are told to come back later."""
    tries: AtLeastOne = 3
    """How often one is begun again after a crash of its server."""
    lease_seconds: Seconds = 30.0
    """After how long without a sign of life a run's server is taken for dead."""
    keep_unstored_seconds: Seconds = 600.0
    """How long the result of a background response with `store: false` can be fetched."""


class WebhookSettings(_Section, frozen=True, kw_only=True):
    allow_private: bool = False
    """Deliver to private addresses too: to this machine, and to the networks that it stands in."""
    concurrency: AtLeastOne = 16
    """How many are delivered at once."""
    timeout_seconds: Seconds = 10.0
    """How long an endpoint may take to answer."""
    give_up_hours: Seconds = 72.0
    """For how long one that does not answer is tried again."""


class MetricsSettings(_Section, frozen=True, kw_only=True):
    open: bool = False
    """`/metrics` needs no key beyond loopback either."""


class TraceSettings(_Section, frozen=True, kw_only=True):
    enabled: bool = False
    """Tell OpenTelemetry of every run; needs `catena[otel]`."""
    endpoint: str = ""
    """Where to, by OTLP over HTTP, for instance `http://localhost:4318/v1/traces`; by default what the variables of
    OpenTelemetry say."""
    sample_ratio: Share = 1.0
    """How many of the traces that begin here are kept. A client that sends a `traceparent` decides for itself."""


class LogSettings(_Section, frozen=True, kw_only=True):
    format: Literal["text", "json"] = "text"
    """`json`: one object in each line."""
    level: Literal["debug", "info", "warning", "error"] = "info"


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


class FileSettings(_Section, frozen=True, kw_only=True):
    """Files that clients upload, and what messages carry besides text."""

    max_bytes: AtLeastOne = 512 * 1024 * 1024
    """The largest file that can be uploaded."""
    prompt_bytes: AtLeastOne = 50 * 1024 * 1024
    """How much the images and files in one context may have in all."""
    fetch: bool = True
    """Fetch what a `file_url` names; false refuses it."""
    fetch_images: bool = False
    """Fetch images too and give engines their contents; false gives them the URL."""
    fetch_private: bool = False
    """Fetch from private addresses too: from this machine, and from the networks that it stands in."""
    fetch_bytes: AtLeastOne = 20 * 1024 * 1024
    """The largest file that is fetched."""
    fetch_seconds: Seconds = 15.0
    """How long that may take."""


class PromptSettings(_Section, frozen=True, kw_only=True):
    folder: str = ""
    """Where prompt templates are, one folder for each; by default there are none."""


class ExplorerSettings(_Section, frozen=True, kw_only=True):
    enabled: bool = True
    """Serve the explorer at `/`. Its pages hold no data; what they show they ask the API for, with a key if one is
    set."""


class SearchSettings(_Section, frozen=True, kw_only=True):
    enabled: bool = True
    """Keep an index of all words beside the database, so that lists can be searched."""


class UpstreamSettings(_Section, frozen=True, kw_only=True):
    kind: Literal["chat", "responses", "embedded"] = "chat"
    url: str | list[str] = []
    """The base URL, with `/v1` where the engine has it; several are equal replicas."""
    key: str | None = None
    key_env: str | None = None
    """The environment variable that holds the key."""
    connect_timeout: Seconds = 5.0
    first_timeout: Seconds = 300.0
    """Seconds until the engine's first sign of life."""
    between_timeout: Seconds = 120.0
    """Seconds between two pieces of an answer."""
    parse_think: bool = True
    """Take `<think>…</think>` at the beginning of an answer as reasoning."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    """The engine's name for the limit; by default the one that its host is known to take."""
    accepts: list[Content] | None = None
    """What its models read; by default text, images and audio, for `responses` files as well."""
    passes: list[Optional] | None = None
    """The optional settings of requests that it is given; by default those that its host is known to take."""
    grammar: Grammar = "none"
    """How it is told what form the input of a custom tool must have."""
    reasoning_field: Literal["none", "reasoning", "reasoning_content"] = "none"
    """Where its messages take reasoning of earlier turns back; with `none` it is not shown any."""
    context_window: AtLeastOne | None = None
    """How many tokens a context may have, for an engine that does not tell it itself."""
    model_path: str | None = None
    """For `embedded`: a GGUF file instead of the default model."""
    context_tokens: AtLeastOne = 8192
    """For `embedded`: the size of its context window."""

    @property
    def urls(self) -> list[str]:
        return [self.url] if isinstance(self.url, str) else self.url


class ModelRoute(_Section, frozen=True, kw_only=True):
    upstream: str
    model: str | None = None
    """The engine's own name for it; by default the client's."""
    accepts: list[Content] | None = None
    """What this model reads, where it differs from the upstream's others."""
    context_window: AtLeastOne | None = None
    """How many tokens its context may have; by default what the engine, or its upstream's setting, tells."""


class Config(_Section, frozen=True, kw_only=True):
    """Everything that can be set."""

    server: ServerSettings = ServerSettings()
    store: StoreSettings = StoreSettings()
    chains: ChainSettings = ChainSettings()
    streams: StreamSettings = StreamSettings()
    websocket: WebSocketSettings = WebSocketSettings()
    background: BackgroundSection = BackgroundSection()
    webhooks: WebhookSettings = WebhookSettings()
    metrics: MetricsSettings = MetricsSettings()
    traces: TraceSettings = TraceSettings()
    logs: LogSettings = LogSettings()
    tools: ToolSettings = ToolSettings()
    files: FileSettings = FileSettings()
    keys: KeySettings = KeySettings()
    oidc: OidcSettings = OidcSettings()
    limits: LimitSettings = LimitSettings()
    prompts: PromptSettings = PromptSettings()
    explorer: ExplorerSettings = ExplorerSettings()
    search: SearchSettings = SearchSettings()
    upstreams: dict[str, UpstreamSettings] = {}
    models: dict[str, ModelRoute] = {}
    default_upstream: str | None = None
    """The upstream for model names without a mapping; by default the first."""
