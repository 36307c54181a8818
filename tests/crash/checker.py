"""Is everything that clients were told still true? Asked of the servers over HTTP, and of their database.

lost      a turn whose end was told, or whose id was told, is not there, is another, or cannot be continued
stuck     a run that never ends
doubled   a request that was stored twice, or an event that was told in two ways under one number
cut       a stream that told less, or ended without telling an end
leaked    an answer that does not prove the history that it should have seen, and that one alone
unclear   a refusal or a failure for which there was no reason

Where two things happened at once, a server may take back what it told meanwhile, and nothing else: what was told before
stays, and what is stored instead is an honest end. Such streams are counted as `taken back by two faults`.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, Final

import msgspec

from tests.crash.doubts import Doubts
from tests.crash.engine import asked_times, words_for
from tests.crash.load import Servers
from tests.crash.rows import Rows
from tests.crash.told import (
    TERMINAL,
    Asked,
    Deleted,
    Doubted,
    Ended,
    Heard,
    Line,
    Named,
    Notebook,
    Refused,
    Settled,
    Silent,
    answer_of,
)
from tests.light import Answer, ask

__all__ = ["KILLED", "KILLED_OR_AWAY", "Findings", "check"]

_AT_ONCE: Final = 32
_KINDS: Final = ("lost", "stuck", "doubled", "cut", "leaked", "unclear")
KILLED: Final = re.compile(r"The server stopped|the server stopped each time")
"""What may be said where a server was killed."""

KILLED_OR_AWAY: Final = re.compile(
    rf"{KILLED.pattern}|The store could not be (reached|read|written)|The response was taken over by another server"
)
"""What may be said where its database was away, too."""


class Findings:
    """What was checked, in numbers, and everything that was not as it should be."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.wrong: dict[str, list[str]] = {kind: [] for kind in _KINDS}

    def add(self, kind: str, what: str) -> None:
        self.wrong[kind].append(what)

    def note_waiting(self, asking: Iterable[str]) -> None:
        """These clients still waited for an answer when all the others had theirs."""
        for text in asking:
            self.add("stuck", f"nothing more is said to {text!r}")

    @property
    def clean(self) -> bool:
        return not any(self.wrong.values())

    def __str__(self) -> str:
        numbers = [*self.counts.items(), *((kind, len(found)) for kind, found in self.wrong.items())]
        table = "\n".join(f"  {name:<28}{number:>8,}" for name, number in numbers)
        return "\n".join([table, *self._examples()])

    def _examples(self) -> Iterator[str]:
        for kind, found in self.wrong.items():
            for what in found[:5]:
                yield f"  {kind}: {what}"


async def check(
    notebook: Notebook,
    servers: Servers,
    look: Callable[[], Awaitable[Rows]],
    *,
    patience: float,
    clear: re.Pattern[str] = KILLED,
    forgiving: bool = False,
) -> Findings:
    """Hold what is in `notebook` against the servers, each request against another, and against their database.

    A run that goes on has `patience` seconds. A failure is `clear` if its words are such. Only who is `forgiving` lets
    pass what was taken back by two faults at once.
    """
    told = _Told(notebook.read(), Doubts(forgiving))
    checker = _Checker(told, servers, patience, clear)
    await checker.check_ends()
    await checker.check_deletions()
    await checker.check_ids()
    await checker.check_streams()
    await checker.check_conversations()
    checker.check_told()
    checker.check_rows(await look())
    checker.count_doubts()
    return checker.findings


