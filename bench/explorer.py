"""`python -m bench explorer`: a tree of 500 turns with 40 branches, in the browser of the system.

The server and its store are real, the engine answers at once. Measured is what a reader waits for: the page until the
whole tree can be used (from nothing, and with the files kept from before), and how long a frame takes while the
picture moves.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright
from rich.console import Console

from bench.report import Report
from catena.upstream.scripted import ScriptedUpstream
from tests.explorer.sample import answering, grow_large
from tests.running import running_server

__all__ = ["measure"]

_TURNS = 500

_READY = """async (turns) => {
  const ready = () => document.querySelectorAll("[role=treeitem]").length === turns;
  while (!ready()) await new Promise(requestAnimationFrame);
  await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  return performance.now();
}"""

_LAYOUT = """async (turns) => {
  const address = document.querySelector("script[src]").src.replace("main.js", "");
  const { layOut } = await import(`${address}layout.js`);
  const { Forest } = await import(`${address}forest.js`);
  const root = location.hash.slice(2);
  const reply = await fetch(`/v1/responses/${root}/lineage?limit=1000`);
  const { data } = await reply.json();
  const forest = new Forest();
  forest.load(data);
  const folding = { closed: new Set(), unfolded: new Set(), kept: new Set(), longest: Infinity };
  const began = performance.now();
  for (let time = 0; time < 20; time += 1) layOut(forest.root, folding);
  return (performance.now() - began) / 20;
}"""

_PAN = """async () => {
  const tree = document.querySelector("[role=tree]");
  const frames = [];
  let last = performance.now();
  for (let step = 0; step < 90; step += 1) {
    tree.dispatchEvent(new WheelEvent("wheel", { deltaY: 60, deltaX: step % 2 ? 30 : 0, cancelable: true }));
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    frames.push(now - last);
    last = now;
  }
  return frames.slice(5);
}"""


async def measure(console: Console, report: Report, rounds: int) -> None:
    """Add the rows of the explorer to the report."""
    console.print(f"[dim]explorer: a tree of {_TURNS} turns[/]")
    with tempfile.TemporaryDirectory() as folder:
        engine = ScriptedUpstream(answering)
        async with running_server(Path(folder) / "catena.sqlite3", engine=engine) as server:
            root = await grow_large(server.client, turns=_TURNS)
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(
                    executable_path=shutil.which("chromium"), args=["--no-sandbox"]
                )
                await _look(report, browser, f"{server.url}/#/{root}", rounds)
                await browser.close()


async def _look(report: Report, browser: Browser, address: str, rounds: int) -> None:
    name = f"explorer: {_TURNS} turns, 40 branches"
    for _ in range(rounds):
        context = await browser.new_context(viewport={"width": 1440, "height": 900})
        page = await context.new_page()
        usable = await _opened(page, address)
        await page.goto("about:blank")
        usable_again = await _opened(page, address)
        layout = await page.evaluate(_LAYOUT, _TURNS)
        await page.get_by_role("button", name="Overview").click()
        await page.get_by_role("button", name="Unfold all").click()
        frames = await page.evaluate(_PAN)
        await context.close()
        figures = {
            "ms_usable_first": usable,
            "ms_usable_files_kept": usable_again,
            "ms_layout": float(layout),
            "ms_frame_p50": statistics.median(frames),
            "ms_frame_p99": statistics.quantiles(frames, n=100)[98],
        }
        report.add(name, "catena", figures)
        report.noise.look()


async def _opened(page: Page, address: str) -> float:
    await page.goto(address, wait_until="commit")
    return float(await page.evaluate(_READY, _TURNS))
