"""The command line: `catena serve`, `catena model`. It reads settings, builds the parts once and shows what is up."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from catena import __version__
from catena.config import Config, ConfigError, load_config
from catena.embedded import CODER, PullFailed, find
from catena.errors import CatenaError
from catena.greeting import greeting
from catena.provision import fetch_weights, provide

__all__ = ["main"]

app = typer.Typer(
    name="catena",
    help="A self-hosted server for the Responses API that remembers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
model_app = typer.Typer(help="The embedded model.", no_args_is_help=True)
app.add_typer(model_app, name="model")

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def main() -> None:
    """The `catena` command."""
    app()


def _version(asked: bool) -> None:
    if asked:
        console.print(f"catena {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """A self-hosted server for the Responses API that remembers."""


@app.command()
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
    settings = _settings(config, flags)
    _log_to_stderr(settings)
    try:
        provide(settings, console)
        _run(settings)
    except (CatenaError, ConfigError, PullFailed, OSError) as error:
        _stop(str(error))


def _settings(path: Path | None, flags: dict[tuple[str, ...], Any]) -> Config:
    found = path or next(
        (p for p in [Path(os.environ.get("CATENA_CONFIG", "catena.toml"))] if p.exists()), None
    )
    try:
        return load_config(found, flags=flags)
    except ConfigError as error:
        _stop(str(error))


@model_app.command()
def pull(
    destination: Annotated[Path | None, typer.Argument(help="Where to; by default the cache.")] = None,
) -> None:
    """Fetch the weights of the embedded model, verified by their hash; a pull that was cut goes on."""
    try:
        console.print(f"{CODER.name}: {fetch_weights(console, destination)}")
    except (PullFailed, OSError) as error:
        _stop(str(error))


@model_app.command()
def where() -> None:
    """Say where the weights of the embedded model are."""
    found = find()
    if found is None:
        _stop("The embedded model is not on this machine yet: catena model pull")
    console.print(str(found))


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


def _stop(reason: str) -> NoReturn:
    errors.print("[bold red]catena:[/]", escape(reason))
    raise typer.Exit(1)
