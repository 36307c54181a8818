"""Who comes in: the gate of a server, as the settings have it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from catena.access import READ_ONLY, Key, Keys, Registry
from catena.access.key_file import KeyFileError, load_keys
from catena.access.keys import plain_key
from catena.access.tokens import SignedTokens, TokenSettings
from catena.config import Config, ConfigError
from catena.limits import Limits
from catena.store import Store
from catena.upstream.http import HttpClient, Timeouts
from catena.web.gate import Gate, Proxy, networks

__all__ = ["gate_of"]

_TIMEOUTS: Final = Timeouts(connect=5.0, first=5.0, between=5.0)


def gate_of(config: Config, store: Store) -> Gate:
    """Raises ConfigError, for a file of keys that cannot be used."""
    settings = config.keys
    keys = Keys(
        _fixed_keys(config),
        registry=Registry(store.documents),
        tokens=_tokens(config),
        required=settings.required or bool(settings.proxy_header),
        defaults=Limits(
            requests_per_minute=config.limits.requests_per_minute,
            tokens_per_minute=config.limits.tokens_per_minute,
            concurrent_runs=config.limits.concurrent_runs,
            stored_bytes=config.limits.stored_bytes,
        ),
    )
    return Gate(
        keys,
        proxy=_proxy(config),
        end_user_header=settings.end_user_header.lower().encode() or None,
        organization=settings.organization or None,
        hosts=config.server.hosts,
    )


def _fixed_keys(config: Config) -> list[Key]:
    keys = []
    if config.server.api_key:
        keys.append(plain_key(config.server.api_key, name="server.api_key"))
    if config.server.read_only_api_key:
        name = "server.read_only_api_key"
        keys.append(plain_key(config.server.read_only_api_key, allowed=sorted(READ_ONLY), name=name))
    if config.keys.file:
        try:
            keys += load_keys(Path(config.keys.file).expanduser())
        except KeyFileError as error:
            raise ConfigError(f"keys.file: {error}") from error
    return keys


def _tokens(config: Config) -> SignedTokens | None:
    settings = config.oidc
    if not settings.issuer:
        return None
    try:
        return SignedTokens(
            TokenSettings(**msgspec.structs.asdict(settings)), HttpClient(timeouts=_TIMEOUTS, max_idle=1)
        )
    except ImportError as error:
        raise ConfigError("oidc.issuer: needs the extra `oidc`: pip install 'catena[oidc]'") from error


def _proxy(config: Config) -> Proxy | None:
    settings = config.keys
    if not settings.proxy_header:
        return None
    return Proxy(settings.proxy_header.lower().encode(), networks(settings.proxy_addresses))
