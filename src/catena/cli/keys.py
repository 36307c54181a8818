"""`catena keys`: what opens a server. A key is shown once, when it is made; only its hash is kept."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer
from msgspec.structs import asdict
from rich.markup import escape

from catena.access import DEFAULT_PROJECT, Key
from catena.access.scopes import SCOPES, USUAL
from catena.cli.harmless import as_json
from catena.cli.options import AsJson, Where, grouped
from catena.cli.registry import KeyLimits, day, rows, seconds_of, with_registry
from catena.cli.terminal import console, errors

__all__ = ["app"]

app = typer.Typer(help="The keys that open a server.", no_args_is_help=True)

KeyId = Annotated[str, typer.Argument(help="The id of the key, as `catena keys list` shows it.")]


@app.command()
@grouped
def create(
    *,
    project: Annotated[str, typer.Option(help="The project that it opens.")] = DEFAULT_PROJECT,
    name: Annotated[str, typer.Option(help="What it is for, for whoever reads the list.")] = "",
    scope: Annotated[
        list[str] | None, typer.Option(help=f"What it may do, once for each: {', '.join(SCOPES)}.")
    ] = None,
    expires: Annotated[str | None, typer.Option(help="When it expires: 90d, 12h, 30m.")] = None,
    given: KeyLimits,
    json: AsJson = False,
    where: Where,
) -> None:
    """Make a key, and show it: this once."""
    expires_at = int(time.time()) + seconds_of(expires) if expires is not None else None
    made = with_registry(
        where,
        lambda registry: registry.create_key(
            project,
            name=name,
            scopes=tuple(scope or USUAL),
            expires_at=expires_at,
            limits=given.limits,
        ),
    )
    _show_new(*made, json)


@app.command("list")
@grouped
def list_all(
    *,
    project: Annotated[str | None, typer.Option(help="Only those of this project.")] = None,
    json: AsJson = False,
    where: Where,
) -> None:
    """Show all keys, without what opens."""
    keys = with_registry(where, lambda registry: registry.keys(project))
    if json:
        typer.echo(as_json([_shape(key) for key in keys]))
        return
    if not keys:
        errors.print("No keys yet. The first one closes the server to everybody without: catena keys create")
    now = time.time()
    rows(
        ["id", "key", "project", "name", "state", "last used", "scopes"],
        [
            [
                key.id,
                key.hint,
                key.project,
                key.name,
                _state(key, now),
                day(key.last_used_at),
                "all but admin" if tuple(key.scopes) == USUAL else " ".join(key.scopes),
            ]
            for key in keys
        ],
    )


@app.command()
@grouped
def revoke(key_id: KeyId, *, json: AsJson = False, where: Where) -> None:
    """Have a key open nothing any more, on any server, within seconds."""
    key = with_registry(where, lambda registry: registry.revoke_key(key_id))
    if json:
        typer.echo(as_json(_shape(key)))
        return
    console.print(f"[bold]{key.id}[/] revoked {day(key.revoked_at)}")


@app.command()
@grouped
def rotate(
    key_id: KeyId,
    *,
    grace: Annotated[str, typer.Option(help="How long the old one goes on: 24h, 30m, 0s.")] = "0s",
    json: AsJson = False,
    where: Where,
) -> None:
    """Make a new key that may do the same, show it once, and let the old one end."""
    seconds = seconds_of(grace)
    made = with_registry(where, lambda registry: registry.rotate_key(key_id, grace=seconds))
    _show_new(*made, json)


def _show_new(key: Key, secret: str, json: bool) -> None:
    if json:
        typer.echo(as_json({**_shape(key), "key": secret}))
        return
    console.print(secret, soft_wrap=True, markup=False)
    about = f"{key.id}, for the project {key.project}"
    console.print(f"[dim]{escape(about)}. Keep it now: it is not shown again.[/]", soft_wrap=True)


def _shape(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "project": key.project,
        "name": key.name,
        "hint": key.hint,
        "scopes": key.scopes,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
        "limits": asdict(key.limits),
    }


def _state(key: Key, now: float) -> str:
    if key.revoked_at is not None:
        return f"revoked {day(key.revoked_at)}"
    if not key.is_good(now):
        return f"expired {day(key.expires_at)}"
    return f"until {day(key.expires_at)}" if key.expires_at is not None else "good"
