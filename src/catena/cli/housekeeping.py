"""`catena gc`: what has had its time is removed now, or counted."""

from __future__ import annotations

from typing import Annotated

import typer

from catena.cli.harmless import as_json
from catena.cli.options import AsJson, Where, grouped
from catena.cli.terminal import console
from catena.config import Config, is_postgres

__all__ = ["gc"]


@grouped
def gc(
    *,
    where: Where,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; count the turns and ids that are due.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Remove what has had its time, as a running server does by itself every hour."""
    from catena.cli import house

    config = where.settings()
    if not is_postgres(config):
        house.existing_path(config)
    house.run(_sweep(config, dry_run=dry_run, json=json))


async def _sweep(config: Config, *, dry_run: bool, json: bool) -> None:
    from catena.cli import house

    async with (house.snapshot if dry_run else house.opened)(config) as store:
        retention = house.retention_of(store, config)
        counts = await (retention.due() if dry_run else retention.sweep())
    if json:
        typer.echo(as_json(counts))
        return
    if dry_run:
        console.print(
            f"{counts.turns} turns have had their time, and {counts.deleted_ids} ids of deleted turns",
            soft_wrap=True,
        )
        return
    console.print(
        f"Removed: {counts.turns} turns, {counts.deleted_ids} ids of deleted turns, {counts.files} expired files, "
        f"{counts.abandoned_uploads} uploads that were never finished",
        soft_wrap=True,
    )
