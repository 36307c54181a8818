"""Somebody who reads the explorer: a page of a browser, and everything on it that must not happen."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from playwright.async_api import Browser, Locator, Page, expect

__all__ = ["Reader", "open_reader"]

PATIENCE = 20_000
"""Milliseconds after which what is waited for is taken not to come."""

expect.set_options(timeout=PATIENCE)

_REPORTS = """
window.reports = [];
addEventListener("securitypolicyviolation", (event) => window.reports.push(
  `${event.violatedDirective}: ${event.blockedURI} ${event.sample}`));
"""


class Reader:
    """A page at the explorer. `faults` are errors, dialogs and requests to elsewhere; the fixture asserts that there
    are none."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.faults: list[str] = []
        self.expected: tuple[str, ...] = ()
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("console", self._console)
        page.on("request", self._request)
        page.on("dialog", self._dialog)

    async def open(self, place: str = "") -> None:
        """Go to a place, for instance `resp_…/usage`, as a link from outside would."""
        await self.page.goto("about:blank")
        await self.page.goto(f"{self.url}/#/{place}")

    async def go(self, place: str) -> None:
        """Go to a place as a link on the page would."""
        await self.page.evaluate("place => { location.hash = `#/${place}`; }", place)

    def role(self, role: Any, name: Any = None, **more: Any) -> Locator:
        return self.page.get_by_role(role, name=name, **more)

    def card(self, words: str) -> Locator:
        """The turn in the picture that shows these words."""
        return self.page.locator("[role=treeitem]").filter(has_text=words).first

    @property
    def said(self) -> Locator:
        """What the panel shows of a turn."""
        return self.page.locator("#turn-body")

    async def send(self, words: str) -> None:
        await self.page.locator("#composer-text").fill(words)
        await self.page.keyboard.press("Enter")

    async def reports(self) -> list[str]:
        """What the page tried against its policy."""
        found: list[str] = await self.page.evaluate("window.reports")
        return found

    def _console(self, message: Any) -> None:
        if message.type == "error" and not any(text in message.text for text in self.expected):
            self.faults.append(f"console: {message.text}")

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.url, "data:", "about:")):
            self.faults.append(f"request to {request.url}")

    async def _dialog(self, dialog: Any) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        await dialog.dismiss()


@contextlib.asynccontextmanager
async def open_reader(browser: Browser, url: str, **options: Any) -> AsyncIterator[Reader]:
    """A reader with a browser profile of their own. Fails at the end if the page had a fault."""
    context = await browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
    context.set_default_timeout(PATIENCE)
    await context.add_init_script(_REPORTS)
    page = await context.new_page()
    reader = Reader(page, url)
    try:
        yield reader
        assert reader.faults == []
        assert await reader.reports() == []
    finally:
        await context.close()
