"""The explorer for everybody: checked by axe in both colours and on a phone, and used by keyboard alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from tests.explorer.reader import Reader, open_reader
from tests.explorer.sample import grow_forest
from tests.running import RunningServer

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text()

_RUN = """async () => {
  const found = await axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]});
  return found.violations.flatMap((each) => each.nodes.map(
    (node) => `${each.id}: ${node.target} ${node.failureSummary}`));
}"""

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}, "has_touch": True},
}


async def check_access(reader: Reader) -> None:
    """Fails with what axe finds."""
    assert await reader.page.evaluate(_RUN) == []


@pytest.mark.parametrize("look", LOOKS)
async def test_axe_finds_nothing(browser: Browser, running: RunningServer, look: str) -> None:
    ids = await grow_forest(running.client)
    async with open_reader(browser, running.url, **LOOKS[look]) as reader:
        await reader.open()
        await reader.page.evaluate(AXE)
        for place, sign in (
            ("", "A new chain"),
            (ids["table"], "Morning"),
            (f"{ids['sum']}/context", "Turn 1"),
            (f"{ids['sum']}/usage", "Tokens"),
            (f"{ids['sum']}/json", "previous_response_id"),
            (f"{ids['sum']}/code", "curl"),
            (f"{ids['rain']}/tree", "What should I pack?"),
            (f"compare/{ids['rain']}/{ids['rain-mini']}", "not by much"),
        ):
            await reader.go(place)
            await expect(reader.page.locator("main")).to_contain_text(sign)
            await check_access(reader)
        await reader.go(ids["rain"])
        await reader.role("button", "Delete …").click()
        await expect(reader.role("dialog")).to_be_visible()
        await check_access(reader)


async def test_a_phone_shows_the_list_the_tree_and_the_turn_one_after_another(
    browser: Browser, running: RunningServer
) -> None:
    await grow_forest(running.client)
    async with open_reader(browser, running.url, **LOOKS["phone"]) as reader:
        await reader.open()
        await reader.page.locator(".trees a").first.click()
        await expect(reader.role("tree")).to_be_visible()
        await expect(reader.said).to_be_hidden()
        await reader.card("As a table, with costs").tap()
        await expect(reader.said).to_contain_text("Morning")
        await expect(reader.role("tree")).to_be_hidden()
        wide = await reader.page.evaluate("document.documentElement.scrollWidth")
        assert wide == 390
        await reader.page.get_by_text("← Tree", exact=True).click()
        await expect(reader.role("tree")).to_be_visible()
        await reader.page.get_by_text("← Trees").click()
        await expect(reader.role("navigation", "Trees")).to_be_visible()


async def test_everything_can_be_done_by_keyboard(reader: Reader, running: RunningServer) -> None:
    ids = await grow_forest(running.client)
    press = reader.page.keyboard.press
    await reader.open(ids["root"])
    await expect(reader.said).to_contain_text("Three unhurried days")
    await press("Tab")
    await expect(reader.page.get_by_text("Skip to the turns")).to_be_focused()
    await press("Enter")
    await expect(reader.role("tree")).to_be_focused()
    for key, name in (
        ("ArrowDown", "table"),
        ("ArrowDown", "sum"),
        ("ArrowRight", "rain"),
        ("ArrowDown", "pack"),
        ("ArrowRight", "quiet"),
        ("ArrowUp", "rain"),
        ("ArrowUp", "table"),
        ("Home", "root"),
        ("End", "name"),
    ):
        await press(key)
        await expect(reader.role("tree")).to_have_attribute("aria-activedescendant", f"place-{ids[name]}")
        assert reader.page.url.endswith(ids[name])
    await press("Home")
    await press("f")
    await expect(reader.page.locator("[role=treeitem]")).to_have_count(1)
    await press("f")
    await press("ArrowDown")
    await press("c")
    await reader.page.keyboard.type("Say it by keyboard")
    await press("Enter")
    await expect(reader.said).to_contain_text("it by keyboard")
    await reader.role("tree").focus()
    await press("Enter")
    await expect(reader.said).to_be_focused()
    await reader.page.locator("#tab-turn").focus()
    await press("ArrowRight")
    await expect(reader.page.locator("#tab-context")).to_be_focused()
    await expect(reader.said).to_contain_text("I am Ada.")
    await reader.role("button", "Compare …").focus()
    await press("Enter")
    await press("Home")
    await press("Enter")
    await expect(reader.role("heading", "Two branches")).to_be_visible()
    await press("?")
    await expect(reader.role("dialog")).to_contain_text("Shift and arrows")
    await press("Escape")
    await expect(reader.role("dialog")).to_be_hidden()
    await press("/")
    await expect(reader.role("searchbox")).to_be_focused()


async def test_what_has_the_focus_can_be_seen(reader: Reader, running: RunningServer) -> None:
    ids = await grow_forest(running.client)
    await reader.open(ids["root"])
    await expect(reader.said).to_contain_text("Three unhurried days")
    looks = """() => {
      const style = getComputedStyle(document.activeElement);
      const item = document.querySelector(".card[aria-selected=true]");
      const shown = document.activeElement.role === "tree" ? getComputedStyle(item).boxShadow !== "none"
        : style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
      return [document.activeElement.outerHTML.slice(0, 120), shown];
    }"""
    seen = set()
    for _ in range(45):
        await reader.page.keyboard.press("Tab")
        what, shown = await reader.page.evaluate(looks)
        if what.startswith("<body"):
            break
        seen.add(what)
        assert shown, what
    assert len(seen) > 20
