"""`catena projects`: the tenants of a server, and how much each may have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from msgspec.structs import asdict
from rich.markup import escape

from catena.access import DEFAULT_PROJECT, Project, Registry
from catena.cli.registry import (
    AsJson,
    Concurrent,
    ConfigFile,
    Database,
    Rpm,
    StoredBytes,
    Tpm,
    day,
    limits_of,
    rows,
    show_json,
    with_registry,
)
from catena.cli.terminal import console
from catena.limits import Limits

__all__ = ["app"]

app = typer.Typer(help="The tenants of a server.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The name of the project.")]


@app.command()
def create(
    name: Name,
    rpm: Rpm = None,
    tpm: Tpm = None,
    concurrent: Concurrent = None,
    stored_bytes: StoredBytes = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    database: Database = None,
) -> None:
    """Make a project. Make keys for it with: catena keys create --project NAME"""
    limits = limits_of(rpm, tpm, concurrent, stored_bytes)
    _show(with_registry(lambda registry: registry.create_project(name, limits), config, database), as_json)


@app.command()
def limit(
    name: Name,
    rpm: Rpm = None,
    tpm: Tpm = None,
    concurrent: Concurrent = None,
    stored_bytes: StoredBytes = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    database: Database = None,
) -> None:
    """Give a project other limits; servers take them up within seconds."""
    limits = limits_of(rpm, tpm, concurrent, stored_bytes)
    _show(with_registry(lambda registry: registry.set_limits(name, limits), config, database), as_json)


@app.command("list")
def list_all(as_json: AsJson = False, config: ConfigFile = None, database: Database = None) -> None:
    """Show all projects; the default one is there without being made."""
    projects = with_registry(_all, config, database)
    if as_json:
        show_json([_shape(project) for project in projects])
        return
    rows(
        ["project", "created", "limits", "revoked"],
        [
            [project.name, day(project.created_at or None), _spoken(project.limits), day(project.revoked_at)]
            for project in projects
        ],
    )


@app.command()
def revoke(name: Name, as_json: AsJson = False, config: ConfigFile = None, database: Database = None) -> None:
    """Have no key of a project open anything any more. What it has stored stays."""
    _show(with_registry(lambda registry: registry.revoke_project(name), config, database), as_json)


async def _all(registry: Registry) -> Sequence[Project]:
    made = await registry.projects()
    has_default = any(project.name == DEFAULT_PROJECT for project in made)
    return made if has_default else [Project(name=DEFAULT_PROJECT), *made]


def _show(project: Project, as_json: bool) -> None:
    if as_json:
        show_json(_shape(project))
        return
    state = f"revoked {day(project.revoked_at)}" if project.revoked_at else _spoken(project.limits)
    console.print(f"[bold]{escape(project.name)}[/] {state}".rstrip())


def _shape(project: Project) -> dict[str, Any]:
    return {
        "name": project.name,
        "created_at": project.created_at or None,
        "revoked_at": project.revoked_at,
        "limits": asdict(project.limits),
    }


def _spoken(limits: Limits) -> str:
    given = {name: getattr(limits, name) for name in limits.__struct_fields__}
    return ", ".join(f"{name} {value}" for name, value in given.items() if value is not None)
