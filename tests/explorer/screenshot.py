"""`python -m tests.explorer.screenshot [--folder DIR]`: pictures of the explorer for the docs, from a real server."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from catena.chunks import Chunk, Finish, TextDelta
from catena.upstream import Prompt
from catena.upstream.scripted import ScriptedUpstream, prompt_items
from tests.explorer.sample import answering, grow_forest, grow_large, text_of
from tests.explorer.telling import Telling
from tests.running import RunningServer, running_server

QUESTION = "What would you leave out?"
HALF = "If it were mine, I would leave out **Sintra**. It is lovely, and half of the day goes to trains. Stay for the"

WALK = [*["ArrowDown"] * 6, *["ArrowRight"] * 1, *["ArrowDown"] * 13, "ArrowRight", *["ArrowDown"] * 9]

DOCS = Path(__file__).parents[2] / "docs" / "images"
DESKTOP = {"width": 1360, "height": 820}
PHONE = {"width": 390, "height": 780}


async def picture(
    browser: Browser, url: str, file: Path, *, keys: Sequence[str] = (), **options: Any
) -> None:
    """One place of the explorer, as it looks when it is at rest after these keys."""
    page = await open_page(browser, url, **options)
    if keys:
        await page.get_by_role("tree").focus()
    for key in keys:
        await page.keyboard.press(key)
    await page.locator(".loading").wait_for(state="detached")
    await page.screenshot(path=file)
    await page.context.close()


async def open_page(browser: Browser, url: str, **options: Any) -> Page:
    context = await browser.new_context(**{"viewport": DESKTOP, "color_scheme": "light", **options})
    page = await context.new_page()
    await page.goto(url)
    await page.wait_for_load_state("networkidle")
    await page.evaluate("document.fonts.ready")
    return page


async def streaming(browser: Browser, server: RunningServer, tip: str, telling: Telling, file: Path) -> None:
    """A turn that is being written."""
    page = await open_page(browser, f"{server.url}/#/{tip}")
    await page.locator("#composer-text").fill(QUESTION)
    await page.keyboard.press("Enter")
    await page.locator("#speaking strong").get_by_text("Sintra").wait_for()
    await page.screenshot(path=file)
    telling.go_on.set()
    await page.context.close()


def script(telling: Telling, prompt: Prompt) -> Iterable[Chunk | Exception | asyncio.Event]:
    """The sample's answers, and one that stops in the middle."""
    if text_of(prompt_items(prompt)[-1]) == QUESTION:
        return [TextDelta(HALF), telling.go_on, Finish("stop")]
    return answering(prompt)


async def shoot(folder: Path) -> None:
    telling = Telling()
    with tempfile.TemporaryDirectory() as home:
        database = Path(home) / "catena.sqlite3"
        async with running_server(database, engine=ScriptedUpstream(partial(script, telling))) as server:
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(
                    executable_path=shutil.which("chromium"), args=["--no-sandbox"]
                )
                root = await grow_large(server.client)
                ids = await grow_forest(server.client)
                at = f"{server.url}/#"
                await picture(browser, f"{at}/{ids['table']}", folder / "explorer-tree.png")
                await picture(
                    browser, f"{at}/{ids['rain']}", folder / "explorer-dark.png", color_scheme="dark"
                )
                await picture(
                    browser, f"{at}/compare/{ids['rain']}/{ids['rain-mini']}", folder / "explorer-compare.png"
                )
                await picture(browser, f"{at}/{root}", folder / "explorer-500-turns.png", keys=WALK)
                await picture(browser, f"{at}/{ids['sum']}", folder / "explorer-phone.png", viewport=PHONE)
                await streaming(browser, server, ids["pack"], telling, folder / "explorer-streaming.png")
                await browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.explorer.screenshot")
    parser.add_argument("--folder", type=Path, default=DOCS)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(shoot(folder))
    for file in sorted(folder.glob("explorer-*.png")):
        print(f"{file.name}: {file.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
