"""What a context has attached, put in for the engine that is asked.

What is wrong with new input is the client's to hear, by name. In what was said earlier, contents that are gone leave a
note to the model: the chain goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from catena.contents import Contents
from catena.context.attach import (
    Attach,
    CannotAttach,
    Found,
    chat_part,
    gone,
    responses_part,
    source_of,
)
from catena.context.media import Draft, Part, filled, parts_of
from catena.errors import BadRequest
from catena.fetching import Fetcher
from catena.store import Files
from catena.upstream import CHAT_DIALECTS, Dialect
from catena.upstream.traits import Traits
from catena.wire.response import Item

__all__ = ["Attachments", "Reader"]

_OURS: Final = re.compile(r"file-[0-9a-f]{32}")

_MOST_ON_THE_LOOP: Final = 256 * 1024
"""Bytes that are encoded without a thread. More would hold everybody else up."""


class Reader(msgspec.Struct, frozen=True):
    """Who is to read: an engine of a dialect, with what it takes, asked for as `model`."""

    dialect: Dialect
    traits: Traits
    model: str

    @property
    def chats(self) -> bool:
        """Whether it speaks Chat Completions."""
        return self.dialect in CHAT_DIALECTS

    def source(self, part: Part, *, fetch_images: bool) -> str | None:
        """The id or URL of what has to be found for it; None if the engine is given the part as it is."""
        if part["type"] == "input_audio":
            return None
        field, value = source_of(part)
        match field:
            case "file_id":
                # Others are files of the engine's own.
                return value if self.chats or _OURS.fullmatch(value) else None
            case "file_url":
                return value if self.chats or "file" not in self.traits.accepts else None
            case "image_url" if fetch_images and value[:4].lower() == "http":
                return value
        return None


class Attachments:
    """Puts attachments in. Without a `fetcher` nothing is fetched; with `fetch_images` images are, which engines are
    otherwise given the URLs of. `max_bytes` bounds what one context has in all."""

    def __init__(
        self,
        files: Files,
        fetcher: Fetcher | None = None,
        *,
        max_bytes: int = 50 * 1024 * 1024,
        fetch_images: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._contents = Contents(files, fetcher, clock=clock)
        self._max_bytes = max_bytes
        self._fetch_images = fetch_images

    async def put_in(
        self,
        project: str,
        fragments: Sequence[bytes],
        own: Sequence[Item],
        reader: Reader,
        *,
        place: str | None = None,
    ) -> list[bytes]:
        """The fragments as the reader can be sent them.

        `own` are the items of the new input, which are among them. Its faults are told by their places, or, with
        `place`, by that. Raises BadRequest for what is not there or cannot be shown, or StoreUnavailable.
        """
        drafts = [fragment for fragment in fragments if type(fragment) is Draft]
        gathering = _Gathering(
            self._contents, project, reader, left=self._max_bytes, fetch_images=self._fetch_images
        )
        new = list(_placed(own, place))
        for path, part in new:
            with _naming(path, exact=place is None):
                await gathering.find(part)
        with _naming_the_model(reader.model):
            for draft in drafts:
                for part in _parts_in(draft):
                    await gathering.find_again(part)

        def fill() -> list[bytes]:
            for path, part in new:
                with _naming(path, exact=place is None):
                    gathering.attach(part)
            with _naming_the_model(reader.model):
                return [filled(each, gathering.attach) if type(each) is Draft else each for each in fragments]

        if gathering.size + sum(map(len, drafts)) > _MOST_ON_THE_LOOP:
            return await asyncio.to_thread(fill)
        return fill()


class _Gathering:
    """The contents for one prompt, by their ids and URLs. None is what is gone."""

    def __init__(
        self, contents: Contents, project: str, reader: Reader, *, left: int, fetch_images: bool
    ) -> None:
        self.size = 0
        self._contents = contents
        self._project = project
        self._reader = reader
        self._left = left
        self._fetch_images = fetch_images
        self._found: dict[str, Found | None] = {}

    async def find(self, part: Part) -> None:
        """Find what a new part names. Raises CannotAttach."""
        source = self._source(part)
        if source is None or source in self._found:
            return
        field, _ = source_of(part)
        try:
            if field == "file_id":
                found = await self._contents.load(self._project, source, self._left)
                if found is None:
                    raise CannotAttach(f"No such File object: {source}", code="file_not_found")
            else:
                found = await self._contents.fetch(source, self._left)
        except CannotAttach as error:
            error.field = field
            raise
        self._add(source, found)

    async def find_again(self, part: Part) -> None:
        """Find what a part of an earlier turn names, unless it is gone. Raises CannotAttach if that is too much."""
        source = self._source(part)
        if source is None or source in self._found:
            return
        try:
            if part.get("file_id"):
                found = await self._contents.load(self._project, source, self._left)
            else:
                found = self._contents.remembered(source) or await self._contents.fetch(source, self._left)
        except CannotAttach as error:
            if error.code == "files_too_large":
                raise
            found = None
        self._add(source, found)

    def attach(self, part: Part) -> Part:
        """The part as the reader is given it. Raises CannotAttach."""
        reader = self._reader
        source = self._source(part)
        if source is not None and self._found.get(source) is None:
            return gone(part, kind="text" if reader.chats else "input_text")
        found = None if source is None else self._found[source]
        attach: Attach = chat_part if reader.chats else responses_part
        return attach(part, found, reader.traits.accepts)

    def _source(self, part: Part) -> str | None:
        return self._reader.source(part, fetch_images=self._fetch_images)

    def _add(self, source: str, found: Found | None) -> None:
        self._found[source] = found
        if found is not None:
            self.size += len(found.content)
            self._left -= len(found.content)


def _placed(items: Sequence[Item], place: str | None) -> Iterator[tuple[str, Part]]:
    """The attachments of new input with their places."""
    for index, item in enumerate(items):
        for name, at, part in parts_of(item):
            yield place or f"input[{index}].{name}" + ("" if at is None else f"[{at}]"), part


def _parts_in(draft: Draft) -> list[Part]:
    parts: list[Part] = []

    def keep(part: Part) -> Part:
        parts.append(part)
        return part

    filled(draft, keep)
    return parts


@contextlib.contextmanager
def _naming(path: str, *, exact: bool) -> Iterator[None]:
    """What cannot be attached is a fault of the new part at `path`."""
    try:
        yield
    except CannotAttach as error:
        raise _refused(error, path, exact=exact) from error


def _refused(error: CannotAttach, path: str, *, exact: bool) -> BadRequest:
    param = f"{path}.{error.field}" if exact and error.field else path
    if error.code == "missing_required_parameter":
        return BadRequest(
            f"Missing required parameter: '{param}'. {error.message}", param=param, code=error.code
        )
    return BadRequest(f"Invalid '{param}': {error.message}", param=param, code=error.code)


@contextlib.contextmanager
def _naming_the_model(model: str) -> Iterator[None]:
    """What cannot be attached stands in an earlier turn, which nobody can change."""
    try:
        yield
    except CannotAttach as error:
        raise BadRequest(
            f"Model '{model}' cannot be shown what was attached earlier in this chain or conversation: "
            f"{error.message} Continue with another model.",
            param="model",
            code=error.code,
        ) from error
