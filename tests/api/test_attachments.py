"""Images, files and sounds: what an engine is given of them, and what is said where it cannot be."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from catena.config import Config
from catena.config.sections import FileSettings
from catena.fetching import Fetcher, FetchFailed
from catena.guard import Guard
from catena.upstream.http import HttpClient
from catena.upstream.scripted import ScriptedUpstream, prompt_items
from catena.upstream.traits import Traits
from tests.conformance.answers import ANSWERS, engine
from tests.conformance.proves import proves
from tests.running import RunningServer, StartServer

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels"
PNG_URL = "data:image/png;base64," + base64.b64encode(PNG).decode()
PDF = b"%PDF-1.7 pages"
PDF_URL = "data:application/pdf;base64," + base64.b64encode(PDF).decode()
CSV = b"a,b\n1,2\n"
CSV_TEXT = '<file name="a.csv">\na,b\n1,2\n\n</file>'
AUDIO = {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}
GONE = "[The file '{}' that was attached here was deleted.]"

READS_ALL = Traits(accepts=frozenset({"text", "image", "audio", "file"}))
READS_TEXT = Traits(accepts=frozenset({"text"}))
LOCAL = FileSettings(fetch_private=True)


async def uploaded(server: RunningServer, content: bytes, name: str) -> str:
    return (await server.client.files.create(file=(name, content), purpose="user_data")).id


async def asked(server: RunningServer, *parts: dict[str, Any], **request: Any) -> httpx2.Response:
    body = {"model": "m", "input": [{"role": "user", "content": list(parts)}], **request}
    return await server.post("/responses", body)


async def content_of(server: RunningServer, *parts: dict[str, Any], **request: Any) -> Any:
    """What the engine was given as the content of the last message."""
    reply = await asked(server, *parts, **request)
    assert reply.status_code == 200, reply.text
    return server.seen()[-1]["content"]


async def error_of(server: RunningServer, *parts: dict[str, Any], **request: Any) -> tuple[Any, ...]:
    before = len(server.engine.prompts)
    reply = await asked(server, *parts, **request)
    assert len(server.engine.prompts) == before
    error = reply.json()["error"]
    return reply.status_code, error["param"], error["code"]


def text(content: str) -> dict[str, Any]:
    return {"type": "input_text", "text": content}


@contextlib.asynccontextmanager
async def site(answers: dict[str, bytes]) -> AsyncIterator[str]:
    """Answers on this machine, head and body, by path; another path is not found."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ")[1].decode()
        writer.write(answers.get(path, b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"))
        with contextlib.suppress(ConnectionError):
            await writer.drain()
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


def answer(content: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (len(content), content)


def leading_to(url: str) -> bytes:
    return b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\nlocation: %b\r\n\r\n" % url.encode()


# Images


@proves("9.images")
async def test_an_image_goes_on_as_a_part_of_the_message(server: RunningServer) -> None:
    file_id = await uploaded(server, PNG, "a.png")
    for source in ({"image_url": PNG_URL}, {"file_id": file_id}):
        seen = await content_of(
            server,
            text("what?"),
            {"type": "input_image", "detail": "low", **source},
            {"type": "input_image", **source},
        )
        assert seen == [
            {"type": "text", "text": "what?"},
            {"type": "image_url", "image_url": {"url": PNG_URL, "detail": "low"}},
            {"type": "image_url", "image_url": {"url": PNG_URL}},
        ]


async def test_the_original_size_is_called_high_where_there_is_no_word_for_it(server: RunningServer) -> None:
    seen = await content_of(server, {"type": "input_image", "detail": "original", "image_url": PNG_URL})
    assert seen == [{"type": "image_url", "image_url": {"url": PNG_URL, "detail": "high"}}]


async def test_the_url_of_an_image_is_passed_on(server: RunningServer) -> None:
    seen = await content_of(server, {"type": "input_image", "image_url": "https://example.com/a.png"})
    assert seen == [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]


async def test_an_image_is_fetched_where_the_settings_say_so(start_server: StartServer) -> None:
    config = Config(files=FileSettings(fetch_private=True, fetch_images=True))
    async with site({"/a": answer(PNG), "/b": answer(b"text")}) as url, start_server(config=config) as server:
        seen = await content_of(server, {"type": "input_image", "image_url": f"{url}/a"})
        assert seen == [{"type": "image_url", "image_url": {"url": PNG_URL}}]
        refused = await error_of(server, {"type": "input_image", "image_url": f"{url}/b"})
        assert refused == (400, "input[0].content[0].image_url", "invalid_value")


@pytest.mark.parametrize(
    ("part", "field", "code"),
    [
        ({"type": "input_image"}, "image_url", "missing_required_parameter"),
        ({"type": "input_image", "image_url": "a.png"}, "image_url", "invalid_value"),
        ({"type": "input_image", "image_url": "file:///etc/passwd"}, "image_url", "invalid_value"),
        (
            {"type": "input_image", "image_url": PNG_URL, "file_id": "file-1"},
            "file_id",
            "invalid_parameter_combination",
        ),
        ({"type": "input_image", "file_id": "file-1"}, "file_id", "file_not_found"),
        ({"type": "input_file"}, "file_data", "missing_required_parameter"),
        ({"type": "input_file", "file_id": "file-" + "0" * 32}, "file_id", "file_not_found"),
        ({"type": "input_file", "file_data": "data:text/plain,hello"}, "file_data", "invalid_value"),
        ({"type": "input_file", "file_data": "no base64!"}, "file_data", "invalid_value"),
        (
            {"type": "input_file", "file_data": "AA==", "file_url": "https://example.com"},
            "file_url",
            "invalid_parameter_combination",
        ),
        ({"type": "input_file", "file_url": "http://127.0.0.1:1/"}, "file_url", "invalid_value"),
        ({"type": "input_file", "file_url": "http://169.254.169.254/latest"}, "file_url", "invalid_value"),
        ({"type": "input_file", "file_url": "file:///etc/passwd"}, "file_url", "invalid_value"),
    ],
)
async def test_an_attachment_that_cannot_be_is_refused_by_its_place(
    server: RunningServer, part: dict[str, Any], field: str, code: str
) -> None:
    assert await error_of(server, text("see"), part) == (400, f"input[0].content[1].{field}", code)


async def test_what_is_no_image_is_no_image(server: RunningServer) -> None:
    file_id = await uploaded(server, PDF, "a.png")
    refused = await error_of(server, {"type": "input_image", "file_id": file_id})
    assert refused == (400, "input[0].content[0].file_id", "invalid_value")


# Files


@proves("9.files")
@pytest.mark.parametrize(
    ("content", "name"),
    [(CSV, "a.csv"), (b"\xef\xbb\xbf" + CSV, "a.csv"), (CSV.decode().encode("utf-16"), "a.csv")],
)
async def test_a_text_file_is_put_in_as_text_with_its_name(
    server: RunningServer, content: bytes, name: str
) -> None:
    file_id = await uploaded(server, content, name)
    assert (
        await content_of(server, text("sum"), {"type": "input_file", "file_id": file_id})
        == f"sum\n\n{CSV_TEXT}"
    )
    data = base64.b64encode(content).decode()
    for given in (data, f"data:text/csv;base64,{data}"):
        seen = await content_of(server, {"type": "input_file", "file_data": given, "filename": name})
        assert seen == CSV_TEXT


async def test_a_name_cannot_end_the_frame_of_its_file(server: RunningServer) -> None:
    file_id = await uploaded(server, b"x", "a.txt")
    seen = await content_of(server, {"type": "input_file", "file_id": file_id, "filename": '"></file>\n'})
    assert seen == '<file name="___/file__">\nx\n</file>'


async def test_latin_text_is_read_where_the_name_says_that_it_is_text(server: RunningServer) -> None:
    file_id = await uploaded(server, "größe".encode("latin-1"), "a.txt")
    assert "größe" in await content_of(server, {"type": "input_file", "file_id": file_id})


async def test_other_files_go_to_engines_that_take_files_and_are_refused_for_others(
    start_server: StartServer,
) -> None:
    other = ScriptedUpstream()
    async with start_server(routes={"reader": other}, traits={"reader": READS_ALL}) as server:
        file_id = await uploaded(server, PDF, "a.pdf")
        part = {"type": "input_file", "file_id": file_id}
        assert await error_of(server, part) == (400, "input[0].content[0]", "unsupported_value")
        assert (await asked(server, part, model="reader")).status_code == 200
        assert prompt_items(other.prompts[-1])[-1]["content"] == [
            {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF_URL}}
        ]


async def test_an_image_that_comes_as_a_file_is_shown_as_an_image(server: RunningServer) -> None:
    file_id = await uploaded(server, PNG, "a.png")
    seen = await content_of(server, {"type": "input_file", "file_id": file_id})
    assert seen == [{"type": "image_url", "image_url": {"url": PNG_URL}}]


@proves("9.files.url")
async def test_a_file_is_fetched_from_its_url_and_not_again_in_later_turns(start_server: StartServer) -> None:
    answers = {"/x/a.csv": answer(CSV)}
    async with site(answers) as url, start_server(config=Config(files=LOCAL)) as server:
        part = {"type": "input_file", "file_url": f"{url}/x/a.csv"}
        first = await asked(server, part)
        assert server.seen()[-1]["content"] == CSV_TEXT
        answers.clear()
        await asked(server, text("and?"), previous_response_id=first.json()["id"])
        assert server.seen()[0]["content"] == CSV_TEXT
        listed = await server.http.get(f"/responses/{first.json()['id']}/input_items")
        assert listed.json()["data"][0]["content"] == [part]


async def test_what_cannot_be_fetched_is_told_with_the_reason(start_server: StartServer) -> None:
    config = Config(files=FileSettings(fetch_private=True, fetch_bytes=10))
    answers = {
        "/large": answer(b"x" * 11),
        "/long": answer(b"x" * 11).replace(b"content-length: 11\r\n", b""),
    }
    async with site(answers) as url, start_server(config=config) as server:
        answers |= {
            "/there": leading_to(f"{url}/here"),
            "/here": answer(b"here"),
            "/loop": leading_to("/loop"),
        }
        answers["/file"] = leading_to("file:///etc/passwd")
        for path, why in (
            ("/none", "the answer was 404"),
            ("/large", "larger than 10 bytes"),
            ("/long", "larger than 10 bytes"),
            ("/loop", "leads on more than 3 times"),
            ("/file", "Expected a URL that begins with https:// or http://"),
        ):
            reply = await asked(server, {"type": "input_file", "file_url": url + path})
            assert reply.status_code == 400
            assert reply.json()["error"]["param"] == "input[0].content[0].file_url"
            assert why in reply.json()["error"]["message"]
        assert "here" in await content_of(server, {"type": "input_file", "file_url": f"{url}/there"})


async def test_a_redirect_does_not_lead_past_the_guard(start_server: StartServer) -> None:
    """The first host is let through as public; what it leads to is looked at as well."""
    async with site({"/": leading_to("http://169.254.169.254/")}) as url:
        port = int(url.rpartition(":")[2])

        async def lookup(host: str, _: int) -> list[str]:
            return ["93.184.215.14"] if host == "public.example" else [host]

        async def resolve(host: str, _: int) -> list[str]:
            return ["127.0.0.1"]

        client = HttpClient(resolve=resolve)
        fetcher = Fetcher(client, Guard(lookup=lookup), max_bytes=100, seconds=30)
        with pytest.raises(FetchFailed, match="not public"):
            await fetcher.fetch(f"http://public.example:{port}/")
        await fetcher.close()


async def test_nothing_is_fetched_where_the_settings_say_so(start_server: StartServer) -> None:
    async with start_server(config=Config(files=FileSettings(fetch=False))) as server:
        refused = await error_of(server, {"type": "input_file", "file_url": "https://example.com/a.txt"})
        assert refused == (400, "input[0].content[0].file_url", "unsupported_value")


async def test_a_context_holds_only_so_much(start_server: StartServer) -> None:
    async with start_server(config=Config(files=FileSettings(prompt_bytes=10))) as server:
        small, more = await uploaded(server, b"x" * 6, "a.txt"), await uploaded(server, b"y" * 5, "b.txt")
        parts = [{"type": "input_file", "file_id": each} for each in (small, more)]
        assert await error_of(server, *parts) == (400, "input[0].content[1].file_id", "files_too_large")
        assert await content_of(server, parts[0], parts[0])


# Sounds


@proves("9.audio")
async def test_a_sound_goes_on_to_engines_that_hear(start_server: StartServer) -> None:
    async with start_server(routes={"reader": ScriptedUpstream()}, traits={"reader": READS_TEXT}) as server:
        assert await content_of(server, AUDIO) == [AUDIO]
        refused = await error_of(server, AUDIO, model="reader")
        assert refused == (400, "input[0].content[0]", "unsupported_value")


# Where a model cannot see


@proves("9.images.refused")
async def test_a_model_that_reads_only_text_is_shown_no_image_but_text_files(
    start_server: StartServer,
) -> None:
    reader = ScriptedUpstream()
    async with start_server(routes={"reader": reader}, traits={"reader": READS_TEXT}) as server:
        reply = await asked(server, {"type": "input_image", "image_url": PNG_URL}, model="reader")
        assert reply.status_code == 400
        assert reply.json()["error"]["param"] == "input[0].content[0]"
        assert "does not take images" in reply.json()["error"]["message"]
        seeing = await asked(server, {"type": "input_image", "image_url": PNG_URL})
        later = await asked(server, text("?"), model="reader", previous_response_id=seeing.json()["id"])
        assert (later.status_code, later.json()["error"]["param"]) == (400, "model")
        file_id = await uploaded(server, CSV, "a.csv")
        assert (
            await asked(server, {"type": "input_file", "file_id": file_id}, model="reader")
        ).status_code == 200
        assert prompt_items(reader.prompts[-1])[-1]["content"] == CSV_TEXT


# Tools


@proves("9.18.output")
async def test_the_output_of_a_tool_can_have_attachments(server: RunningServer) -> None:
    file_id = await uploaded(server, CSV, "a.csv")
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c1"}
    given = [
        {"type": "input_image", "image_url": PNG_URL},
        {"type": "input_file", "file_id": file_id},
    ]
    body = {"model": "m", "input": [call, {**output, "output": given}]}
    assert (await server.post("/responses", body)).status_code == 200
    assert server.seen()[-1] == {
        "role": "tool",
        "tool_call_id": "c1",
        "content": [{"type": "image_url", "image_url": {"url": PNG_URL}}, {"type": "text", "text": CSV_TEXT}],
    }
    body = {"model": "m", "input": [call, {**output, "output": given[1:]}]}
    assert (await server.post("/responses", body)).status_code == 200
    assert server.seen()[-1]["content"] == CSV_TEXT
    wrong = {**output, "output": [{"type": "input_file", "file_id": "file-1"}]}
    reply = await server.post("/responses", {"model": "m", "input": [call, wrong]})
    assert reply.json()["error"]["param"] == "input[1].output[0].file_id"


@proves("9.18.output")
async def test_a_screenshot_can_be_a_file(start_server: StartServer) -> None:
    engines = {"chat": ScriptedUpstream(), "responses": ScriptedUpstream(dialect="responses")}
    async with start_server(routes=engines) as server:
        file_id = await uploaded(server, PNG, "a.png")
        action = {"type": "wait"}
        call = {
            "type": "computer_call",
            "id": "cu_1",
            "call_id": "c1",
            "action": action,
            "pending_safety_checks": [],
        }
        output = {"type": "computer_call_output", "call_id": "c1"}
        screenshot = {"type": "computer_screenshot", "file_id": file_id}
        for model in engines:
            items = [{**call, "status": "completed"}, {**output, "output": screenshot}]
            reply = await server.post("/responses", {"model": model, "input": items})
            assert reply.status_code == 200, reply.text
        shown = prompt_items(engines["chat"].prompts[-1])[-1]["content"]
        assert shown == [{"type": "image_url", "image_url": {"url": PNG_URL}}]
        shown = prompt_items(engines["responses"].prompts[-1])[-1]["output"]
        assert shown == {"type": "computer_screenshot", "image_url": PNG_URL}
        lost = {**output, "output": {**screenshot, "file_id": "file-" + "0" * 32}}
        reply = await server.post(
            "/responses", {"model": "chat", "input": [{**call, "status": "completed"}, lost]}
        )
        assert reply.json()["error"]["param"] == "input[1].output.file_id"


# Chains


@proves("9.files.deleted")
async def test_a_deleted_file_leaves_a_note_in_later_turns_and_no_copy_anywhere(
    start_server: StartServer, tmp_path: Path
) -> None:
    secret = b"the secret " * 100
    async with start_server(engine=engine(ANSWERS["text"])) as server:
        file_id = await uploaded(server, secret, "a.txt")
        part = {"type": "input_file", "file_id": file_id}
        first = (await asked(server, text("read"), part)).json()["id"]
        second = (await asked(server, text("again"), previous_response_id=first)).json()["id"]
        assert secret.decode() in server.seen()[0]["content"]
        await server.client.files.delete(file_id)
        await asked(server, text("more"), previous_response_id=second)
        assert server.seen()[0]["content"] == f"read\n\n{GONE.format(file_id)}"
        everything = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
        assert b"again" in everything
        assert b"the secret the" not in everything
        items = (await server.http.get(f"/responses/{first}/input_items")).json()["data"]
        assert items[0]["content"][1] == part
        assert (await asked(server, part)).status_code == 400


async def test_another_projects_file_is_unknown(server: RunningServer) -> None:
    file_id = await uploaded(server, CSV, "a.csv")
    file = await server.store.files.load("default", file_id, now=0)
    assert file is not None
    other = await server.store.files.add(
        msgspec.structs.replace(file, project="other", id="file-" + "1" * 32)
    )
    refused = await error_of(server, {"type": "input_file", "file_id": other.id})
    assert refused == (400, "input[0].content[0].file_id", "file_not_found")


async def test_attachments_are_there_after_a_restart(start_server: StartServer) -> None:
    async with start_server() as server:
        file_id = await uploaded(server, CSV, "a.csv")
        first = (await asked(server, {"type": "input_file", "file_id": file_id})).json()["id"]
    async with start_server() as server:
        await asked(server, text("?"), previous_response_id=first)
        assert server.seen()[0]["content"] == CSV_TEXT


async def test_a_conversation_shows_what_was_attached_in_it(server: RunningServer) -> None:
    file_id = await uploaded(server, CSV, "a.csv")
    item: Any = {"type": "message", "role": "user", "content": [{"type": "input_file", "file_id": file_id}]}
    conversation = await server.client.conversations.create(items=[item])
    await asked(server, text("?"), conversation=conversation.id)
    assert server.seen()[0]["content"] == CSV_TEXT


async def test_what_cannot_be_shown_of_a_conversation_is_an_error_of_its_own(server: RunningServer) -> None:
    item: Any = {"type": "message", "role": "user", "content": [{"type": "input_image"}]}
    conversation = (await server.post("/conversations", {"items": [item]})).json()["id"]
    assert await error_of(server, text("?"), conversation=conversation) == (
        400,
        "model",
        "missing_required_parameter",
    )


async def test_old_turns_count_towards_what_a_context_holds(start_server: StartServer) -> None:
    async with start_server(config=Config(files=FileSettings(prompt_bytes=10))) as server:
        one, two = await uploaded(server, b"x" * 6, "a.txt"), await uploaded(server, b"y" * 6, "b.txt")
        first = (await asked(server, {"type": "input_file", "file_id": one})).json()["id"]
        refused = await error_of(server, {"type": "input_file", "file_id": two}, previous_response_id=first)
        assert refused == (400, "model", "files_too_large")


async def test_a_background_run_reads_files_too(server: RunningServer) -> None:
    file_id = await uploaded(server, CSV, "a.csv")
    reply = await asked(server, {"type": "input_file", "file_id": file_id}, background=True, stream=True)
    assert "response.completed" in reply.text
    assert server.seen()[-1]["content"] == CSV_TEXT


async def test_chat_completions_take_the_id_of_a_file(server: RunningServer) -> None:
    file_id = await uploaded(server, CSV, "a.csv")
    content = [{"type": "file", "file": {"file_id": file_id}}]
    body = {"model": "m", "messages": [{"role": "user", "content": content}]}
    assert (await server.post("/chat/completions", body)).status_code == 200
    assert server.seen()[-1]["content"] == CSV_TEXT
    content[0]["file"] = {"file_id": "file-1"}
    reply = await server.post("/chat/completions", body)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "messages")


# Engines of the Responses API


async def test_an_engine_of_the_responses_api_is_given_contents_in_place_of_our_ids(
    start_server: StartServer,
) -> None:
    async with start_server(engine=ScriptedUpstream(dialect="responses")) as server:
        image, pdf = await uploaded(server, PNG, "a.png"), await uploaded(server, PDF, "a.pdf")
        kept = [
            {"type": "input_image", "file_id": "file-theirs"},
            {"type": "input_file", "file_url": "https://example.com/a.pdf"},
            {"type": "input_file", "file_data": "AA==", "filename": "f"},
        ]
        seen = await content_of(
            server,
            {"type": "input_image", "file_id": image, "detail": "low"},
            {"type": "input_file", "file_id": pdf},
            *kept,
        )
        assert seen == [
            {"type": "input_image", "image_url": PNG_URL, "detail": "low"},
            {"type": "input_file", "filename": "a.pdf", "file_data": PDF_URL},
            *kept,
        ]
        first = (await asked(server, {"type": "input_file", "file_id": pdf})).json()["id"]
        await server.client.files.delete(pdf)
        await asked(server, text("?"), previous_response_id=first)
        assert server.seen()[0]["content"] == [{"type": "input_text", "text": GONE.format(pdf)}]


async def test_an_item_of_a_kind_that_nobody_knows_may_hold_anything_beside_an_image(
    start_server: StartServer,
) -> None:
    async with start_server(engine=engine(ANSWERS["text"], dialect="responses")) as server:
        image = {"type": "input_image", "image_url": PNG_URL}
        content = [image, {"untyped": 1}, "text", None]
        item = {"type": "vendor:note", "content": content}
        reply = await server.post("/responses", {"model": "m", "input": [item]})
        assert reply.status_code == 200, reply.text
        assert server.seen()[0]["content"] == content
        listed = (await server.http.get(f"/responses/{reply.json()['id']}/input_items")).json()
        assert listed["data"][0]["content"] == [{"detail": "auto", **image}, *content[1:]]
