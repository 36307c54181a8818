"""The explorer's pure parts, in the browser that runs them: the layout, the differences, Markdown."""

from __future__ import annotations

from typing import Any

from playwright.async_api import expect

from catena.web.explorer import site
from tests.explorer.reader import Reader
from tests.explorer.sample import large_shape

_LAY_OUT = """async ([module, parents, longest, closed]) => {
  const { layOut } = await import(`${module}/layout.js`);
  const { Forest } = await import(`${module}/forest.js`);
  const forest = new Forest();
  forest.load(parents.map((parent, number) => ({
    id: `t${number}`, parent: parent < 0 ? null : `t${parent}`, created_at: number, status: "completed",
    first_words: {},
  })));
  const folding = { closed: new Set(closed), unfolded: new Set(), kept: new Set(), longest };
  return layOut(forest.root, folding).map((place) => ({
    id: place.turn.record.id, column: place.column, row: place.row, hidden: place.hidden.length,
    parent: place.parent && [place.parent.column, place.parent.row],
  }));
}"""


async def on_page(reader: Reader, script: str, *given: Any) -> Any:
    """What a script returns that is given the address of the modules and more."""
    await reader.open()
    return await reader.page.evaluate(script, [f"/explorer/{site().version}", *given])


async def laid_out(
    reader: Reader, parents: list[int], *, longest: float = 10**9, closed: Any = ()
) -> list[Any]:
    places: list[Any] = await on_page(reader, _LAY_OUT, parents, longest, list(closed))
    return places


async def test_no_two_turns_stand_in_one_place_and_no_lines_cross(reader: Reader) -> None:
    places = await laid_out(reader, large_shape(500, 40))
    assert len(places) == 500
    taken = {(place["column"], place["row"]) for place in places}
    assert len(taken) == 500
    passing = {
        (column, row)
        for place in places
        if place["parent"]
        for column, row in [place["parent"]]
        if column == place["column"]
    }
    for place in places:
        if place["parent"] is None:
            continue
        column, row = place["parent"]
        assert place["row"] == row + 1
        # The way across lies below the parent's row: nobody goes straight down through it in between.
        between = {(other, row) for other in range(column + 1, place["column"])}
        assert not between & passing


async def test_a_chain_is_a_straight_line(reader: Reader) -> None:
    places = await laid_out(reader, list(range(-1, 1199)))
    assert {place["column"] for place in places} == {0}
    assert [place["row"] for place in places] == list(range(1200))


async def test_branches_stand_as_near_as_they_can(reader: Reader) -> None:
    """Two short branches of a long chain, one below the other, share a column."""
    places = await laid_out(reader, [-1, 0, 1, 2, 3, 4, 5, 0, 4])
    columns = {place["id"]: place["column"] for place in places}
    assert (columns["t7"], columns["t8"]) == (1, 1)


async def test_a_long_stretch_is_folded_between_its_ends(reader: Reader) -> None:
    places = await laid_out(reader, list(range(-1, 19)), longest=3)
    assert [(place["id"], place["hidden"]) for place in places] == [("t0", 0), ("t1", 18), ("t19", 0)]


async def test_what_follows_a_closed_turn_is_not_shown(reader: Reader) -> None:
    places = await laid_out(reader, [-1, 0, 1, 1, 0], closed=["t1"])
    assert {place["id"] for place in places} == {"t0", "t1", "t4"}


DIFFERENCES = [
    ("the same", "the same", [], []),
    ("a red house", "a blue house", ["red"], ["blue"]),
    ("not by much: it rains", "only a little: it rains", ["not by much"], ["only a little"]),
    ("", "all new", [], ["all new"]),
    ("naïve café", "naïve cafe", ["café"], ["cafe"]),
]


async def test_differences_are_marked_by_words(reader: Reader) -> None:
    script = """async ([module, pairs]) => {
      const { differences } = await import(`${module}/diff.js`);
      return pairs.map(([left, right]) => {
        const found = differences(left, right);
        const marked = (side) => found[side].filter((part) => !part.same).map((part) => part.text);
        const whole = (side) => found[side].map((part) => part.text).join("");
        return [whole("left"), whole("right"), marked("left"), marked("right")];
      });
    }"""
    pairs = [pair[:2] for pair in DIFFERENCES]
    assert await on_page(reader, script, pairs) == [list(each) for each in DIFFERENCES]


_MARKDOWN = """async ([module, texts]) => {
  const { markdown } = await import(`${module}/markdown.js`);
  const outline = (node) => {
    if (node.nodeType === Node.TEXT_NODE) return node.data;
    const inner = [...node.childNodes].map(outline).join("");
    return `<${node.localName}${node.href ? " " + node.href : ""}>${inner}</${node.localName}>`;
  };
  return texts.map((text) => [...markdown(text).childNodes].map(outline).join(""));
}"""

MARKDOWN = {
    "plain": "<p>plain</p>",
    "**b** and *i* and `c`": "<p><strong>b</strong> and <em>i</em> and <code>c</code></p>",
    "snake_case_name and 2 * 3 * 4": "<p>snake_case_name and 2 * 3 * 4</p>",
    "***both***": "<p><strong><em>both</em></strong></p>",
    "# Title #": "<h3>Title</h3>",
    "- a\n- b\n  - c": "<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>",
    "1. a\n2. b": "<ol><li>a</li><li>b</li></ol>",
    "```py\n<b>\n```": "<pre><code><b></code></pre>",
    "```\nnever closed": "<pre><code>never closed</code></pre>",
    "> quoted\n> on": "<blockquote><p>quoted\non</p></blockquote>",
    "a\n\nb": "<p>a</p><p>b</p>",
    "---": "<hr></hr>",
    "[x](https://a.example/)": "<p><a https://a.example/>x</a></p>",
    "see https://a.example/b.": "<p>see <a https://a.example/b>https://a.example/b</a>.</p>",
    "[x](javascript:y)": "<p>[x](javascript:y)</p>",
    "\\*not\\*": "<p>*not*</p>",
    "**open": "<p>**open</p>",
    "|a|\n|-|\n|1|": "<div><table><thead><tr><th>a</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table></div>",
}


async def test_markdown_becomes_elements(reader: Reader) -> None:
    shown = await on_page(reader, _MARKDOWN, list(MARKDOWN))
    assert dict(zip(MARKDOWN, shown, strict=True)) == MARKDOWN


async def test_every_address_leads_back_to_itself(reader: Reader) -> None:
    script = """async ([module]) => {
      const { hashOf, placeOf } = await import(`${module}/route.js`);
      return ["#/", "#/?q=a%20b", "#/resp_1", "#/resp_1/json", "#/compare/a/b"].map((hash) => hashOf(placeOf(hash)));
    }"""
    assert await on_page(reader, script) == ["#/", "#/?q=a%20b", "#/resp_1", "#/resp_1/json", "#/compare/a/b"]
    await expect(reader.role("main")).to_be_visible()
