"""Prompt templates: files in a folder, filled in, and what is said where that cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import openai
import pytest
import websockets

from catena.config import Config
from catena.config.sections import PromptSettings
from catena.context.templates import SETTINGS
from catena.upstream.scripted import ScriptedUpstream
from tests.conformance.proves import proves
from tests.running import RunningServer, StartServer

ROOT = Path(__file__).parents[2]

PNG = "data:image/png;base64,iVBORw0KGgo="

POET = """
model = "small"
temperature = 0.5
instructions = "You are a {{ mood }} poet."

[defaults]
mood = "merry"

[[input]]
role = "user"
content = "Write about {{topic}}."
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "prompts"


@pytest.fixture
def config(folder: Path) -> Config:
    write(folder, "poet/1.toml", POET)
    return Config(prompts=PromptSettings(folder=str(folder)))


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


async def ask(server: RunningServer, prompt: dict[str, Any], **request: Any) -> Any:
    return await server.post("/responses", {"prompt": prompt, **request})


async def error_of(server: RunningServer, prompt: dict[str, Any], **request: Any) -> tuple[Any, ...]:
    before = len(server.engine.prompts)
    reply = await ask(server, prompt, **request)
    assert len(server.engine.prompts) == before
    error = reply.json()["error"]
    return reply.status_code, error["param"], error["code"]


@proves("9.11")
async def test_a_prompt_gives_model_instructions_input_and_settings(
    start_server: StartServer, config: Config
) -> None:
    async with start_server(config=config) as server:
        prompt: Any = {"id": "poet", "variables": {"topic": "{{mood}} rain"}}
        response = await server.client.responses.create(prompt=prompt)
        assert server.seen() == [
            {"role": "system", "content": "You are a merry poet."},
            {"role": "user", "content": "Write about {{mood}} rain."},
        ]
        assert server.engine.prompts[-1].model == "small"
        assert server.engine.prompts[-1].options == {"temperature": 0.5}
        assert (response.model, response.temperature) == ("small", 0.5)
        assert response.instructions == "You are a merry poet."
        assert response.prompt is not None
        assert response.prompt.to_dict() == prompt


@proves("9.11", "9.11.input")
async def test_what_a_request_says_itself_counts_more_and_its_input_comes_last(
    start_server: StartServer, config: Config
) -> None:
    async with start_server(config=config) as server:
        reply = await ask(
            server,
            {"id": "poet", "version": "1", "variables": {"topic": "rain", "mood": "sad"}},
            model="large",
            temperature=1,
            input="In two lines.",
        )
        assert [message["content"] for message in server.seen()] == [
            "You are a sad poet.",
            "Write about rain.",
            "In two lines.",
        ]
        await ask(
            server, {"id": "poet", "variables": {"topic": "sun"}}, previous_response_id=reply.json()["id"]
        )
        assert "Write about rain." in [message["content"] for message in server.seen()]
        assert "You are a sad poet." not in [message["content"] for message in server.seen()]
        assert (server.engine.prompts[0].model, server.engine.prompts[0].options) == (
            "large",
            {"temperature": 1},
        )
        await ask(server, {"id": "poet", "variables": {"topic": "rain"}}, instructions="Be brief.")
        assert server.seen()[0]["content"] == "Be brief."


@proves("9.11")
async def test_images_and_files_become_parts_where_their_variable_stands(
    start_server: StartServer, config: Config, folder: Path
) -> None:
    write(
        folder,
        "look/1.toml",
        '[[input]]\nrole = "user"\ncontent = "Compare {{one}} with {{two}}, {{how}}."\n'
        '[[input]]\nrole = "user"\ncontent = [{type = "input_text", text = "{{one}}"}]\n',
    )
    async with start_server(config=config) as server:
        image = {"type": "input_image", "image_url": PNG}
        text = {"type": "input_text", "text": "closely"}
        file = {"type": "input_file", "file_data": "aGVsbG8=", "filename": "a.txt"}
        await ask(server, {"id": "look", "variables": {"one": image, "two": file, "how": text}}, model="m")
        shown = {"type": "image_url", "image_url": {"url": PNG}}
        assert server.seen() == [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Compare "},
                    shown,
                    {"type": "text", "text": " with "},
                    {"type": "text", "text": '<file name="a.txt">\nhello\n</file>'},
                    {"type": "text", "text": ", closely."},
                ],
            },
            {"role": "user", "content": [shown]},
        ]


