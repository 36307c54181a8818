"""`catena gc`: what has had its time is removed now, or counted."""

from __future__ import annotations

import time
from typing import Annotated

import msgspec
import typer

from catena.cli.moving import Database
from catena.cli.terminal import console, settings
from catena.config import Config, is_postgres

__all__ = ["gc"]


def gc(
    *,
    database: Database = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; count the turns and ids that are due.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The counts as JSON.")] = False,
) -> None:
    """Remove what has had its time, as a running server does by itself every hour."""
    from catena.cli import removal

    config = settings(flags={("store", "database"): database})
    if not is_postgres(config):
        removal.existing_path(config)
    removal.run(_sweep(config, dry_run=dry_run, as_json=as_json))


async def _sweep(config: Config, *, dry_run: bool, as_json: bool) -> None:
    from catena.cli import removal
    from catena.history import History
    from catena.prefix import PrefixCache
    from catena.retention import Retention
    from catena.server import retention_term

    async with (removal.snapshot if dry_run else removal.house)(config) as store:
        history = History(store, PrefixCache(0))
        retention = Retention(store, history, term=retention_term(config), clock=time.time)
        counts = await (retention.due() if dry_run else retention.sweep())
    if as_json:
        console.out(msgspec.json.encode(counts).decode())
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
