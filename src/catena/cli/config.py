"""`catena config`: what is set, where it comes from, and whether it can be used."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer
from rich.markup import escape

from catena.cli.harmless import as_json
from catena.cli.options import AsJson, ConfigFile
from catena.cli.terminal import console, loaded, stop, strays_in
from catena.config import SHORT_NAMES, Loaded, masked, variable_of
from catena.config.problems import Place, spoken
from catena.errors import CatenaError

__all__ = ["app"]

app = typer.Typer(help="The settings.", no_args_is_help=True)


@app.command()
def check(*, config: ConfigFile = None) -> None:
    """Say whether the server would start with these settings; exit with 1 if not."""
    from catena.cli.serve import settings_to_serve

    try:
        in_force = settings_to_serve(config, {})
    except CatenaError as error:
        stop(str(error))
    # Where the database has keys, they are needed.
    found = loaded(config, {("keys", "required"): in_force.keys.required or None})
    strays = strays_in(found.config)
    if strays:
        stop("\n".join(strays))
    sources = {source.partition(":")[0] for *_, source in found.each()}
    named = sorted(sources - {"default", "the command line"})
    console.print(f"The settings are good ({', '.join(named) or 'defaults only'}).")


@app.command()
def show(
    *,
    config: ConfigFile = None,
    json: AsJson = False,
    changed: Annotated[bool, typer.Option("--changed", help="Only what is not the default.")] = False,
) -> None:
    """Show every setting in force and where it was set. Secrets are masked."""
    rows = [row for row in _rows(loaded(config)) if not changed or row["source"] != "default"]
    if json:
        typer.echo(as_json(rows))
        return
    table = ""
    for row in rows:
        name, key = row["table"], row["key"]
        if name != table:
            table = name
            console.print(f"\n[bold]\\[{escape(name)}][/]")
        source = "" if row["source"] == "default" else f"  [dim]# {escape(row['source'])}[/]"
        console.print(f"{key} = {escape(_toml(row['value']))}{source}", soft_wrap=True)


def _rows(found: Loaded) -> list[dict[str, str]]:
    rows = []
    # What stands in no table comes first, as in the file.
    for place, value, source in sorted(found.each(), key=lambda each: len(each[0]) > 1):
        rows.append(
            {
                "table": spoken(place[:-1]),
                "key": spoken(place[-1:]),
                "value": masked(place, value),
                "source": source,
                "variable": _variable(place),
            }
        )
    return rows


def _variable(place: Place) -> str:
    return next((name for name, named in SHORT_NAMES.items() if named == place), variable_of(place))


def _toml(value: object) -> str:
    """A value as the file would have it; None, which it has no word for, is told as unset."""
    # TOML writes texts, numbers, booleans and lists as JSON does.
    return "(unset)" if value is None else msgspec.json.encode(value).decode()
