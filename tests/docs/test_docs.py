"""The documents tell the truth: links lead somewhere, settings are all there, examples run."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest

from catena.chunks import Finish, TextDelta, UsageReport
from catena.config import SHORT_NAMES, Config, PromptSettings
from catena.upstream import Prompt
from catena.upstream.scripted import ScriptedUpstream
from tests.running import StartServer

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LOCAL = "http://127.0.0.1:8080/v1"


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


EXAMPLES = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(blocks(page, "python"))
] + [pytest.param(file.read_text(), id=file.name) for file in sorted((ROOT / "examples").glob("*.py"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not re.match(r"[a-z]+:|#", target):
            assert (page.parent / target.partition("#")[0]).exists(), f"{page.name} → {target}"


def test_every_page_can_be_found_from_the_readme() -> None:
    seen: set[Path] = set()
    to_read = [ROOT / "README.md"]
    while to_read:
        page = to_read.pop()
        seen.add(page)
        for target in re.findall(r"\]\(([^)#\s:]+\.md)", page.read_text()):
            linked = (page.parent / target).resolve()
            if linked not in seen:
                to_read.append(linked)
    assert {page for page in PAGES if "adr" not in page.parts} <= seen | {ROOT / "CHANGELOG.md"}


def test_every_setting_and_every_variable_is_documented() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    for section in Config.__struct_fields__:
        assert section in text
    for struct in msgspec.inspect.type_info(Config).fields:  # type: ignore[attr-defined]  # a struct
        inner = getattr(struct.type, "value_type", struct.type)
        for field in getattr(inner, "fields", ()):
            assert re.search(rf"\b{field.name}\b", text), f"{struct.name}.{field.name}"
    for variable in SHORT_NAMES:
        assert f"`{variable}`" in text


def test_the_settings_page_is_a_valid_file_of_settings() -> None:
    for page in ("settings.md", "upstreams.md"):
        for block in blocks(ROOT / "docs" / page, "toml"):
            msgspec.convert(tomllib.loads(block), Config)


def answer(prompt: Prompt) -> list[TextDelta | UsageReport | Finish]:
    """Valid JSON where a schema asks for it, else words: what the examples need of an engine."""
    form = prompt.options.get("response_format")
    text = "Your name is Ada." if form is None else '{"name": "Ada", "city": "Oslo"}'
    return [TextDelta(text), UsageReport(5, 5), Finish("stop")]


@pytest.mark.parametrize("example", EXAMPLES)
async def test_examples_run(example: str, start_server: StartServer, tmp_path: Path) -> None:
    config = Config(prompts=PromptSettings(folder=str(ROOT / "examples" / "prompts")))
    async with start_server(engine=ScriptedUpstream(answer), config=config) as server:
        script = tmp_path / "example.py"
        script.write_text(example.replace(LOCAL, f"{server.url}/v1"))
        environment = {
            **os.environ,
            "OPENAI_BASE_URL": f"{server.url}/v1",
            "OPENAI_API_KEY": "unused",
            "CATENA_URL": server.url,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-W",
            "error",
            str(script),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            _, stderr = await process.communicate()
        assert process.returncode == 0, stderr.decode()
