"""`catena serve`: the server, from settings to the signal that stops it."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from catena.cli.terminal import console, settings, stop
from catena.config import Config, ConfigError
from catena.embedded import PullFailed
from catena.errors import CatenaError
from catena.greeting import greeting
from catena.provision import provide

__all__ = ["serve"]


def serve(
    *,
    host: Annotated[
        str | None, typer.Option(help="Address to bind; beyond loopback a key is needed.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to bind; 0 takes a free one.")] = None,
    database: Annotated[str | None, typer.Option(help="Where turns are kept: a path.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="A settings file; by default ./catena.toml if there is one.")
    ] = None,
    upstream: Annotated[
        str | None, typer.Option(help="Base URL of an engine, for instance http://localhost:11434/v1.")
    ] = None,
    upstream_key: Annotated[
        str | None, typer.Option(help="Its key. Better: the environment variable CATENA_UPSTREAM_KEY.")
    ] = None,
    upstream_kind: Annotated[
        str | None, typer.Option(help="chat (most engines) or responses (OpenAI, a Responses server).")
    ] = None,
    model_path: Annotated[
        Path | None, typer.Option("--model", help="A GGUF file for the embedded engine instead of its own.")
    ] = None,
) -> None:
    """Run the server. Without an upstream, the small model that comes embedded answers."""
    flags: dict[tuple[str, ...], Any] = {
        ("server", "host"): host,
        ("server", "port"): port,
        ("store", "database"): database,
        ("upstreams", "default", "url"): upstream,
        ("upstreams", "default", "key"): upstream_key,
        ("upstreams", "default", "kind"): upstream_kind or ("embedded" if model_path else None),
        ("upstreams", "default", "model_path"): str(model_path) if model_path else None,
    }
    found = settings(config, flags)
    _log_to_stderr(found)
    try:
        provide(found, console)
        _run(found)
    except (CatenaError, ConfigError, PullFailed, OSError) as error:
        stop(str(error))


def _run(config: Config) -> None:
    from catena.server import bind, event_loop, open_app, serve  # imports the world: only when it is needed

    async def until_stopped() -> None:
        listening = bind(config)
        async with open_app(config) as opened:
            address, port = listening.getsockname()[:2]
            shown = "127.0.0.1" if address in ("0.0.0.0", "::") else address  # noqa: S104 - only compared
            url = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/v1"
            console.print(greeting(config, url), soft_wrap=True)  # lines to copy are not broken
            await serve(opened, [listening], stop_within=config.server.stop_seconds)

    with asyncio.Runner(loop_factory=event_loop) as runner:
        runner.run(until_stopped())


def _log_to_stderr(config: Config) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("catena").setLevel(logging.INFO)
    logging.getLogger("catena.access").setLevel(logging.INFO if config.server.access_log else logging.WARNING)
