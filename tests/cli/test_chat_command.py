"""`catena chat` at a terminal and between pipes."""

from __future__ import annotations

import asyncio
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from catena.chunks import Finish, TextDelta, UsageReport
from catena.errors import UpstreamError
from catena.upstream import Prompt
from catena.upstream.scripted import ScriptedUpstream, prompt_items
from tests.cli.in_process import catena, refused
from tests.cli.pseudo_terminal import CTRL_D, UP, Terminal, at_a_terminal, piped
from tests.running import RunningServer, StartServer

HOSTILE = "\x1b]0;owned\x07\x1b[31m\x9b5m\u202e\r\x00end"


def answers(prompt: Prompt) -> Iterable[Any]:
    """Repeats the last message, with the model's name and how many messages came. `slow` never ends by itself."""
    items = prompt_items(prompt)
    last = str(items[-1]["content"])
    if last == "fail":
        yield UpstreamError("It is on fire.")
    yield TextDelta(f"<{prompt.model}> ")
    yield TextDelta(f"{len(items)}: ")
    yield TextDelta(HOSTILE if last == "hostile" else last)
    if last == "slow":
        yield asyncio.Event()
    yield UsageReport(12, 3, cached_tokens=5)
    yield Finish("stop")


def engine() -> ScriptedUpstream:
    return ScriptedUpstream(answers)


async def turns(server: RunningServer) -> list[dict[str, Any]]:
    """All turns, the oldest first."""
    entries: list[dict[str, Any]] = (await server.http.get("/responses?order=asc")).json()["data"]
    return entries


async def test_a_talk_remembers_and_says_what_it_took(start_server: StartServer, tmp_path: Path) -> None:
    def talk(url: str) -> str:
        with at_a_terminal(url, tmp_path, "chat", "--model", "small") as terminal:
            terminal.wait_for("> ")
            terminal.type("one\n")
            terminal.wait_for("<small> 1: one\n")
            terminal.wait_for("small · 12 (5 cached) → 3 tokens")
            terminal.type("two\n")
            terminal.wait_for("<small> 3: two\n")
            terminal.wait_for("> ")
            terminal.type(CTRL_D)
            assert terminal.end() == 0
            return terminal.plain

    async with start_server(engine=engine()) as server:
        await asyncio.to_thread(talk, f"{server.url}/v1")
        first, second = await turns(server)
        assert second["parent"] == first["id"]
        assert first["model"] == "small"


async def test_ctrl_c_stops_an_answer_and_keeps_what_was_said(
    start_server: StartServer, tmp_path: Path
) -> None:
    def talk(url: str) -> None:
        with at_a_terminal(url, tmp_path, "chat", "--model", "small") as terminal:
            terminal.wait_for("> ")
            terminal.type("slow\n")
            terminal.wait_for("<small> 1: slow")
            terminal.interrupt()
            terminal.wait_for("stopped · small")
            terminal.wait_for("> ")
            terminal.type("half a line")
            terminal.wait_for("half a line")
            terminal.interrupt()
            terminal.wait_for("> ")
            terminal.type("go on\n")
            terminal.wait_for("<small> 3: go on\n")
            terminal.wait_for("> ")
            terminal.type("/quit\n")
            assert terminal.end() == 0

    async with start_server(engine=engine()) as server:
        await asyncio.to_thread(talk, f"{server.url}/v1")
        stopped, after = await turns(server)
        assert (stopped["status"], stopped["first_words"]["output"]) == ("cancelled", "<small> 1: slow")
        assert after["parent"] == stopped["id"]
        assert server.seen()[1] == {"role": "assistant", "content": "<small> 1: slow"}


