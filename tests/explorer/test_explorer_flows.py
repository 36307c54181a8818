"""What people do in the explorer, on a real server and in a real browser."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from playwright.async_api import Browser, Route, expect

from catena.config import Config, ServerSettings
from catena.upstream.scripted import ScriptedUpstream
from tests.explorer.reader import Reader, open_reader
from tests.explorer.sample import grow_forest, grow_large
from tests.explorer.telling import Telling
from tests.running import LIMIT, RunningServer, StartServer

CUT = """() => {
  const real = window.fetch;
  window.fetch = async (address, options) => {
    const stop = new AbortController();
    window.cut = () => stop.abort(new TypeError("network"));
    return real(address, options?.method === "POST" ? {...options, signal: stop.signal} : options);
  };
}"""
"""Lets the test break the connection that a response streams over."""


async def test_the_first_chain_is_made_from_the_empty_page_and_streams_in(
    reader: Reader, running: RunningServer, telling: Telling
) -> None:
    await reader.open()
    await expect(reader.role("heading", "No turns yet")).to_be_visible()
    await expect(reader.page.get_by_text("previous_response_id=first.id")).to_be_visible()
    await reader.send("Slowly, please")
    await expect(reader.card("Slowly, please")).to_contain_text("The first half")
    await expect(reader.said).to_contain_text("The first half")
    await expect(reader.said).not_to_contain_text("second")
    assert re.search(r"#/resp_[0-9a-f]+$", reader.page.url)
    telling.go_on.set()
    await expect(reader.said.locator("strong")).to_have_text("second")
    await expect(reader.page.locator(".turn-head")).to_contain_text("completed")
    await expect(reader.role("navigation", "Trees")).to_contain_text("Slowly, please")
    assert (await running.store.usage()).turns == 1


async def test_a_next_turn_from_any_node_is_a_branch(reader: Reader, running: RunningServer) -> None:
    first = await running.client.responses.create(model="gpt-4o", input="Say one")
    second = await running.client.responses.create(
        model="gpt-4o", input="Say two", previous_response_id=first.id
    )
    await reader.open(second.id)
    await reader.card("Say one").hover()
    await reader.card("Say one").locator("[data-continue]").click()
    await reader.page.keyboard.type("Say three")
    await reader.page.keyboard.press("Enter")
    await expect(reader.said).to_contain_text("three")
    await expect(reader.page.locator(".tree-summary")).to_have_text("3 turns · 2 branches · 2 deep")
    made = reader.page.url.rpartition("/")[2]
    turn = await running.client.responses.retrieve(made)
    assert turn.previous_response_id == first.id
    assert [message["content"] for message in running.seen()] == ["Say one", "one", "Say three"]
    await reader.page.go_back()
    await expect(reader.said).to_contain_text("one")


async def test_a_turn_is_shown_from_every_side(reader: Reader, running: RunningServer) -> None:
    ids = await grow_forest(running.client)
    await reader.open(ids["sum"])
    await expect(reader.said.locator("pre code")).to_contain_text("print(sum(days.values()))")
    await reader.role("tab", "Context").click()
    await expect(reader.said).to_contain_text("I am Ada. Three days in Lisbon, no rush.")
    await expect(reader.said.locator("td").first).to_have_text("Fri")
    await expect(reader.said).not_to_contain_text("print(sum")
    await reader.said.get_by_text("As the engine gets it").click()
    await expect(reader.said).to_contain_text('"role": "assistant"')
    await reader.role("tab", "Usage").click()
    shown = await reader.said.inner_text()
    usage = (await running.client.responses.retrieve(ids["sum"])).usage
    assert usage is not None
    assert re.search(rf"Read\s+{usage.input_tokens}\s", shown)
    assert re.search(rf"Written\s+{usage.output_tokens}\s", shown)
    await reader.role("tab", "JSON").click()
    await expect(reader.said).to_contain_text(f'"id": "{ids["sum"]}"')
    await reader.role("tab", "Code").click()
    await expect(reader.said).to_contain_text(f'"previous_response_id":"{ids["sum"]}"')
    await expect(reader.said).to_contain_text(f'previous_response_id="{ids["sum"]}"')
    assert reader.page.url.endswith("/code")
    await reader.page.reload()
    await expect(reader.said).to_contain_text("curl")


async def test_a_tree_is_found_in_the_list(reader: Reader, running: RunningServer) -> None:
    await grow_forest(running.client)
    await reader.open()
    trees = reader.role("navigation", "Trees")
    await expect(trees.locator("li")).to_have_count(6)
    await expect(trees.locator("li").first).to_contain_text("10 turns")
    await expect(trees.locator("li").first).to_contain_text("5 branches")
    await trees.get_by_text("Draft a reply to the landlord").click()
    await expect(reader.said).to_contain_text("You said: Draft a reply")
    await expect(trees.locator("[aria-current]")).to_contain_text("Draft a reply")


async def test_a_search_leads_to_the_turn_that_said_it(reader: Reader, running: RunningServer) -> None:
    ids = await grow_forest(running.client)
    await reader.open()
    trees = reader.role("navigation", "Trees")
    await expect(trees.locator("li")).to_have_count(6)
    await reader.page.keyboard.press("/")
    await reader.page.keyboard.type("umbrella")
    await expect(trees.locator("li")).to_have_count(1)
    await expect(trees).to_contain_text("1 tree with “umbrella”")
    await trees.locator("a").filter(has_text="I am Ada").click()
    await expect(reader.said).to_contain_text("No umbrella")
    assert ids["pack"] in reader.page.url
    await reader.role("searchbox").fill("zebra")
    await expect(trees).to_contain_text("Nothing was said about “zebra”.")
    await reader.open("?q=umbrella")
    await expect(trees.locator("li")).to_have_count(1)


async def test_two_branches_stand_side_by_side_with_their_differences(
    reader: Reader, running: RunningServer
) -> None:
    ids = await grow_forest(running.client)
    await reader.open(ids["rain"])
    await reader.role("button", "Compare …").click()
    await reader.page.locator(f'[data-key="{ids["rain-mini"]}"]').click()
    await expect(reader.page).to_have_url(f"{running.url}/#/compare/{ids['rain']}/{ids['rain-mini']}")
    await expect(reader.page.locator(".lead")).to_contain_text(
        "They share 2 turns, up to “As a table, with costs”"
    )
    await expect(reader.page.locator(".cell.left mark").first).to_have_text("not by much")
    await expect(reader.page.locator(".cell.right mark").first).to_have_text("only a little")
    await reader.page.go_back()
    await expect(reader.card("And if it rains?")).to_be_visible()


async def test_a_turn_is_replayed_on_another_model(reader: Reader, running: RunningServer) -> None:
    first = await running.client.responses.create(model="gpt-4o", input="Say one")
    second = await running.client.responses.create(
        model="gpt-4o",
        input="Say two",
        previous_response_id=first.id,
        instructions="Be brief.",
        temperature=0.5,
    )
    await reader.open(second.id)
    await reader.role("button", "Replay …").click()
    dialog = reader.role("dialog")
    await expect(dialog).to_contain_text("becomes a branch beside this turn")
    await dialog.get_by_label("Model").fill("gpt-4o-mini")
    await dialog.get_by_role("button", name="Replay").click()
    await expect(reader.page.locator(".turn-head")).to_contain_text("gpt-4o-mini")
    await expect(reader.page.locator(".turn-head")).to_contain_text("completed")
    made = await running.client.responses.retrieve(reader.page.url.rpartition("/")[2])
    assert (made.model, made.previous_response_id) == ("gpt-4o-mini", first.id)
    assert (made.instructions, made.temperature) == ("Be brief.", 0.5)
    assert running.engine.prompts[-1].model == "gpt-4o-mini"
    assert running.seen(-1) == running.seen(-2)


async def test_deleting_says_what_happens_and_does_that(reader: Reader, running: RunningServer) -> None:
    ids = await grow_forest(running.client)
    await reader.open(ids["rain"])
    await reader.role("button", "Delete …").click()
    dialog = reader.role("dialog")
    await expect(dialog).to_contain_text("The 2 turns below it stay")
    await dialog.get_by_role("button", name="Delete only this turn").click()
    await expect(reader.said).to_contain_text("This turn was deleted.")
    await expect(reader.page.locator(f'[data-key="{ids["rain"]}"]')).to_contain_text("Deleted turn")
    await reader.card("What should I pack?").click()
    await reader.role("tab", "Context").click()
    await expect(reader.said).to_contain_text("Something in this chain was deleted")
    await expect(reader.said).not_to_contain_text("And if it rains?")
    await reader.page.locator(f'[data-key="{ids["table"]}"]').click()
    await reader.role("button", "Delete …").click()
    await reader.role("dialog").get_by_role("button", name="Delete all 7").click()
    await expect(reader.page).to_have_url(f"{running.url}/#/{ids['root']}")
    await expect(reader.page.locator(".tree-summary")).not_to_contain_text("10 turns")
    await expect(reader.card("What should I pack?")).to_be_hidden()


async def test_a_run_that_somebody_else_begins_appears_and_streams(
    reader: Reader, running: RunningServer, telling: Telling
) -> None:
    first = await running.client.responses.create(model="gpt-4o", input="Say one")
    await reader.open(first.id)
    await expect(reader.said).to_contain_text("one")
    stream = await running.client.responses.create(
        model="gpt-4o", input="Slowly now", previous_response_id=first.id, stream=True
    )
    await expect(reader.card("Slowly now")).to_contain_text("The first half")
    await reader.card("Slowly now").click()
    await expect(reader.page.locator(".turn-head")).to_contain_text("writing")
    telling.go_on.set()
    async for _ in stream:
        pass
    await expect(reader.said).to_contain_text("and the second half.")
    await expect(reader.page.locator(".turn-head")).to_contain_text("completed")


async def test_a_key_is_asked_for_kept_in_the_tab_and_forgotten(
    browser: Browser, start_server: StartServer
) -> None:
    config = Config(server=ServerSettings(api_key="sk-one", read_only_api_key="sk-two"))
    engine = ScriptedUpstream(Telling().script)
    async with (
        start_server(config=config, engine=engine) as server,
        open_reader(browser, server.url) as reader,
    ):
        reader.expected = ("401", "403")
        await reader.open()
        await expect(reader.role("heading", "Sign in")).to_be_visible()
        await reader.page.get_by_label("API key").fill("sk-wrong")
        await reader.page.keyboard.press("Enter")
        await expect(reader.role("alert")).to_contain_text("Incorrect API key")
        await reader.page.get_by_label("API key").fill("sk-two")
        await reader.page.keyboard.press("Enter")
        await expect(reader.role("heading", "No turns yet")).to_be_visible()
        await reader.send("Say no")
        await expect(reader.page.locator(".composer .told")).to_contain_text(
            "Missing scopes: api.responses.write"
        )
        await reader.role("button", "Sign out").click()
        await reader.page.get_by_label("API key").fill("sk-one")
        await reader.page.keyboard.press("Enter")
        await reader.send("Say yes")
        await expect(reader.said).to_contain_text("yes")
        await reader.page.reload()
        await expect(reader.said).to_contain_text("yes")
        await reader.role("button", "Sign out").click()
        await expect(reader.role("heading", "Sign in")).to_be_visible()
        assert await reader.page.evaluate("[sessionStorage.length, document.cookie]") == [0, ""]
        assert "Say yes" not in await reader.page.content()


async def test_errors_say_what_to_do(reader: Reader, running: RunningServer) -> None:
    reader.expected = ("404", "ERR_", "Failed to load")
    await reader.open("resp_nothing")
    await expect(reader.role("heading", "That turn is not here")).to_be_visible()
    await expect(reader.role("alert")).to_contain_text("resp_nothing")
    await reader.page.get_by_text("Begin a new chain").click()
    await reader.page.context.set_offline(True)
    await reader.send("Say something")
    await expect(reader.page.locator(".composer .told")).to_contain_text("The server cannot be reached.")
    await expect(reader.page.locator("#composer-text")).to_have_value("Say something")
    await expect(reader.page.locator(".banner")).to_contain_text("The server cannot be reached.")
    await reader.page.context.set_offline(False)
    await expect(reader.page.locator(".banner")).to_be_hidden()


async def test_a_run_that_fails_keeps_what_it_had_and_says_why(reader: Reader) -> None:
    await reader.open()
    await reader.send("Break off in the middle")
    await expect(reader.page.locator(".turn-head")).to_contain_text("failed")
    await expect(reader.said).to_contain_text("As far as")
    await expect(reader.said).to_contain_text("It failed: The engine went away.")
    await reader.send("Say it again")
    await expect(reader.said).to_contain_text("it again")


async def test_a_stream_that_is_cut_is_taken_up_where_it_broke(
    reader: Reader, running: RunningServer, telling: Telling
) -> None:
    await reader.open()
    await reader.page.evaluate(CUT)
    await reader.send("Slowly, please")
    await expect(reader.said).to_contain_text("The first half")
    reader.expected = ("ERR_", "Failed to load")
    await reader.page.evaluate("window.cut()")
    telling.go_on.set()
    await expect(reader.said).to_contain_text("The first half and the second half.")
    assert len(running.engine.prompts) == 1


async def test_what_was_put_into_a_conversation_is_shown_and_not_continued(
    reader: Reader, running: RunningServer
) -> None:
    by_hand: Any = {"type": "message", "role": "user", "content": "Put in by hand"}
    conversation = await running.client.conversations.create(items=[by_hand])
    await running.client.responses.create(model="gpt-4o", input="Say one", conversation=conversation.id)
    await reader.open(conversation.id)
    await expect(reader.said).to_contain_text("Put in by hand")
    await expect(reader.page.locator("#composer-text")).to_be_hidden()
    await expect(reader.role("button", "Delete …")).to_be_hidden()
    await reader.card("Say one").click()
    await expect(reader.page.locator(".turn-head")).to_contain_text("in a conversation")
    await reader.role("tab", "Context").click()
    await expect(reader.said).to_contain_text("Put in by hand")


async def test_items_of_tools_are_shown(reader: Reader, running: RunningServer) -> None:
    items: Any = [
        {"role": "user", "content": "What is the weather?"},
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city": "Lisbon"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
    ]
    turn = await running.client.responses.create(model="gpt-4o", input=items)
    await reader.open(turn.id)
    await expect(reader.said.locator(".item-tool").first).to_contain_text('"city": "Lisbon"')
    await expect(reader.said.locator(".item-tool").last).to_contain_text("sunny")


async def test_news_that_come_late_take_nothing_back(
    reader: Reader, running: RunningServer, telling: Telling
) -> None:
    """A list of the tree that was read before a turn ended, and arrives after it."""
    first = await running.client.responses.create(model="gpt-4o", input="Say one")
    await reader.open(first.id)
    await reader.send("Slowly, please")
    await expect(reader.said).to_contain_text("The first half")
    read, arrive, arrived = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def late(route: Route) -> None:
        reply = await route.fetch()
        read.set()
        await arrive.wait()
        await route.fulfill(response=reply)
        arrived.set()

    await reader.page.route("**/lineage?*", late, times=1)
    await running.client.responses.create(model="gpt-4o", input="Say two", previous_response_id=first.id)
    async with asyncio.timeout(LIMIT):
        await read.wait()
    telling.go_on.set()
    await expect(reader.page.locator(".turn-head")).to_contain_text("completed")
    await reader.page.locator("#composer-text").fill("What I am just writing")
    arrive.set()
    async with asyncio.timeout(LIMIT):
        await arrived.wait()
    await expect(reader.card("Say two")).to_be_visible()
    await expect(reader.page.locator(".turn-head")).to_contain_text("completed")
    await expect(reader.page.locator("#composer-text")).to_have_value("What I am just writing")


async def test_a_background_run_can_be_cancelled(
    reader: Reader, running: RunningServer, telling: Telling
) -> None:
    reader.expected = ("400",)  # what was not begun as a stream cannot be followed as one
    begun = await running.client.responses.create(model="gpt-4o", input="Slowly, please", background=True)
    await reader.open(begun.id)
    await expect(reader.page.locator(".turn-head")).to_contain_text("writing")
    await reader.role("button", "Cancel").click()
    await expect(reader.page.locator(".turn-head")).to_contain_text("cancelled")
    assert (await running.client.responses.retrieve(begun.id)).status == "cancelled"


async def test_a_chat_completion_is_a_turn_like_any_other(reader: Reader, running: RunningServer) -> None:
    first = await running.client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "Say one"}], store=True
    )
    await reader.open(first.id)
    await expect(reader.said).to_contain_text("one")
    await expect(reader.page.locator(".turn-head")).to_contain_text("chat completion")
    await reader.send("Say two")
    await expect(reader.page.locator(".tree-summary")).to_have_text("2 turns · one line · 2 deep")
    assert [message["content"] for message in running.seen()] == ["Say one", "one", "Say two"]


async def test_five_hundred_turns_are_a_picture_of_which_a_part_is_drawn(
    reader: Reader, running: RunningServer
) -> None:
    root = await grow_large(running.client)
    await reader.open(root)
    drawn = reader.page.locator("[role=treeitem]")
    await expect(reader.page.locator(".tree-summary")).to_contain_text("500 turns · 40 branches")
    # All of it at once, as dots.
    await expect(drawn).to_have_count(500)
    await reader.role("button", "Overview").click()
    await expect(reader.card("turns folded")).to_be_visible()
    assert await drawn.count() < 60
    await reader.role("button", "Unfold all").click()
    assert await drawn.count() < 60
    await reader.role("tree").focus()
    await reader.page.keyboard.press("End")
    await expect(reader.page.locator('[aria-selected="true"].card')).to_be_in_viewport()
    await reader.page.keyboard.press("0")
    await expect(drawn).to_have_count(500)


async def test_wheel_and_drag_move_the_picture(reader: Reader, running: RunningServer) -> None:
    ids = await grow_forest(running.client)
    await reader.open(ids["root"])
    card = reader.card("I am Ada.")
    await card.wait_for()
    world = reader.page.locator(".world")
    before = await world.evaluate("e => e.style.transform")
    await reader.page.mouse.move(600, 800)
    await reader.page.mouse.wheel(0, 100)
    await expect(world).not_to_have_attribute("style", f"transform: {before};")
    await reader.page.mouse.down()
    await reader.page.mouse.move(640, 860, steps=4)
    await reader.page.mouse.up()
    # A drag that ends on a turn chooses none.
    assert reader.page.url.endswith(ids["root"])
    await reader.role("button", "Larger").click()
    await expect(world).to_have_attribute("style", re.compile(r"scale\((0.9|1)"))
