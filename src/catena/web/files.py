"""`/v1/files`: upload, list, retrieve, read, delete."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final
from urllib.parse import quote

from catena.errors import BadRequest, NotFound, StoreUnavailable
from catena.store import Page, Store, StoredFile
from catena.store.files import piece_count
from catena.uploads import Upload, file_too_large
from catena.web.http import Reply, Request, Stream, json_reply
from catena.web.lists import listing
from catena.web.multipart import FormEvent, FormParser, PartBegin, PartData, PartEnd, boundary_of
from catena.web.routes import Routes
from catena.wire import wording
from catena.wire.files import LISTABLE, FileForm, file_form, file_object

__all__ = ["FileRoutes"]

_MOST: Final = 10_000
_FIELD_BYTES: Final = 4096
_FORM_BYTES: Final = 512 * 1024
"""What a form may have besides the contents of its file."""


class FileRoutes:
    """The handlers of one server."""

    def __init__(self, store: Store, *, max_bytes: int, clock: Callable[[], float] = time.time) -> None:
        self._files = store.files
        self._max_bytes = max_bytes
        self._clock = clock

    def register(self, routes: Routes) -> None:
        path, one = "/v1/files", "/v1/files/{file_id}"
        read, write = "api.files.read", "api.files.write"
        routes.add("POST", path, self.create, scope=write, cost="storage")
        routes.add("GET", path, self.list, scope=read)
        routes.add("GET", one, self.retrieve, scope=read)
        routes.add("DELETE", one, self.delete, scope=write)
        routes.add("GET", f"{one}/content", self.content, scope=read)

    async def create(self, request: Request) -> Reply:
        boundary = boundary_of(request.header(b"content-type"))
        told = request.header(b"content-length") or ""
        if told.isdigit() and int(told) > self._max_bytes + _FORM_BYTES:
            raise file_too_large(self._max_bytes)
        upload = Upload(self._files, now=self._clock(), max_bytes=self._max_bytes)
        try:
            filename, form = await self._received(request, FormParser(boundary), upload)
            file = await upload.finish(
                request.project, filename, form.purpose, now=self._clock(), expires_after=form.expires_after
            )
        except BaseException:
            with contextlib.suppress(StoreUnavailable):
                await upload.abandon()
            raise
        return json_reply(_shape(file))

    async def _received(self, request: Request, parser: FormParser, upload: Upload) -> tuple[str, FileForm]:
        """The name of the file, whose contents are in `upload` then, and the rest of the form."""
        form = _Form(upload)
        size = 0
        async with contextlib.aclosing(request.pieces()) as pieces:
            async for piece in pieces:
                size += len(piece)
                if size > self._max_bytes + _FORM_BYTES:
                    raise file_too_large(self._max_bytes)
                for event in parser.feed(piece):
                    await form.take(event)
        parser.close()
        if form.filename is None:
            raise wording.missing("file")
        return form.filename, file_form(form.fields)

    async def list(self, request: Request) -> Reply:
        query = request.query()
        purpose = query.one("purpose")
        if purpose is not None and purpose not in LISTABLE:
            raise wording.wrong_value("purpose", purpose, LISTABLE)
        page = Page(
            limit=query.integer("limit", _MOST, least=1, most=_MOST),
            after=query.one("after"),
            ascending=query.choice("order", "desc", ("asc", "desc")) == "asc",
        )
        files, has_more = await self._files.list(request.project, page, now=self._now(), purpose=purpose)
        return json_reply(listing([_shape(file) for file in files], has_more=has_more))

    async def retrieve(self, request: Request) -> Reply:
        return json_reply(_shape(await self._file(request)))

    async def delete(self, request: Request) -> Reply:
        (file_id,) = request.path_ids
        if not await self._files.drop(request.project, file_id, now=self._now()):
            raise _not_found(file_id)
        return json_reply({"id": file_id, "object": "file", "deleted": True})

    async def content(self, request: Request) -> Stream:
        file = await self._file(request)
        # Never shown by a browser: a file can be a page with a script in it.
        headers = {
            "content-disposition": f"attachment; filename*=UTF-8''{quote(file.filename, safe='')}",
            "x-content-type-options": "nosniff",
            "content-length": str(file.size),
        }
        return Stream(self._pieces(file), "application/octet-stream", headers)

    async def _pieces(self, file: StoredFile) -> AsyncGenerator[bytes, None]:
        for number in range(piece_count(file.size)):
            piece = await self._files.load_piece(file, number)
            if piece is None:
                raise StoreUnavailable(f"{file.id} was deleted while it was read.")
            yield piece

    async def _file(self, request: Request) -> StoredFile:
        (file_id,) = request.path_ids
        file = await self._files.load(request.project, file_id, now=self._now())
        if file is None:
            raise _not_found(file_id)
        return file

    def _now(self) -> int:
        return int(self._clock())


class _Form:
    """A form on its way in: its file goes into `upload`, the rest is kept."""

    def __init__(self, upload: Upload) -> None:
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        self._upload = upload
        self._name = ""
        self._value = b""

    async def take(self, event: FormEvent) -> None:
        match event:
            case PartBegin(name, filename):
                self._begin(name, filename)
            case PartData(data) if self._name == "file":
                await self._upload.write(data)
            case PartData(data):
                self._value += data
                if len(self._value) > _FIELD_BYTES:
                    raise wording.too_long(self._name, _FIELD_BYTES, self._text())
            case PartEnd() if self._name != "file":
                self.fields[self._name] = self._text()

    def _begin(self, name: str, filename: str | None) -> None:
        self._name, self._value = name, b""
        if name == "file":
            self.filename = _only(self.filename, filename)
            if "purpose" in self.fields:
                file_form(self.fields)  # what is wrong is said before the file is stored

    def _text(self) -> str:
        return self._value.decode("utf-8", "replace")


def _only(before: str | None, given: str | None) -> str:
    if before is not None:
        raise BadRequest(
            "Invalid 'file': expected one file, but got several.", param="file", code="invalid_value"
        )
    if given is None:
        raise BadRequest(
            "Invalid type for 'file': expected a file with a name, but got a field of text instead.",
            param="file",
            code="invalid_type",
        )
    return given or "upload"


def _not_found(file_id: str) -> NotFound:
    return NotFound(f"No such File object: {file_id}", param="id")


def _shape(file: StoredFile) -> dict[str, Any]:
    return file_object(
        file.id,
        filename=file.filename,
        purpose=file.purpose,
        size=file.size,
        created_at=file.created_at,
        expires_at=file.expires_at,
    )
