"""`catena ls`, `search`, `tree`, `show` and `diff`: what is stored, for people and through pipes."""

from __future__ import annotations

import asyncio
import io
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from catena.cli.entries import ago, line_of, list_of
from catena.cli.harmless import as_json, clean, one_line
from catena.cli.looking import complete_id
from catena.cli.replies import Entry, FirstWords
from tests.cli.in_process import catena, refused
from tests.cli.pseudo_terminal import at_a_terminal, piped
from tests.running import RunningServer

HOSTILE = "a\x1b[31mb\x07c\x00d\x7fe\x9bf\u202eg\u2066h\r\n\ti\u200bj\U000e0041k"


async def ask(server: RunningServer, text: str, parent: str | None = None, **more: Any) -> str:
    body = {"model": "small", "input": text, "previous_response_id": parent, **more}
    return str((await server.post("/responses", body)).json()["id"])


async def grown(server: RunningServer) -> dict[str, str]:
    """A tree of two branches, one of them of two turns; and another tree."""
    root = await ask(server, "What is a sea?", metadata={"team": "red"})
    left = await ask(server, "Name one.", root, instructions="Be brief.")
    right = await ask(server, "And a lake?", root, model="large")
    last = await ask(server, "Thanks.", right)
    other = await ask(server, "Something else, with a zebra.")
    return {"root": root, "left": left, "right": right, "last": last, "other": other}


async def test_trees_and_turns_are_listed_as_lines(server: RunningServer) -> None:
    ids = await grown(server)
    lines = [line.split("\t") for line in (await catena(server.url, "ls")).splitlines()]
    assert [line[0] for line in lines] == [ids["other"], ids["root"]]
    assert lines[1][2:] == ["completed", "small", "4", "What is a sea? ⇒ 1: What is a sea?"]
    lines = [line.split("\t") for line in (await catena(server.url, "ls", "--turns", "-n", "2")).splitlines()]
    assert [line[0] for line in lines] == [ids["other"], ids["last"]]
    for wish, expected in (
        (("--model", "large"), ["right"]),
        (("--metadata", "team=red"), ["root"]),
        (("--status", "failed"), []),
        (("--since", "2020-01-01"), ["other", "last", "right", "left", "root"]),
        (("--since", "2999-01-01"), []),
    ):
        listed = await catena(server.url, "ls", "--turns", *wish)
        assert [line.split("\t")[0] for line in listed.splitlines()] == [ids[name] for name in expected], wish
    (other, tree) = msgspec.json.decode(await catena(server.url, "ls", "--json"))
    assert (other["id"], tree["tree"]["turns"]) == (ids["other"], 4)


async def test_more_than_a_page_is_listed(server: RunningServer) -> None:
    made = [await ask(server, f"question {number}") for number in range(103)]
    listed = await catena(server.url, "ls", "--limit", "102")
    assert [line.split("\t")[0] for line in listed.splitlines()] == made[:0:-1]


async def test_words_are_found(server: RunningServer) -> None:
    ids = await grown(server)
    line = await catena(server.url, "search", "zeb*")
    assert line.split("\t")[0] == ids["other"]
    assert "with a zebra" in line
    assert await catena(server.url, "search", "what is a lake") == ""
    assert (await catena(server.url, "search", "--turns", "what is")).split("\t")[0] == ids["root"]
    assert "Invalid 'q'" in await refused(server.url, "search", "???")


async def test_a_tree_shows_its_branches_and_the_turn_that_was_asked_for(server: RunningServer) -> None:
    ids = await grown(server)
    lines = (await catena(server.url, "tree", ids["right"])).splitlines()
    assert lines[0] == "4 turns, 2 branches, 3 deep"
    shown = [
        (line.index(mark), mark, line[line.index(mark) + 2 :])
        for line in lines
        for mark in "○●"
        if mark in line
    ]
    assert [(mark, words.split(" ⇒ ")[0]) for _, mark, words in shown] == [
        ("○", "What is a sea?"),
        ("○", "Name one."),
        ("●", "And a lake?"),
        ("○", "Thanks."),
    ]
    assert [place for place, *_ in shown] == [4, 8, 8, 8]
    known = lines[lines.index(next(line for line in lines if "●" in line)) + 1]
    assert re.search(rf"{ids['right']} · large · \d+ → \d+ tokens · \d+s ago$", known)
    told = msgspec.json.decode(await catena(server.url, "tree", ids["left"], "--json"))
    assert [entry["id"] for entry in told["data"]] == [
        ids[name] for name in ("root", "left", "right", "last")
    ]