async def test_the_commands_of_a_talk(start_server: StartServer, tmp_path: Path) -> None:
    saved = tmp_path / "talk.md"

    def talk(url: str) -> None:
        with at_a_terminal(url, tmp_path, "chat", "--model", "small", "one") as terminal:
            terminal.wait_for("<small> 1: one\n")
            for line, expected in (
                ("two", "<small> 3: two\n"),
                ("/undo", "branches off after one ⇒ <small> 1: one"),
                ("other", "<small> 3: other\n"),
                ("/model large", "Asking large"),
                ("deeper", "<large> 5: deeper\n"),
                ("/branch", "  3  deeper ⇒ <large> 5: deeper"),
                ("/branch 2", "branches off after other"),
                ("/branch 9", "There is no turn 9"),
                ("third", "<large> 5: third\n"),
                ("/tree", "5 turns, 3 branches, 3 deep"),
                (f"/save {saved}", f"Written to {saved}"),
                ("/new", "begins a new tree"),
                ("anew", "<large> 1: anew\n"),
                ("/undo", "begins a new tree"),
                ("/undo", "nothing to undo"),
                ("/tree", "Nothing was said yet"),
                ("/what", "There is no /what"),
                ("/help", "/quit           end"),
                ("/model", "scripted-1"),
                ("fail", "It is on fire."),
                ("/quit", ""),
            ):
                terminal.wait_for("> ")
                terminal.type(f"{line}\n")
                terminal.wait_for(expected)
            assert terminal.end() == 0

    async with start_server(engine=engine()) as server:
        await asyncio.to_thread(talk, f"{server.url}/v1")
        stored = await turns(server)
        asked = {entry["first_words"]["input"]: entry for entry in stored}
        parents = {name: entry["parent"] for name, entry in asked.items()}
        assert parents["two"] == parents["other"] == asked["one"]["id"]
        assert parents["deeper"] == parents["third"] == asked["other"]["id"]
        assert parents["one"] is parents["anew"] is None
        text = saved.read_text()
        assert re.findall(r"^(?:one|two|other|deeper|third)$", text, re.MULTILINE) == [
            "one",
            "other",
            "third",
        ]


async def test_what_was_typed_comes_back_after_a_restart(start_server: StartServer, tmp_path: Path) -> None:
    def talk(url: str) -> None:
        with at_a_terminal(url, tmp_path, "chat", "--model", "small") as terminal:
            terminal.wait_for("> ")
            terminal.type("remember me\n")
            terminal.wait_for("1: remember me\n")
            terminal.wait_for("> ")
        with at_a_terminal(url, tmp_path, "chat", "--from", "last") as terminal:
            terminal.wait_for("> ")
            terminal.type(UP + "\n")
            terminal.wait_for("<small> 3: remember me\n")

    async with start_server(engine=engine()) as server:
        await asyncio.to_thread(talk, f"{server.url}/v1")
    kept = tmp_path / "state" / "catena" / "chat_history"
    assert kept.read_text() == "remember me\n"  # what is the same again is kept once
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


async def test_no_escape_of_a_model_reaches_the_terminal(start_server: StartServer, tmp_path: Path) -> None:
    def talk(url: str) -> list[bytes]:
        shown = []
        for arguments in (
            ("chat", "hostile"),
            ("tree", "last"),
            ("show", "last"),
            ("ls",),
            ("search", "end"),
        ):
            with at_a_terminal(url, tmp_path, *arguments) as terminal:
                if arguments[0] == "chat":
                    terminal.wait_for("\n> ")
                    terminal.type(CTRL_D)
                assert terminal.end() == 0
                assert "end" in terminal.plain
                shown.append(without_our_own(terminal))
        return shown

    async with start_server(engine=engine()) as server:
        for shown in await asyncio.to_thread(talk, f"{server.url}/v1"):
            for harmful in (b"\x1b", b"\x07", b"\x00", "\x9b".encode(), "\u202e".encode()):
                assert harmful not in shown, shown


def without_our_own(terminal: Terminal) -> bytes:
    return terminal.plain.replace("\x1b[?1034h", "").encode()


async def test_each_line_of_a_pipe_is_a_question(start_server: StartServer, tmp_path: Path) -> None:
    async with start_server(engine=engine()) as server:
        url = f"{server.url}/v1"
        status, output, _ = await piped(url, tmp_path, "chat", "--model", "m", given="one\n\ntwo\n")
        assert (status, output) == (0, "<m> 1: one\n<m> 3: two\n")
        output = await catena(server.url, "chat", "--from", "last", "--json", "three")
        (told,) = [msgspec.json.decode(line) for line in output.splitlines()]
        assert (told["text"], told["status"], told["model"]) == ("<m> 5: three", "completed", "m")
        assert told["usage"]["cached_tokens"] == 5
        assert "It is on fire." in await refused(server.url, "chat", given="fail\nnot asked\n")
        assert server.engine.prompts[-1].fragments[-1] == b'{"role":"user","content":"fail"}'


async def test_instructions_are_given_with_every_question(start_server: StartServer) -> None:
    async with start_server(engine=engine()) as server:
        await catena(server.url, "chat", "--instructions", "Be brief.", given="one\ntwo\n")
        for number in (0, 1):
            assert server.seen(number)[0] == {"role": "system", "content": "Be brief."}


async def test_without_a_server_it_is_said_what_to_run(tmp_path: Path) -> None:
    for arguments in (("chat", "hi"), ("tree", "resp_1"), ("ls",)):
        why = await refused("http://127.0.0.1:9", *arguments)
        assert "No server answers at http://127.0.0.1:9/v1" in why
        assert "catena serve" in why