async def test_an_image_cannot_stand_in_instructions(start_server: StartServer, config: Config) -> None:
    async with start_server(config=config) as server:
        variables = {"topic": "rain", "mood": {"type": "input_image", "image_url": PNG}}
        refused = await error_of(server, {"id": "poet", "variables": variables})
        assert refused == (400, "prompt.variables.mood", "invalid_value")


async def test_instructions_can_be_a_page_of_markdown(
    start_server: StartServer, config: Config, folder: Path
) -> None:
    write(folder, "plain/1.md", "# Be {{mood}}\n\n- always\n")
    write(folder, "front/1.md", '+++\nmodel = "small"\n[defaults]\nmood = "calm"\n+++\nBe {{mood}}.\n')
    async with start_server(config=config) as server:
        await ask(server, {"id": "plain", "variables": {"mood": "calm"}}, model="m", input="?")
        assert server.seen()[0]["content"] == "# Be calm\n\n- always"
        await ask(server, {"id": "front"}, input="?")
        assert (server.seen()[0]["content"], server.engine.prompts[-1].model) == ("Be calm.", "small")


@proves("9.11.versions")
async def test_the_highest_number_is_the_version_that_is_taken(
    start_server: StartServer, config: Config, folder: Path
) -> None:
    async with start_server(config=config) as server:
        for name in ("2", "10", "draft"):
            write(folder, f"poet/{name}.md", f"Version {name}.")
        for version, instructions in ((None, "10"), ("2", "2"), ("draft", "draft")):
            await ask(server, {"id": "poet", "version": version}, model="m", input="?")
            assert server.seen()[0]["content"] == f"Version {instructions}."


@proves("9.11.reload")
async def test_a_template_that_has_changed_is_read_again(
    start_server: StartServer, config: Config, folder: Path
) -> None:
    async with start_server(config=config) as server:
        for text in ("Before.", "Afterwards."):
            write(folder, "changing/1.md", text)
            await ask(server, {"id": "changing"}, model="m", input="?")
            assert server.seen()[0]["content"] == text
        (folder / "changing/1.md").unlink()
        assert (await error_of(server, {"id": "changing"}, model="m", input="?"))[0] == 404


@proves("9.11")
@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ({"id": "pmpt_x"}, "Prompt with id 'pmpt_x' not found."),
        ({"id": "../poet"}, "Prompt with id '../poet' not found."),
        ({"id": "poet", "version": "9"}, "Prompt with id 'poet' and version '9' not found."),
    ],
)
async def test_a_prompt_that_is_not_there_is_not_found_before_anything_else(
    start_server: StartServer, config: Config, prompt: dict[str, Any], message: str
) -> None:
    async with start_server(config=config) as server:
        reply = await ask(server, prompt, model="m", input="?", previous_response_id="resp_" + "0" * 50)
        assert reply.status_code == 404
        assert reply.json()["error"] == {
            "message": message,
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }


async def test_a_server_without_a_folder_of_prompts_says_what_to_set(server: RunningServer) -> None:
    reply = await ask(server, {"id": "pmpt_x"}, model="m", input="?")
    assert reply.json()["error"]["message"] == (
        "Prompt with id 'pmpt_x' not found. No folder of prompts is configured here: set prompts.folder."
    )