async def test_a_chain_of_hundreds_of_turns_is_a_list_and_not_a_staircase(server: RunningServer) -> None:
    tip: str | None = None
    for number in range(120):
        tip = await ask(server, f"question {number}", tip)
    lines = (await catena(server.url, "tree", str(tip))).splitlines()
    assert max(line.find("question") for line in lines) == 6


async def test_a_response_is_shown_alone_and_with_all_that_its_model_saw(server: RunningServer) -> None:
    ids = await grown(server)
    shown = await catena(server.url, "show", ids["left"])
    assert shown.splitlines()[1:] == ["user: Name one.", "assistant: 4: Name one."]
    assert f"after {ids['root']}" in shown
    shown = await catena(server.url, "show", ids["left"], "--context")
    assert shown.splitlines()[1:] == [
        "system: Be brief.",
        "user: What is a sea?",
        "assistant: 1: What is a sea?",
        "user: Name one.",
        "assistant: 4: Name one.",
    ]
    told = msgspec.json.decode(await catena(server.url, "show", ids["left"], "--context", "--json"))
    assert told["engine"]["messages"] == server.seen(1)
    assert told["turn"]["id"] == ids["left"]


async def test_the_newest_and_what_comes_through_a_pipe_can_be_named(server: RunningServer) -> None:
    ids = await grown(server)
    assert ids["other"] in await catena(server.url, "show", "last")
    assert ids["left"] in await catena(server.url, "show", "-", given=f"{ids['left']}\tand more\n")
    assert "Expected an id" in await refused(server.url, "show", "-")
    assert "not found" in await refused(server.url, "show", "resp_" + "0" * 50)


async def test_two_branches_are_compared_from_where_they_part(server: RunningServer) -> None:
    ids = await grown(server)
    lines = (await catena(server.url, "diff", ids["left"], ids["last"])).splitlines()
    assert lines[0] == f"They part after {ids['root']} (turn 1)."
    assert "nothing to compare" in await catena(server.url, "diff", ids["left"], ids["left"])
    assert [line for line in lines if "user:" in line] == [
        "< user: Name one.",
        "> user: And a lake?",
        "> user: Thanks.",
    ]
    assert (await catena(server.url, "diff", ids["left"], ids["other"])).startswith(
        "They have no turn in common."
    )
    told = msgspec.json.decode(await catena(server.url, "diff", ids["left"], ids["last"], "--json"))
    assert told["common"]["id"] == ids["root"]
    assert [step["turn"]["id"] for step in told["right"]] == [ids["right"], ids["last"]]


async def test_at_a_terminal_there_are_tables_and_colours(server: RunningServer, tmp_path: Path) -> None:
    ids = await grown(server)

    def look(url: str) -> list[str]:
        shown = []
        for arguments in (("ls",), ("diff", ids["left"], ids["last"])):
            with at_a_terminal(url, tmp_path, *arguments) as terminal:
                assert terminal.end() == 0
                assert b"\x1b[" in terminal.shown
                shown.append(terminal.plain)
        return shown

    listed, compared = await asyncio.to_thread(look, f"{server.url}/v1")
    assert listed.splitlines()[0].split() == ["id", "when", "model", "turns", "words"]
    assert ids["root"] in listed
    (row,) = [
        line
        for line in compared.splitlines()
        if "And a lake?" in line and "Name one." in line and "user" in line
    ]
    assert row.index("Name one.") < row.index("And a lake?")


async def test_there_is_no_colour_in_a_pipe(server: RunningServer, tmp_path: Path) -> None:
    ids = await grown(server)
    status, output, _ = await piped(f"{server.url}/v1", tmp_path, "tree", ids["root"])
    assert status == 0
    assert "\x1b" not in output
    assert "4 turns" in output


@pytest.mark.parametrize("pair", ["team", ""])
async def test_metadata_must_be_a_pair(server: RunningServer, pair: str) -> None:
    assert "expected KEY=VALUE" in await refused(server.url, "ls", "--metadata", pair)


async def test_what_is_no_server_of_ours_is_said(server: RunningServer) -> None:
    assert "no address of a server" in await refused("ftp://nowhere", "ls")
    assert "Invalid URL" in await refused(f"{server.url}/elsewhere", "ls")


