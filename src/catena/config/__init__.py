"""The settings: `catena.toml`, then the environment, then flags; each overrides the one before.

Every key has a default (`sections`). What was set is gathered with where it was set (`sources`), and checked key by key
(`reading`) and as a whole (`rules`). A key that is not known is an error that names it and its line.
"""

from __future__ import annotations

from catena.config.loading import Loaded, load, load_config
from catena.config.masking import MASK, masked
from catena.config.problems import ConfigError
from catena.config.rules import (
    database_path,
    encryption_key_path,
    is_loopback,
    is_postgres,
    needs_keys,
    seal_keys_path,
)
from catena.config.sections import (
    BackgroundSection,
    ChainSettings,
    Config,
    ExplorerSettings,
    FileSettings,
    KeySettings,
    LimitSettings,
    LogSettings,
    MetricsSettings,
    ModelRoute,
    OidcSettings,
    PromptSettings,
    SearchSettings,
    ServerSettings,
    StoreSettings,
    StreamSettings,
    ToolSettings,
    TraceSettings,
    UpstreamSettings,
    WebhookSettings,
    WebSocketSettings,
)
from catena.config.sources import SHORT_NAMES, variable_of

__all__ = [
    "MASK",
    "SHORT_NAMES",
    "BackgroundSection",
    "ChainSettings",
    "Config",
    "ConfigError",
    "ExplorerSettings",
    "FileSettings",
    "KeySettings",
    "LimitSettings",
    "Loaded",
    "LogSettings",
    "MetricsSettings",
    "ModelRoute",
    "OidcSettings",
    "PromptSettings",
    "SearchSettings",
    "ServerSettings",
    "StoreSettings",
    "StreamSettings",
    "ToolSettings",
    "TraceSettings",
    "UpstreamSettings",
    "WebSocketSettings",
    "WebhookSettings",
    "database_path",
    "encryption_key_path",
    "is_loopback",
    "is_postgres",
    "load",
    "load_config",
    "masked",
    "needs_keys",
    "seal_keys_path",
    "variable_of",
]
