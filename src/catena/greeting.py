"""What a person sees when the server starts: where it is, where turns are kept, and the first lines to try."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final

from rich.markup import escape

from catena import __version__
from catena.config import Config, database_path, is_postgres, masked, needs_keys

__all__ = ["greeting"]

_USUAL: Final = "http://127.0.0.1:8080/v1"
"""Where the commands look for a server by themselves."""


def greeting(config: Config, url: str) -> str:
    """The first page, as Rich markup."""
    key = ' -H "authorization: Bearer $CATENA_API_KEY"' if needs_keys(config) else ""
    curl = f"curl -s {url}/responses{key} -H 'content-type: application/json' -d"
    rows = {
        "URL": url,
        "Turns": _turns(config),
        "Models": _models(config),
        "Key": _key(config),
    }
    if config.explorer.enabled:
        rows["Explorer"] = f"{url.removesuffix('/v1')}/"
    table = "\n".join(f"  [dim]{name:<10}[/]{escape(value)}" for name, value in rows.items())
    first = """{"model": "gpt-4o", "input": "My name is Ada."}"""
    then = """{"model": "gpt-4o", "input": "What is my name?", "previous_response_id": "resp_…"}"""
    return (
        f"\n[bold]Catena {__version__}[/] remembers.\n\n{table}\n\n"
        f"Try it: say something, then go on with the id that came back.\n\n"
        f"  {escape(curl)} '{escape(first)}'\n"
        f"  {escape(curl)} '{escape(then)}'\n\n"
        f"[dim]Or talk to it from another terminal: {escape(_chat(url))}\n"
        f"Or with the official SDK: OPENAI_BASE_URL={url}. Stop with Ctrl-C.[/]\n"
    )


def _chat(url: str) -> str:
    """The command that talks to this server, as the reader's shell finds it."""
    ours = Path(sys.executable).with_name("catena")
    command = "catena" if shutil.which("catena") else min(str(ours), os.path.relpath(ours), key=len)
    return f"{command} chat" if url == _USUAL else f"{command} chat --url {url}"


def _turns(config: Config) -> str:
    if is_postgres(config):
        return str(masked(("store", "database"), config.store.database))
    return str(database_path(config))


def _key(config: Config) -> str:
    if config.server.api_key:
        return "needed (CATENA_API_KEY)"
    return "needed (catena keys create)" if needs_keys(config) else "none: only this machine can connect"


def _models(config: Config) -> str:
    if not config.upstreams:
        return "any name; the embedded model answers (small, for trying out)"
    default = config.default_upstream or next(iter(config.upstreams))
    settings = config.upstreams[default]
    where = "the embedded model" if settings.kind == "embedded" else ", ".join(settings.urls)
    mapped = f"{len(config.models)} mapped; " if config.models else ""
    return f"{mapped}any other name goes to {where}" if mapped else f"any name goes to {where}"