async def test_the_shell_completes_ids_from_the_server(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await grown(server)
    monkeypatch.setenv("CATENA_URL", f"{server.url}/v1")
    found = await asyncio.to_thread(lambda: dict(complete_id("resp_")))
    assert found[ids["left"]] == "Name one."
    assert found.keys() == set(ids.values())
    assert await asyncio.to_thread(lambda: list(complete_id("chatcmpl-"))) == []
    monkeypatch.setenv("CATENA_URL", "http://127.0.0.1:9")
    assert await asyncio.to_thread(lambda: list(complete_id("resp_"))) == []


# What is harmless


def test_what_a_terminal_would_act_on_is_shown_as_a_picture() -> None:
    assert clean(HOSTILE) == "a␛[31mb␇c␀d␡e�f�g�h\n\ti�j�k"
    assert one_line("one\ntwo\x1b[0m  three " * 9, 12) == "one two␛[0m…"


def test_json_says_the_same_and_shows_only() -> None:
    text = as_json({"said": HOSTILE})
    assert msgspec.json.decode(text) == {"said": HOSTILE}
    assert all(character == "\n" or character.isprintable() for character in text)


def test_markup_and_escapes_in_a_list_are_only_text() -> None:
    words = FirstWords(input="[bold]\x1b]0;x\x07", output="[/]")
    entry = Entry(
        id="resp_[red]\x1b",
        parent=None,
        depth=1,
        children=0,
        status="completed",
        model="[blink]m",
        created_at=0,
        endpoint="responses",
        first_words=words,
    )
    console = Console(file=io.StringIO(), force_terminal=True, width=200, color_system=None)
    console.print(list_of([entry], console.width))
    shown = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert "resp_[red]␛" in shown
    assert "[bold]␛]0;x␇ ⇒ [/]" in shown
    assert "\x1b" not in shown.replace("\x1b[0m", "").replace("\x1b[1m", "").replace("\x1b[2m", "")


def test_a_list_on_a_narrow_terminal_has_the_words_and_whole_ids() -> None:
    entry = an_entry(first_words=FirstWords(input="What is a sea? " * 9, output="Salt water."))
    console = Console(file=io.StringIO(), width=80)
    console.print(list_of([entry], console.width))
    words, known = console.file.getvalue().splitlines()  # type: ignore[attr-defined]  # a StringIO
    assert words.startswith("What is a sea?")
    assert words.endswith("…")
    assert known.startswith(f"  {entry.id} · ")
    assert known.endswith(" · small")


async def test_nothing_of_a_tree_is_cut_off_on_a_narrow_terminal(
    server: RunningServer, tmp_path: Path
) -> None:
    ids = await grown(server)

    def look() -> str:
        with at_a_terminal(f"{server.url}/v1", tmp_path, "tree", ids["left"], COLUMNS="70") as terminal:
            assert terminal.end() == 0
            return terminal.plain

    shown = await asyncio.to_thread(look)
    assert set(ids.values()) - {ids["other"]} == set(re.findall(r"resp_\w+", shown))
    assert shown.count("ago") == 4


def an_entry(**known: Any) -> Entry:
    usual = {"id": "resp_" + "7" * 50, "depth": 1, "children": 0, "status": "completed", "model": "small"}
    return Entry(**{**usual, "parent": None, "created_at": 0, "endpoint": "responses", **known})


def test_a_tree_whose_root_says_nothing_is_told_by_its_newest_turn() -> None:
    newest = an_entry(first_words=FirstWords(input="What is a sea?", output="Salt water."))
    for silent in (
        an_entry(endpoint="conversation", first_words=FirstWords(), newest=newest),
        an_entry(deleted=True, first_words=FirstWords(), newest=newest),
    ):
        assert line_of(silent).endswith("\tWhat is a sea? ⇒ Salt water.")
    assert line_of(an_entry(endpoint="conversation", first_words=FirstWords())).endswith("\t(conversation)")


def test_times_are_told_in_their_largest_unit() -> None:
    told = [ago(0, now) for now in (0, 59, 60, 7200, 3 * 86_400, 800 * 86_400)]
    assert told == ["0s ago", "59s ago", "1m ago", "2h ago", "3d ago", "2y ago"]