@proves("9.11.variables")
async def test_a_variable_that_is_missing_or_unknown_is_named(
    start_server: StartServer, config: Config
) -> None:
    async with start_server(config=config) as server:
        missing = await error_of(server, {"id": "poet"})
        assert missing == (400, "prompt.variables.topic", "missing_required_parameter")
        unknown = await error_of(server, {"id": "poet", "variables": {"topic": "a", "tropic": "b"}})
        assert unknown == (400, "prompt.variables.tropic", "unknown_parameter")
        wrong = await error_of(server, {"id": "poet", "variables": {"topic": 1}}, model="m", input="?")
        assert wrong[:2] == (400, "prompt.variables.topic")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("instructions = ", "Invalid value"),
        ('previous_response_id = "resp_1"', "'previous_response_id' is nothing that a template can set"),
        ("temperature = 9", "decimal above maximum value"),
        ('[defaults]\nmood = "x"', "'defaults.mood' is the default of no variable"),
        ('[[input]]\nrole = "nobody"\ncontent = "x"', "Invalid value: 'nobody'"),
    ],
)
async def test_a_template_that_is_broken_says_why(
    start_server: StartServer, config: Config, folder: Path, text: str, why: str
) -> None:
    write(folder, "broken/1.toml", text)
    async with start_server(config=config) as server:
        reply = await ask(server, {"id": "broken"}, model="m", input="?")
        error = reply.json()["error"]
        assert (reply.status_code, error["param"], error["code"]) == (400, "prompt.id", "invalid_prompt")
        assert why in error["message"]


async def test_a_prompt_without_a_model_needs_one(
    start_server: StartServer, config: Config, folder: Path
) -> None:
    write(folder, "plain/1.md", "Be calm.")
    async with start_server(config=config) as server:
        with pytest.raises(openai.BadRequestError, match="'model'"):
            await server.client.responses.create(prompt={"id": "plain"}, input="?")


@proves("9.11.passed")
async def test_an_engine_of_the_responses_api_is_passed_the_prompts_that_are_not_here(
    start_server: StartServer, config: Config
) -> None:
    async with start_server(config=config, engine=ScriptedUpstream(dialect="responses")) as server:
        theirs = {"id": "pmpt_1", "version": "2", "variables": {"a": "b"}}
        response = (await ask(server, theirs, model="m", input="?")).json()
        assert server.engine.prompts[-1].options["prompt"] == theirs
        assert response["prompt"] == theirs
        await ask(server, {"id": "poet", "variables": {"topic": "rain"}})
        assert "prompt" not in server.engine.prompts[-1].options
        assert server.engine.prompts[-1].options["instructions"] == "You are a merry poet."


async def test_a_background_run_has_its_prompt_filled_in(start_server: StartServer, config: Config) -> None:
    async with start_server(config=config) as server:
        reply = await ask(server, {"id": "poet", "variables": {"topic": "rain"}}, background=True)
        assert reply.json()["status"] == "queued"
        stream = await server.http.post(f"/responses/{reply.json()['id']}/cancel")
        assert stream.json()["prompt"]["id"] == "poet"


async def test_a_prompt_is_filled_in_over_a_socket_too(start_server: StartServer, config: Config) -> None:
    async with start_server(config=config) as server:
        async with websockets.connect(server.url.replace("http", "ws") + "/v1/responses") as socket:
            prompt = {"id": "poet", "variables": {"topic": "rain"}}
            await socket.send(msgspec.json.encode({"type": "response.create", "prompt": prompt}).decode())
            created = msgspec.json.decode(await socket.recv())
            assert created["response"]["prompt"] == prompt
            while msgspec.json.decode(await socket.recv())["type"] != "response.completed":
                pass
        assert server.seen()[-1]["content"] == "Write about rain."


def test_the_page_shows_the_prompt_that_the_examples_use() -> None:
    assert (
        f"```toml\n{(ROOT / 'examples/prompts/poet/1.toml').read_text()}```"
        in (ROOT / "docs/prompts.md").read_text()
    )


def test_the_page_tells_everything_that_a_template_can_set() -> None:
    page = (ROOT / "docs" / "prompts.md").read_text()
    assert all(f"`{name}`" in page for name in SETTINGS)
