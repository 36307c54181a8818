"""What a person sees when the server starts: where it is, where turns are kept, and the first lines to try."""

from __future__ import annotations

from rich.markup import escape

from catena import __version__
from catena.config import Config, database_path

__all__ = ["greeting"]


def greeting(config: Config, url: str) -> str:
    """The first page, as Rich markup."""
    key = ' -H "authorization: Bearer $CATENA_API_KEY"' if config.server.api_key else ""
    curl = f"curl -s {url}/responses{key} -H 'content-type: application/json' -d"
    rows = {
        "URL": url,
        "Turns": str(database_path(config)),
        "Models": _models(config),
        "Key": "needed (CATENA_API_KEY)" if config.server.api_key else "none: only this machine can connect",
    }
    table = "\n".join(f"  [dim]{name:<8}[/]{escape(value)}" for name, value in rows.items())
    first = """{"model": "gpt-4o", "input": "My name is Ada."}"""
    then = """{"model": "gpt-4o", "input": "What is my name?", "previous_response_id": "resp_…"}"""
    return (
        f"\n[bold]Catena {__version__}[/] remembers.\n\n{table}\n\n"
        f"Try it: say something, then go on with the id that came back.\n\n"
        f"  {escape(curl)} '{escape(first)}'\n"
        f"  {escape(curl)} '{escape(then)}'\n\n"
        "[dim]Or with the official SDK: OPENAI_BASE_URL=" + url + ". Stop with Ctrl-C.[/]\n"
    )


def _models(config: Config) -> str:
    if not config.upstreams:
        return "any name; the embedded model answers (small, for trying out)"
    default = config.default_upstream or next(iter(config.upstreams))
    settings = config.upstreams[default]
    where = "the embedded model" if settings.kind == "embedded" else ", ".join(settings.urls)
    mapped = f"{len(config.models)} mapped; " if config.models else ""
    return f"{mapped}any other name goes to {where}" if mapped else f"any name goes to {where}"
