"""Files: uploaded in pieces, listed, read, deleted; and what is said of a form that is none."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import pytest

from catena.config import Config
from catena.config.sections import FileSettings
from catena.store import Store
from catena.store.files import PIECE
from tests.conformance.proves import proves
from tests.running import LIMIT, RunningServer, StartServer

LARGE = os.urandom(2 * PIECE + 1000)


def form(*parts: bytes, boundary: bytes = b"xyz", end: bytes = b"--xyz--\r\n") -> dict[str, Any]:
    """A form as it goes over the wire."""
    body = b"".join(b"--xyz\r\ncontent-disposition: form-data; " + part + b"\r\n" for part in parts)
    return {
        "content": body + end,
        "headers": {"content-type": f"multipart/form-data; boundary={boundary.decode()}"},
    }


PURPOSE = b'name="purpose"\r\n\r\nuser_data'
FILE = b'name="file"; filename="a.txt"\r\n\r\nhello'


def error_of(reply: httpx2.Response) -> tuple[int, str | None, str | None]:
    error = reply.json()["error"]
    return reply.status_code, error["param"], error["code"]


async def pieces_in(store: Store) -> int:
    """How many pieces of files there are on the disk, whether a file claims them or not."""
    rows = await store._database.aside(  # type: ignore[attr-defined]  # of SQLite
        lambda reader: list(reader.execute("SELECT count(*) FROM file_pieces"))
    )
    return int(rows[0][0])


@proves("1.files")
async def test_a_file_is_uploaded_listed_read_and_deleted(server: RunningServer) -> None:
    files = server.client.files
    created = await files.create(file=("größe.bin", LARGE), purpose="user_data")
    assert (created.filename, created.bytes, created.purpose) == ("größe.bin", len(LARGE), "user_data")
    assert (created.object, created.status, created.expires_at) == ("file", "processed", None)
    assert await files.retrieve(created.id) == created
    assert (await files.list()).data == [created]
    assert (await files.content(created.id)).content == LARGE
    deleted = await files.delete(created.id)
    assert deleted.model_dump() == {"id": created.id, "object": "file", "deleted": True}
    assert await pieces_in(server.store) == 0
    for call in (files.retrieve, files.content, files.delete):
        with pytest.raises(openai.NotFoundError, match=f"No such File object: {created.id}"):
            await call(created.id)


@proves("1.files")
async def test_files_are_listed_newest_first_page_by_page_and_by_purpose(server: RunningServer) -> None:
    files = server.client.files
    purposes: list[Any] = ["user_data", "vision", "user_data"]
    one, two, three = [
        (await files.create(file=("a.txt", b"%d" % number), purpose=purpose)).id
        for number, purpose in enumerate(purposes)
    ]
    assert [file.id for file in (await files.list()).data] == [three, two, one]
    assert [file.id async for file in files.list(limit=1, order="asc")] == [one, two, three]
    assert [file.id for file in (await files.list(purpose="vision")).data] == [two]
    page = (await server.http.get(f"/files?limit=1&after={three}")).json()
    assert (page["first_id"], page["last_id"], page["has_more"]) == (two, two, True)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("limit=0", ("limit", "integer_below_min_value")),
        ("limit=10001", ("limit", "integer_above_max_value")),
        ("order=up", ("order", "invalid_value")),
        ("purpose=none", ("purpose", "invalid_value")),
    ],
)
async def test_a_list_that_cannot_be_is_refused(
    server: RunningServer, query: str, error: tuple[str, str]
) -> None:
    assert error_of(await server.http.get(f"/files?{query}")) == (400, *error)


@proves("1.files.expiry")
async def test_a_file_expires_when_it_was_asked_to(server: RunningServer) -> None:
    created = await server.client.files.create(
        file=("a.txt", b"x"), purpose="user_data", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert created.expires_at == created.created_at + 3600
    batch = await server.client.files.create(file=("a.jsonl", b"{}"), purpose="batch")
    assert batch.expires_at == batch.created_at + 30 * 86_400
    assert await server.store.files.load("default", created.id, now=created.expires_at - 1) is not None
    assert await server.store.files.load("default", created.id, now=created.expires_at) is None


@pytest.mark.parametrize(
    ("parts", "error"),
    [
        ([FILE], ("purpose", "missing_required_parameter")),
        ([PURPOSE], ("file", "missing_required_parameter")),
        ([PURPOSE, b'name="file"\r\n\r\nhello'], ("file", "invalid_type")),
        ([PURPOSE, FILE, FILE], ("file", "invalid_value")),
        ([b'name="purpose"\r\n\r\nnone', FILE], ("purpose", "invalid_value")),
        ([PURPOSE, b'name="porpoise"\r\n\r\nx', FILE], ("porpoise", "unknown_parameter")),
        (
            [PURPOSE, b'name="expires_after[seconds]"\r\n\r\n3600', FILE],
            ("expires_after.anchor", "missing_required_parameter"),
        ),
        (
            [PURPOSE, b'name="expires_after[anchor]"\r\n\r\ncreated_at', FILE],
            ("expires_after.seconds", "missing_required_parameter"),
        ),
        (
            [PURPOSE, b'name="expires_after[anchor]"\r\n\r\nnow', FILE],
            ("expires_after.anchor", "invalid_value"),
        ),
        ([PURPOSE, b'name="purpose"\r\n\r\n' + b"x" * 5000, FILE], ("purpose", "string_above_max_length")),
        ([PURPOSE, b"filename=nothing\r\n\r\nhello"], (None, "invalid_form")),
        ([b'name="purpose"\r\n\r\nvision'] * 65, (None, "invalid_form")),
    ],
)
async def test_a_form_that_is_wrong_is_refused_by_name_and_nothing_is_left(
    server: RunningServer, parts: list[bytes], error: tuple[str | None, str]
) -> None:
    assert error_of(await server.http.post("/files", **form(*parts))) == (400, *error)
    assert await pieces_in(server.store) == 0


@pytest.mark.parametrize("seconds", [b"3599", b"2592001", b"soon", b"-1", "٣٦٠٠".encode()])
async def test_an_expiry_out_of_bounds_is_refused(server: RunningServer, seconds: bytes) -> None:
    anchor = b'name="expires_after[anchor]"\r\n\r\ncreated_at'
    parts = [PURPOSE, anchor, b'name="expires_after[seconds]"\r\n\r\n' + seconds, FILE]
    status, param, _ = error_of(await server.http.post("/files", **form(*parts)))
    assert (status, param) == (400, "expires_after.seconds")


async def test_a_body_that_is_no_form_is_refused(server: RunningServer) -> None:
    assert error_of(await server.post("/files", {"purpose": "user_data"})) == (400, None, "invalid_value")
    cut = form(PURPOSE, FILE, end=b"")
    assert error_of(await server.http.post("/files", **cut)) == (400, None, "invalid_form")
    other = form(PURPOSE, FILE, boundary=b"abc")
    assert error_of(await server.http.post("/files", **other)) == (400, None, "invalid_form")
    nameless: dict[str, Any] = {"content": b"", "headers": {"content-type": "multipart/form-data"}}
    assert error_of(await server.http.post("/files", **nameless)) == (400, None, "invalid_form")
    assert await pieces_in(server.store) == 0


async def test_a_file_over_the_limit_is_refused_whether_its_length_is_told_or_not(
    start_server: StartServer,
) -> None:
    config = Config(files=FileSettings(max_bytes=3 * PIECE))
    async with start_server(config=config) as server:
        over = form(PURPOSE, b'name="file"; filename="a"\r\n\r\n' + b"x" * (3 * PIECE + 1))
        assert error_of(await server.http.post("/files", **over)) == (413, "file", "file_too_large")
        twice = form(PURPOSE, b'name="file"; filename="a"\r\n\r\n' + b"x" * (6 * PIECE))
        assert error_of(await server.http.post("/files", **twice)) == (413, "file", "file_too_large")
        assert await pieces_in(server.store) == 0
        fits = form(PURPOSE, b'name="file"; filename="a"\r\n\r\n' + b"x" * (3 * PIECE))
        assert (await server.http.post("/files", **fits)).status_code == 200


async def test_contents_are_given_as_a_download_that_no_browser_shows(server: RunningServer) -> None:
    created = await server.client.files.create(file=("a b.html", b"<script>"), purpose="user_data")
    reply = await server.http.get(f"/files/{created.id}/content")
    assert reply.headers["content-type"] == "application/octet-stream"
    assert reply.headers["content-disposition"] == "attachment; filename*=UTF-8''a%20b.html"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["content-length"] == "8"


@pytest.mark.parametrize("name", ["../../etc/passwd", 'a"b\r\nc: d', "x" * 1000, "😀"])
async def test_a_name_is_only_a_name(server: RunningServer, name: str) -> None:
    created = await server.client.files.create(file=(name, b"x"), purpose="user_data")
    assert len(created.filename) <= 255
    assert (await server.client.files.content(created.id)).content == b"x"


async def test_of_an_upload_that_breaks_off_nothing_is_left(server: RunningServer) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    part = form(PURPOSE, b'name="file"; filename="a"\r\n\r\n' + b"x" * (4 * PIECE))
    head = f"content-length: {len(part['content'])}\r\ncontent-type: {part['headers']['content-type']}\r\n"
    writer.write(f"POST /v1/files HTTP/1.1\r\nhost: {host}\r\n{head}\r\n".encode())
    writer.write(part["content"][: 2 * PIECE])
    async with asyncio.timeout(LIMIT):
        while not await pieces_in(server.store):
            pass
        writer.close()
        while await pieces_in(server.store):
            pass


async def test_an_upload_holds_up_nobody(server: RunningServer) -> None:
    """While contents are on their way, turns are stored and other files are there."""
    halfway, go_on = asyncio.Event(), asyncio.Event()

    async def content() -> AsyncIterator[bytes]:
        whole = form(PURPOSE, b'name="file"; filename="a"\r\n\r\n' + LARGE)["content"]
        yield whole[:PIECE]
        halfway.set()
        await go_on.wait()
        yield whole[PIECE:]

    headers = form()["headers"]
    uploading = asyncio.create_task(server.http.post("/files", content=content(), headers=headers))
    async with asyncio.timeout(LIMIT):
        await halfway.wait()
        assert (await server.post("/responses", {"model": "m", "input": "?"})).status_code == 200
        other = await server.client.files.create(file=("b", b"b"), purpose="user_data")
        assert [file.id for file in (await server.client.files.list()).data] == [other.id]
        go_on.set()
        reply = await uploading
    assert (await server.client.files.content(reply.json()["id"])).content == LARGE
