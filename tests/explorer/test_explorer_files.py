"""The explorer as files: what is served, how it may be kept, and what no browser lets it do."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

from catena.config import Config, ServerSettings
from catena.config.sections import ExplorerSettings
from catena.web.explorer import site
from tests.running import RunningServer, StartServer

HERE = Path(str(resources.files("catena.web.explorer")))
MODULES = sorted(HERE.glob("*.js"))


async def test_the_page_is_served_with_a_policy_that_lets_nothing_in(server: RunningServer) -> None:
    reply = await server.http.get(f"{server.url}/")
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(
        part.strip().partition(" ")[::2] for part in reply.headers["content-security-policy"].split(";")
    )
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "font-src": "'self'",
        "connect-src": "'self'",
        "img-src": "'self' data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert reply.headers["cache-control"] == "no-cache"


async def test_a_browser_that_has_the_page_is_told_so(server: RunningServer) -> None:
    first = await server.http.get(f"{server.url}/")
    again = await server.http.get(
        f"{server.url}/", headers={"if-none-match": f'"other", W/{first.headers["etag"]}'}
    )
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]


async def test_all_that_the_page_names_is_there_and_may_be_kept_for_good(server: RunningServer) -> None:
    page = (await server.http.get(f"{server.url}/")).text
    named = set(re.findall(r'(?:src|href)="(/[^"]+)"', page))
    assert len(named) > 4
    for address in named:
        reply = await server.http.get(server.url + address)
        assert reply.status_code == 200, address
        assert reply.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("main.js", "text/javascript; charset=utf-8"),
        ("base.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
        ("inter.woff2", "font/woff2"),
    ],
)
async def test_head_tells_what_get_gives(server: RunningServer, name: str, content_type: str) -> None:
    address = f"{server.url}/explorer/{site().version}/{name}"
    whole = await server.http.get(address)
    head = await server.http.head(address)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == content_type
    assert head.headers["content-length"] == str(len(whole.content))
    assert head.headers["etag"] == whole.headers["etag"]


@pytest.mark.parametrize(
    "path", ["0123/main.js", "{version}/nothing.js", "{version}/__init__.py", "{version}/..%2fkeys.py"]
)
async def test_what_is_not_there_is_an_error_of_the_api(server: RunningServer, path: str) -> None:
    reply = await server.http.get(f"{server.url}/explorer/{path.format(version=site().version)}")
    assert reply.status_code == 404
    assert reply.json()["error"]["type"] == "invalid_request_error"


async def test_the_pages_need_no_key_and_the_api_does(start_server: StartServer) -> None:
    async with start_server(config=Config(server=ServerSettings(api_key="sk-one"))) as server:
        assert (await server.http.get(f"{server.url}/")).status_code == 200
        assert (await server.http.get("/responses")).status_code == 401


async def test_it_can_be_switched_off(start_server: StartServer) -> None:
    async with start_server(config=Config(explorer=ExplorerSettings(enabled=False))) as server:
        assert (await server.http.get(f"{server.url}/")).status_code == 404
        assert (await server.http.get(f"{server.url}/explorer/{site().version}/main.js")).status_code == 404


def test_the_page_has_no_script_and_no_style_of_its_own() -> None:
    page = (HERE / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_no_module_makes_markup_from_text(module: Path) -> None:
    code = re.sub(r"/\*.*?\*/|^\s*//.*$", "", module.read_text(), flags=re.DOTALL | re.MULTILINE)
    for way in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "DOMParser",
        "eval(",
        "new Function",
        "srcdoc",
    ):
        assert way not in code, way


@pytest.mark.parametrize(
    "file", [*MODULES, *HERE.glob("*.css"), HERE / "index.html"], ids=lambda file: file.name
)
def test_no_file_names_another_host(file: Path) -> None:
    for address in re.findall(r"https?://([\w.-]+)", file.read_text()):
        assert address == "www.w3.org", address  # the name of a namespace, which nobody asks for


def test_every_module_is_reached_from_the_first() -> None:
    reached, waiting = {"main.js"}, ["main.js"]
    while waiting:
        for name in re.findall(r'from "\./([\w.-]+)"', (HERE / waiting.pop()).read_text()):
            if name not in reached:
                reached.add(name)
                waiting.append(name)
    assert reached == {module.name for module in MODULES}
