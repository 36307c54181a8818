"""`catena serve`: the server, from settings to the signal that stops it."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer
from rich.markup import escape

from catena.cli.options import ConfigFile, Database, grouped
from catena.cli.registry import has_keys
from catena.cli.terminal import console, errors, settings, stop, strays_in
from catena.config import Config, ConfigError, is_loopback
from catena.embedded import PullFailed
from catena.errors import CatenaError
from catena.greeting import greeting
from catena.logs import keep_logs
from catena.open_files import raise_open_files_limit
from catena.provision import providing

__all__ = ["serve", "settings_to_serve"]

Flags: TypeAlias = dict[tuple[str, ...], Any]


@dataclass(frozen=True)
class Engine:
    """The engine that answers, where it is not the one of the settings."""

    upstream: Annotated[
        str | None, typer.Option(help="Base URL of an engine, for instance http://localhost:11434/v1.")
    ] = None
    upstream_key: Annotated[
        str | None, typer.Option(help="Its key. Better: the environment variable CATENA_UPSTREAM_KEY.")
    ] = None
    upstream_kind: Annotated[
        str | None, typer.Option(help="chat (most engines) or responses (OpenAI, a Responses server).")
    ] = None
    model_path: Annotated[
        Path | None, typer.Option("--model", help="A GGUF file for the embedded engine instead of its own.")
    ] = None

    def flags(self) -> Flags:
        """The settings that it is."""
        return {
            ("upstreams", "default", "url"): self.upstream,
            ("upstreams", "default", "key"): self.upstream_key,
            ("upstreams", "default", "kind"): self.upstream_kind or ("embedded" if self.model_path else None),
            ("upstreams", "default", "model_path"): str(self.model_path) if self.model_path else None,
        }


@grouped
def serve(
    *,
    host: Annotated[
        str | None, typer.Option(help="Address to bind; beyond loopback a key is needed.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to bind; 0 takes a free one.")] = None,
    database: Database = None,
    workers: Annotated[
        int | None, typer.Option(help="How many processes answer; more than one needs PostgreSQL.")
    ] = None,
    config: ConfigFile = None,
    engine: Engine,
) -> None:
    """Run the server. Without an upstream, the small model that comes embedded answers."""
    flags: Flags = {
        ("server", "host"): host,
        ("server", "port"): port,
        ("server", "workers"): workers,
        ("store", "database"): database,
        **engine.flags(),
    }
    found = settings_to_serve(config, flags)
    raise_open_files_limit()
    for stray in strays_in(found):
        errors.print(f"[bold yellow]catena:[/] {escape(stray)}")
    keep_logs(found.logs, requests=found.server.access_log)
    try:
        _run(found)
    except (CatenaError, ConfigError, PullFailed, OSError) as error:
        stop(str(error))


def settings_to_serve(path: Path | None, flags: Flags) -> Config:
    """The settings in force. Where keys were made in the database, they are needed, and a network may be faced."""
    with_keys = settings(path, {**flags, ("keys", "required"): True})
    return (
        with_keys if not is_loopback(with_keys.server.host) and has_keys(with_keys) else settings(path, flags)
    )


def _run(config: Config) -> None:
    listening = _listen(config)
    with providing(config, console):
        if config.server.workers == 1:
            _run_alone(config, listening)
            return
        from catena.workers import Workers

        if not Workers(config, listening).run(lambda: _greet(config, listening)):
            raise typer.Exit(1)


def _listen(config: Config) -> socket.socket:
    from catena.http_server import bind  # imports the world: only when it is needed

    try:
        return bind(config)
    except OSError as error:
        address = f"{config.server.host}:{config.server.port}"
        stop(
            f"Cannot listen on {address}: {error.strerror}. Choose another port: --port; 0 takes a free one."
        )


def _run_alone(config: Config, listening: socket.socket) -> None:
    from catena.http_server import event_loop, serve
    from catena.server import open_app

    async def until_stopped() -> None:
        async with open_app(config) as opened:
            await serve(
                opened,
                [listening],
                stop_within=config.server.stop_seconds,
                ready=lambda: _greet(config, listening),
            )

    with asyncio.Runner(loop_factory=event_loop) as runner:
        runner.run(until_stopped())


def _greet(config: Config, listening: socket.socket) -> None:
    address, port = listening.getsockname()[:2]
    shown = "127.0.0.1" if address in ("0.0.0.0", "::") else address  # noqa: S104 - only compared
    url = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/v1"
    console.print(greeting(config, url), soft_wrap=True)  # lines to copy are not broken
