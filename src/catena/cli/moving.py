"""`catena export`, `catena import`, `catena backup`: what is stored, out of one database and into another."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from catena.access import DEFAULT_PROJECT
from catena.access.registry import is_name
from catena.cli.exporting import export_chain
from catena.cli.options import Where, grouped
from catena.cli.remote import DEFAULT_URL, Url
from catena.cli.terminal import stop
from catena.cli.transcripts import Format
from catena.config import is_postgres
from catena.ids import tree_of
from catena.store.moving import Which

__all__ = ["backup", "export_all", "import_all"]

_OFFICIAL = "https://api.openai.com/v1"


@dataclass(frozen=True)
class Part:
    """Which part of what is stored is meant: all of it, unless something is said."""

    project: Annotated[str | None, typer.Option(help="Only what this project has.")] = None
    tree: Annotated[
        str | None, typer.Option(help="Only the tree of this response or conversation.", metavar="ID")
    ] = None
    since: Annotated[
        datetime | None, typer.Option(help="Only trees with a turn of this time (UTC) or later.")
    ] = None
    until: Annotated[
        datetime | None, typer.Option(help="Only trees with a turn of before this time (UTC).")
    ] = None

    def which(self) -> Which:
        """The trees of it. What is no id of a tree ends the command."""
        return Which(
            project=self.project,
            tree=_tree_key(self.tree),
            since=_seconds(self.since) if self.since else 0,
            until=_seconds(self.until) if self.until else 2**32,
        )


@grouped
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
    where: Where,
    part: Part,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a file that was cut.")] = False,
    form: Annotated[Format | None, typer.Option("--format", help="How a chain is written down.")] = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Write what is stored as lines of JSON, whole trees with their ids; a server may go on meanwhile.

    With an ID, the one chain that ends in it: for people (md), or for programs (jsonl, openai-messages).
    """
    from catena.cli import house

    if response_id is not None:
        if resume or part != Part() or where != Where():
            stop(
                "With an ID there are only --format, --output and --url: the chain comes from a running server."
            )
        export_chain(response_id, form, output, url)
        return
    if form is not None:
        stop("--format is how a chain is written down: say which one, catena export ID --format FORMAT")
    if resume and output is None:
        stop("--resume needs the file that is to be continued: --output FILE")
    house.run(house.export_to(output, where.settings(), part.which(), resume=resume))


@dataclass(frozen=True)
class Official:
    """What is fetched from the official API, in place of an export."""

    from_openai: Annotated[
        bool, typer.Option("--from-openai", help="Fetch responses from the official API, by their ids.")
    ] = False
    ids: Annotated[
        Path | None,
        typer.Option(help="With --from-openai: a file with an id on each line; - is the standard input."),
    ] = None
    base_url: Annotated[
        str, typer.Option(help="With --from-openai: where the API is.", envvar="OPENAI_BASE_URL")
    ] = _OFFICIAL

    def key(self) -> str:
        """What opens it. Without one the command ends."""
        key = os.environ.get("OPENAI_API_KEY")
        if not key:
            stop("The API's key is expected in the environment variable OPENAI_API_KEY.")
        return key

    def wanted(self) -> list[str]:
        """The ids of the responses. Without any the command ends."""
        if self.ids is None:
            stop(
                "--from-openai needs the ids of the responses: --ids FILE, or --ids - for the standard input."
            )
        try:
            given = sys.stdin.read() if str(self.ids) == "-" else self.ids.read_text(encoding="utf-8")
        except OSError as error:
            stop(f"{self.ids}: {error.strerror}")
        return given.split()


@grouped
def import_all(
    source: Annotated[
        Path | None, typer.Argument(help="The export; by default the standard input.", show_default=False)
    ] = None,
    *,
    where: Where,
    project: Annotated[
        str | None, typer.Option(help="Put all into this project instead of the one it was of.")
    ] = None,
    official: Official,
) -> None:
    """Put an export into the database, or with --from-openai stored responses of the official API.

    Ids are kept. What is there already stays as it is, so an import that was cut is simply repeated.
    """
    from catena.cli import house

    if project is not None and not is_name(project):
        stop(f"--project {project!r} is no name of a project: no key could open it.")
    config = where.settings()
    if official.from_openai:
        key, base_url = official.key(), official.base_url.rstrip("/")
        work = house.import_official(config, official.wanted(), project or DEFAULT_PROJECT, base_url, key)
    else:
        work = house.import_from(source, config, project)
    house.run(work)


@grouped
def backup(
    destination: Annotated[Path, typer.Argument(help="The file to write; it must not be there yet.")],
    where: Where,
) -> None:
    """Copy a SQLite database as it is at this moment, also while a server has it."""
    from catena.cli import house

    config = where.settings()
    if is_postgres(config):
        stop("A PostgreSQL database is backed up with its own tools: pg_dump, or the provider's snapshots.")
    house.run(house.back_up(destination, config))


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
