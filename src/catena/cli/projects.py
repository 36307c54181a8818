"""`catena projects`: the tenants of a server, and how much each may have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from msgspec.structs import asdict
from rich.markup import escape

from catena.access import DEFAULT_PROJECT, Project, Registry
from catena.cli.harmless import as_json
from catena.cli.options import AsJson, Where, grouped
from catena.cli.registry import ProjectLimits, day, rows, with_registry
from catena.cli.terminal import console
from catena.limits import Limits

__all__ = ["app"]

app = typer.Typer(help="The tenants of a server.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The name of the project.")]


@app.command()
@grouped
def create(name: Name, *, given: ProjectLimits, json: AsJson = False, where: Where) -> None:
    """Make a project. Make keys for it with: catena keys create --project NAME"""
    _show(with_registry(where, lambda registry: registry.create_project(name, given.limits)), json)


@app.command()
@grouped
def limit(name: Name, *, given: ProjectLimits, json: AsJson = False, where: Where) -> None:
    """Give a project other limits; servers take them up within seconds."""
    _show(with_registry(where, lambda registry: registry.set_limits(name, given.limits)), json)


@app.command("list")
@grouped
def list_all(*, json: AsJson = False, where: Where) -> None:
    """Show all projects; the default one is there without being made."""
    projects = with_registry(where, _all)
    if json:
        typer.echo(as_json([_shape(project) for project in projects]))
        return
    rows(
        ["project", "created", "limits", "revoked"],
        [
            [project.name, day(project.created_at or None), _spoken(project.limits), day(project.revoked_at)]
            for project in projects
        ],
    )


@app.command()
@grouped
def revoke(name: Name, *, json: AsJson = False, where: Where) -> None:
    """Have no key of a project open anything any more. What it has stored stays."""
    _show(with_registry(where, lambda registry: registry.revoke_project(name)), json)


async def _all(registry: Registry) -> Sequence[Project]:
    made = await registry.projects()
    has_default = any(project.name == DEFAULT_PROJECT for project in made)
    return made if has_default else [Project(name=DEFAULT_PROJECT), *made]


def _show(project: Project, json: bool) -> None:
    if json:
        typer.echo(as_json(_shape(project)))
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