class _Told:
    """The notebook, sorted."""

    def __init__(self, lines: Iterable[Line], doubts: Doubts) -> None:
        self.doubts = doubts
        self.asked: dict[str, Asked] = {}
        self.named: dict[str, str] = {}
        self.ended: dict[str, Ended] = {}
        self.ends: list[Ended] = []
        self.heard: defaultdict[str, dict[int, Any]] = defaultdict(dict)
        self.contradictions: list[Heard] = []
        self.deleted: list[Deleted] = []
        self.refused: list[Refused] = []
        self.silent: list[Silent] = []
        for line in lines:
            self._sort(line)

    def _sort(self, line: Line) -> None:
        match line:
            case Asked():
                self.asked[line.text] = line
            case Named():
                self.named[line.id] = line.text
            case Ended():
                self.ended[line.id] = line
                self.ends.append(line)
            case Heard():
                self._hear(line, msgspec.json.decode(line.event))
            case Doubted():
                self.doubts.begin(line.server)
            case Settled():
                self.doubts.settle(line.server)
            case Deleted():
                self.deleted.append(line)
            case Refused():
                self.refused.append(line)
            case Silent():
                self.silent.append(line)

    def _hear(self, line: Heard, event: Any) -> None:
        heard = self.heard[line.id]
        known, first = heard.get(line.number, event), line.number not in heard
        unsure = self.doubts.is_unsure(line.id, line.number)
        self.doubts.hear(line, first=first)
        if known == event or unsure:
            heard[line.number] = event
        else:
            self.contradictions.append(line)
        if known != event and unsure:
            self.doubts.take_back(line.id)

    def chain(self, parent: str | None) -> list[tuple[str, str]]:
        """What an engine must be shown below `parent`: by what clients sent and were told, not by what is stored."""
        messages: list[tuple[str, str]] = []
        while parent is not None:
            end = self.ended[parent]
            asked = self.asked[end.text]
            said = [("assistant", end.answer)] if end.answer else []
            messages = [*asked.messages, *said, *messages]
            parent = asked.parent
        return messages


