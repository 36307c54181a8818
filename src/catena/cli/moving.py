"""`catena export`, `catena import`, `catena backup`: what is stored, out of one database and into another."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from catena.access.registry import is_name
from catena.cli.exporting import export_chain
from catena.cli.remote import DEFAULT_URL, Url
from catena.cli.terminal import settings, stop
from catena.cli.transcripts import Format
from catena.config import Config
from catena.ids import tree_of
from catena.store.moving import Which

__all__ = ["backup", "export_all", "import_all"]

_OFFICIAL = "https://api.openai.com/v1"

Database = Annotated[
    str | None, typer.Option("--database", help="A path, or postgresql://…; as `serve` has it.")
]


def export_all(
    response_id: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]", help="Only the chain that ends in this response, from a running server."
        ),
    ] = None,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write; by default the standard output.")
    ] = None,
    database: Database = None,
    project: Annotated[str | None, typer.Option(help="Only what this project has.")] = None,
    tree: Annotated[
        str | None, typer.Option(help="Only the tree of this response or conversation.", metavar="ID")
    ] = None,
    since: Annotated[
        datetime | None, typer.Option(help="Only trees with a turn of this time (UTC) or later.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(help="Only trees with a turn of before this time (UTC).")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a file that was cut.")] = False,
    form: Annotated[Format | None, typer.Option("--format", help="How a chain is written down.")] = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Write what is stored as lines of JSON, whole trees with their ids; a server may go on meanwhile.

    With an ID, the one chain that ends in it: for people (md), or for programs (jsonl, openai-messages).
    """
    if response_id is not None:
        if database or project or tree or since or until or resume:
            stop(
                "With an ID there are only --format, --output and --url: the chain comes from a running server."
            )
        export_chain(response_id, form, output, url)
        return
    if form is not None:
        stop("--format is how a chain is written down: say which one, catena export ID --format FORMAT")
    which = Which(
        project=project,
        tree=_tree_key(tree),
        since=_seconds(since) if since else 0,
        until=_seconds(until) if until else 2**32,
    )
    if resume and output is None:
        stop("--resume needs the file that is to be continued: --output FILE")
    from catena.cli import removal

    removal.run(removal.export_to(output, _settings(database), which, resume=resume))


def import_all(
    source: Annotated[
        Path | None, typer.Argument(help="The export; by default the standard input.", show_default=False)
    ] = None,
    *,
    database: Database = None,
    project: Annotated[
        str | None, typer.Option(help="Put all into this project instead of the one it was of.")
    ] = None,
    from_openai: Annotated[
        bool, typer.Option("--from-openai", help="Fetch responses from the official API, by their ids.")
    ] = False,
    ids: Annotated[
        Path | None,
        typer.Option(
            "--ids", help="With --from-openai: a file with an id on each line; - is the standard input."
        ),
    ] = None,
    base_url: Annotated[
        str, typer.Option(help="With --from-openai: where the API is.", envvar="OPENAI_BASE_URL")
    ] = _OFFICIAL,
) -> None:
    """Put an export into the database, or with --from-openai stored responses of the official API.

    Ids are kept. What is there already stays as it is, so an import that was cut is simply repeated.
    """
    from catena.cli import removal

    if project is not None and not is_name(project):
        stop(f"--project {project!r} is no name of a project: no key could open it.")
    config = _settings(database)
    if from_openai:
        key = os.environ.get("OPENAI_API_KEY")
        if not key:
            stop("The API's key is expected in the environment variable OPENAI_API_KEY.")
        wanted = _ids(ids)
        work = removal.import_official(config, wanted, project or "default", base_url.rstrip("/"), key)
    else:
        work = removal.import_from(source, config, project)
    removal.run(work)


def backup(
    destination: Annotated[Path, typer.Argument(help="The file to write; it must not be there yet.")],
    *,
    database: Database = None,
) -> None:
    """Copy a SQLite database as it is at this moment, also while a server has it."""
    from catena.cli import removal

    config = _settings(database)
    if "://" in config.store.database:
        stop("A PostgreSQL database is backed up with its own tools: pg_dump, or the provider's snapshots.")
    removal.run(removal.back_up(destination, config))


def _settings(database: str | None) -> Config:
    return settings(flags={("store", "database"): database})


def _ids(file: Path | None) -> list[str]:
    if file is None:
        stop("--from-openai needs the ids of the responses: --ids FILE, or --ids - for the standard input.")
    try:
        return (sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")).split()
    except OSError as error:
        stop(f"{file}: {error.strerror}")


def _seconds(moment: datetime) -> int:
    return int(moment.replace(tzinfo=UTC).timestamp())


def _tree_key(any_id: str | None) -> str | None:
    """The key of the tree that an id of a response or of a conversation is in."""
    if any_id is None:
        return None
    found = tree_of(any_id)
    if found is None:
        stop(f"--tree: expected the id of a response or of a conversation, not {any_id!r}")
    return found
