"""What models, clients and strangers write stays text, wherever it is shown."""

from __future__ import annotations

import msgspec
import pytest
from playwright.async_api import expect

from tests.explorer.reader import Reader
from tests.running import RunningServer

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)><animate onbegin=alert(1) attributeName=x></svg>",
    '"><iframe srcdoc="<script>parent.alert(1)</script>">',
    "</code></pre><script>alert(1)</script>",
    "```html\n<script>alert(1)</script>\n```",
    '```"><img src=x onerror=alert(1)>\ncode\n```',
    "[click](javascript:alert(1))",
    "[click](JaVaScRiPt:alert(1))",
    "[click](data:text/html,<script>alert(1)</script>)",
    "[click](  vbscript:msgbox(1))",
    '[a](https://example.com/"onmouseover=alert(1)//)',
    "![tracker](https://example.com/pixel.gif?secret)",
    "![x](javascript:alert(1))",
    '<a href="javascript:alert(1)">x</a>',
    "<style>*{display:none}</style>",
    "<link rel=stylesheet href=https://example.com/x.css>",
    "<meta http-equiv=refresh content='0;url=https://example.com'>",
    "<base href=https://example.com/>",
    "<form action=https://example.com><input name=q autofocus onfocus=alert(1)></form>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "{{constructor.constructor('alert(1)')()}} ${alert(1)} <%= alert(1) %>",
    "| <img src=x onerror=alert(1)> | b |\n|---|---|\n| <script>alert(1)</script> | [x](javascript:alert(1)) |",
    "> - # **[`<script>alert(1)</script>`](javascript:alert(1))**",
    "https://example.com/<script>alert(1)</script>",
    "\u202e<script>alert(1)</script>\u2066 \u0000 \ufffe",
]

STRANGE = [
    "*" * 4000,
    "_" * 4000 + "a",
    "[" * 3000,
    "![" * 2000 + "](",
    "`" * 3001 + "x" + "`" * 3000,
    "> " * 3000 + "x",
    "\n".join(" " * (2 * depth) + "- x" for depth in range(400)),
    "|" * 3000 + "\n" + "|-" * 3000 + "|",
    "# " + " " * 5000 + "#",
    "-" + " " * 20000 + "-",
    "https://" + "a." * 4000,
    "**a *b " * 2000,
]

NAMES = {
    "script",
    "iframe",
    "object",
    "embed",
    "form",
    "style",
    "link",
    "base",
    "meta",
    "img",
    "svg",
    "math",
    "animate",
}

_FOUND = """() => [...document.querySelectorAll("main *")]
  .filter((element) => !element.closest(".composer, .edges, .meter"))
  .flatMap((element) => [element.localName, ...element.getAttributeNames().filter((name) => name.startsWith("on"))])"""


async def check_harmless(reader: Reader) -> None:
    """No element that does anything came of it, no attribute that runs, and no link to anything but pages and mail."""
    found = set(await reader.page.evaluate(_FOUND))
    assert not found & NAMES
    assert not {name for name in found if name.startswith("on")}
    links = await reader.page.evaluate("[...document.links].map((link) => link.protocol)")
    assert set(links) <= {"http:", "https:", "mailto:"}
    assert await reader.reports() == []
    assert reader.faults == []


async def test_hostile_output_stays_text_in_every_view(reader: Reader, running: RunningServer) -> None:
    ids = []
    last = None
    for text in HOSTILE:
        turn = await running.client.responses.create(
            model="gpt-4o", input=f"Say {text}", previous_response_id=last, metadata={"<b>k</b>": text[:500]}
        )
        ids.append(turn.id)
        last = turn.id
    # All of them at once, as what the model of the last one saw; and the last one from every side.
    await reader.open(f"{ids[-1]}/context")
    await expect(reader.said.locator(".seen")).to_have_count(len(HOSTILE))
    await check_harmless(reader)
    for tab in ("usage", "json", "code", "turn"):
        await reader.open(f"{ids[0]}/{tab}")
        await expect(reader.page.locator(f"#tab-{tab}[aria-selected=true]")).to_be_visible()
        await expect(reader.said.locator(".loading")).to_have_count(0)
        await check_harmless(reader)
    await expect(reader.said).to_contain_text("<script>alert(1)</script>")
    await reader.role("button", "Unfold all").click()
    await expect(reader.card("<img src=x onerror=alert(1)>")).to_be_visible()
    await reader.open(f"compare/{ids[3]}/{ids[0]}")
    await expect(reader.page.locator(".pair").nth(2)).to_contain_text("iframe")
    await check_harmless(reader)


async def test_hostile_output_stays_text_while_it_streams(reader: Reader, running: RunningServer) -> None:
    await reader.open()
    await reader.send("Say " + "\n\n".join(HOSTILE[:6]))
    await expect(reader.page.locator(".turn-head")).to_contain_text("completed")
    await check_harmless(reader)


async def test_names_of_models_tools_and_calls_stay_text(reader: Reader, running: RunningServer) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    turn = await running.client.responses.create(
        model=f"gpt-4o {hostile}",
        instructions=hostile,
        input=[
            {"role": "developer", "content": hostile},
            {
                "type": "function_call",
                "call_id": f"call_{hostile}",
                "name": "look_up",
                "arguments": msgspec.json.encode({"q": hostile}).decode(),
            },
            {"type": "function_call_output", "call_id": f"call_{hostile}", "output": hostile},
        ],
    )
    for tab in ("turn", "context", "usage", "json", "code"):
        await reader.open(f"{turn.id}/{tab}")
        await expect(reader.page.locator(".turn-head")).to_contain_text(hostile)
        await expect(reader.said).to_contain_text("gpt-4o" if tab == "code" else re_any(tab, hostile))
        await check_harmless(reader)


def re_any(tab: str, hostile: str) -> str:
    """What a view shows for sure."""
    return "Tokens" if tab == "usage" else "onerror" if hostile else ""


@pytest.mark.parametrize(
    "place",
    [
        "<script>alert(1)</script>",
        "javascript:alert(1)",
        "compare/<b>/<i>",
        "?q=<script>alert(1)</script>",
        "..%2f..%2f",
    ],
)
async def test_a_hostile_address_leads_nowhere(reader: Reader, place: str) -> None:
    reader.expected = ("400", "404")
    await reader.open(place)
    await expect(reader.role("main")).to_be_visible()
    await check_harmless(reader)


async def test_strange_markdown_is_shown_without_delay(reader: Reader, running: RunningServer) -> None:
    """Marks that never close and nests that never end take time in proportion to their length, or the page would hang
    longer than anything here is waited for."""
    last = None
    for text in STRANGE:
        turn = await running.client.responses.create(
            model="gpt-4o", input=f"Say {text}", previous_response_id=last
        )
        last = turn.id
    await reader.open(f"{last}/context")
    await expect(reader.said.locator(".seen")).to_have_count(len(STRANGE))
    await check_harmless(reader)


async def test_a_picture_that_lies_elsewhere_is_not_fetched(reader: Reader, running: RunningServer) -> None:
    turn = await running.client.responses.create(
        model="gpt-4o", input="Say ![a](https://example.com/a.png) and [b](https://example.com/b)"
    )
    await reader.open(turn.id)
    link = reader.said.get_by_role("link", name="b").first
    await expect(link).to_have_attribute("rel", "noopener noreferrer nofollow")
    await expect(reader.said.get_by_role("link", name="a").first).to_have_attribute(
        "href", "https://example.com/a.png"
    )
    await check_harmless(reader)