class _Checker:
    def __init__(self, told: _Told, servers: Servers, patience: float, clear: re.Pattern[str]) -> None:
        self.findings = Findings()
        self._told = told
        self._servers = servers
        self._patience = patience
        self._is_clear = clear.search

    async def check_ends(self) -> None:
        """Every turn whose end was told is what was told, tells the whole history, and can be continued."""
        for end in self._told.ends:
            self._check_answer(end, self._told.asked[end.text])
        await _each(self._told.ended.values(), self._check_end)

    def _check_answer(self, end: Ended, asked: Asked) -> None:
        due = _answer_due([*self._told.chain(asked.parent), *asked.messages], end.answer)
        whole = end.status in ("completed", "incomplete")
        if end.answer != due if whole else not due.startswith(end.answer):
            self.findings.add("leaked", f"{end.id} says {end.answer[:60]!r}, where {due[:60]!r} was due")

    async def _check_end(self, end: Ended) -> None:
        asked = self._told.asked[end.text]
        if not asked.stored:
            self.findings.counts["unstored answers"] += 1
            reply = await self._get(f"/v1/responses/{end.id}")
            if reply.status != 404:
                self.findings.add("leaked", f"{end.id} was not to be stored, and is")
            return
        self.findings.counts["turns acknowledged"] += 1
        self.findings.counts[f"… as {end.status}"] += 1
        if await self._is_as_told(end, asked):
            await self._check_continued(end)

    async def _is_as_told(self, end: Ended, asked: Asked) -> bool:
        if end.response is not None:
            reply = await self._get(f"/v1/responses/{end.id}")
            same = reply.status == 200 and reply.json() == end.response
        elif asked.listed:
            reply = await self._get(f"/v1/chat/completions/{end.id}")
            same = reply.status == 200 and reply.json()["choices"][0]["message"]["content"] == end.answer
        else:
            return True  # it can only be continued, which tells its words as well
        if not same:
            what = end.response or end.answer
            self.findings.add("lost", f"{end.id} was told {what!s:.200} and is {reply.body!r:.200}")
        return same

    async def _check_continued(self, end: Ended) -> None:
        body = {"model": "m", "input": "and then?", "previous_response_id": end.id, "store": False}
        reply = await self._ask("POST", "/v1/responses", body)
        if reply.status != 200:
            self.findings.add("lost", f"{end.id} cannot be continued: {reply.body!r:.200}")
            return
        answer = answer_of(reply.json())
        due = _answer_due([*self._told.chain(end.id), ("user", "and then?")], answer)
        if answer != due:
            self.findings.add("lost", f"below {end.id} the engine was not shown the whole history")

    async def check_deletions(self) -> None:
        """What was deleted stays deleted."""
        await _each(self._told.deleted, self._check_deletion)

    async def _check_deletion(self, deleted: Deleted) -> None:
        self.findings.counts["turns deleted"] += 1
        if (await self._get(f"/v1/responses/{deleted.id}")).status != 404:
            self.findings.add("lost", f"the deletion of {deleted.id}")

    async def check_ids(self) -> None:
        """Every id that was told can be retrieved, and its run ends."""
        await _each(self._told.named.items(), self._check_id)

    async def _check_id(self, named: tuple[str, str]) -> None:
        turn_id, text = named
        asked = self._told.asked[text]
        self.findings.counts["ids told"] += 1
        response = await self._ended(turn_id)
        if response is None or not asked.stored:
            return
        self.findings.counts["background runs"] += asked.background
        if response["status"] == "failed":
            self.findings.counts["failed by a crash"] += 1
            if not self._is_clear(response["error"]["message"]):
                self.findings.add("unclear", f"{turn_id} failed: {response['error']}")
        if turn_id not in self._told.ended:
            self._check_answer(_end_of(text, response), asked)

    async def _ended(self, turn_id: str) -> dict[str, Any] | None:
        """The response, once it has ended."""
        until = asyncio.get_running_loop().time() + self._patience
        while True:
            reply = await self._get(f"/v1/responses/{turn_id}")
            if reply.status != 200:
                self.findings.add("lost", f"{turn_id} was told and is {reply.body!r:.200}")
                return None
            response: dict[str, Any] = reply.json()
            if response["status"] in TERMINAL:
                return response
            if asyncio.get_running_loop().time() > until:
                self.findings.add("stuck", f"{turn_id} is {response['status']}")
                return None
            await asyncio.sleep(0.05)

    async def check_streams(self) -> None:
        """Every stream is told again as it was told, from its first number to its end."""
        await _each(self._told.heard.items(), self._check_stream)

    async def _check_stream(self, stream: tuple[str, dict[int, Any]]) -> None:
        turn_id, heard = stream
        self.findings.counts["events told"] += len(heard)
        again = await self._told_again(turn_id)
        if [event["sequence_number"] for event in again] != list(range(len(again))):
            self.findings.add("cut", f"{turn_id} is told again with gaps")
        elif not again or again[-1].get("response", {}).get("status") not in TERMINAL:
            self.findings.add("cut", f"{turn_id} is told again without an end")
        for number, event in heard.items():
            now = again[number] if number < len(again) else None
            if now == event:
                continue
            if self._told.doubts.is_unsure(turn_id, number):
                self._told.doubts.take_back(turn_id)
            elif now is None:
                self.findings.add("cut", f"{turn_id} told {number} and tells {len(again) - 1} now")
                return
            else:
                self.findings.add("doubled", f"{turn_id} told {event!s:.150} and tells {now!s:.150}")
                return

    async def _told_again(self, turn_id: str) -> list[Any]:
        reply = await self._get(f"/v1/responses/{turn_id}?stream=true")
        if reply.status != 200:
            return []
        lines = reply.body.split(b"\n")
        return [msgspec.json.decode(line[6:]) for line in lines if line.startswith(b"data: ")]

    async def check_conversations(self) -> None:
        """Every conversation has what was added to it, once and in its order, and can be gone on with."""
        said: defaultdict[str, list[str]] = defaultdict(list)
        for end in self._told.ended.values():
            asked = self._told.asked[end.text]
            if asked.conversation is not None and end.status in ("completed", "incomplete"):
                said[asked.conversation].append(end.text)
        await _each(said.items(), self._check_conversation)

    async def _check_conversation(self, conversation: tuple[str, list[str]]) -> None:
        conversation_id, said = conversation
        self.findings.counts["conversations"] += 1
        messages = await self._messages_in(conversation_id)
        asked = [text for role, text in messages if role == "user"]
        if asked[: len(said)] != said or len(asked) > len(said) + 1:  # the last one may have broken off
            self.findings.add("lost", f"{conversation_id} was told {said[-3:]} and has {asked[-3:]}")
            return
        body = {"model": "m", "input": f"and then, {conversation_id}?", "conversation": conversation_id}
        reply = await self._ask("POST", "/v1/responses", body)
        if reply.status != 200:
            self.findings.add("stuck", f"{conversation_id} cannot be gone on with: {reply.body!r:.200}")
            return
        answer = answer_of(reply.json())
        if answer != _answer_due([*messages, ("user", body["input"])], answer):
            self.findings.add("lost", f"in {conversation_id} the engine was not shown the whole history")

    async def _messages_in(self, conversation_id: str) -> list[tuple[str, str]]:
        messages: list[tuple[str, str]] = []
        page: dict[str, Any] = {"last_id": None, "has_more": True}
        while page["has_more"]:
            after = f"&after={page['last_id']}" if page["last_id"] else ""
            reply = await self._get(f"/v1/conversations/{conversation_id}/items?order=asc&limit=100{after}")
            if reply.status != 200:
                self.findings.add("lost", f"{conversation_id} is {reply.body!r:.200}")
                break
            page = reply.json()
            messages += [
                (item["role"], "".join(part["text"] for part in item["content"]))
                for item in page["data"]
                if item["type"] == "message"
            ]
        return messages

    def check_told(self) -> None:
        """What clients noticed themselves."""
        for heard in self._told.contradictions:
            self.findings.add("doubled", f"{heard.id} told number {heard.number} in two ways")
        for silent in self._told.silent:
            if self._told.doubts.is_unsure(silent.id, silent.after):
                self._told.doubts.take_back(silent.id)  # it was gone on with behind what there is
            else:
                self.findings.add("cut", f"{silent.id} ended after {silent.after} without an end")
        for refused in self._told.refused:
            self.findings.counts["requests refused"] += 1
            if not self._is_clear(refused.body):
                self.findings.add(
                    "unclear", f"{refused.text!r} was refused: {refused.status} {refused.body[:200]}"
                )

    def check_rows(self, rows: Rows) -> None:
        """Nothing is under way in the database, nothing of it is left, and nothing is in it twice."""
        for turn_id in rows.under_way:
            self.findings.add("stuck", f"{turn_id} is under way in the database")
        for left in rows.left:
            self.findings.add("stuck", f"{left} is in the database still")
        texts = Counter(_text_of(given) for given in rows.inputs)
        self.findings.counts["turns stored"] = texts.total()
        self.findings.counts["runs taken over"] = sum(
            claims > self._told.asked[self._told.named[turn_id]].background
            for turn_id, claims in rows.claims.items()
            if turn_id in self._told.named
        )
        for text, times in texts.items():
            if times > 1:
                self.findings.add("doubled", f"{text!r} is stored {times} times")

    def count_doubts(self) -> None:
        """How many streams two faults concerned, and how many of them told something that is not so any more."""
        self.findings.counts["streams in doubt"] = len(self._told.doubts.concerned)
        self.findings.counts["taken back by two faults"] = len(self._told.doubts.taken_back)

    async def _get(self, path: str) -> Answer:
        return await self._ask("GET", path)

    async def _ask(self, method: str, path: str, body: Any = None) -> Answer:
        try:
            async with asyncio.timeout(self._patience):
                return await ask(await self._servers.somewhere(), method, path, body)
        except TimeoutError:
            return Answer(0, {}, b"nothing")


def _text_of(given: bytes) -> str:
    """The words of a stored request."""
    content = msgspec.json.decode(given)[-1]["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def _end_of(text: str, response: dict[str, Any]) -> Ended:
    return Ended(text=text, id=response["id"], status=response["status"], answer=answer_of(response))


def _answer_due(history: list[tuple[str, str]], answer: str) -> str:
    """What the engine says to `history`, at the time of asking that `answer` tells."""
    return " ".join(words_for(history, asked_times(answer) or 1))


async def _each(things: Iterable[Any], look: Callable[[Any], Awaitable[None]]) -> None:
    """Look at all of them, a few at once."""
    left = iter(list(things))

    async def some() -> None:
        for thing in left:
            await look(thing)

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(some())
