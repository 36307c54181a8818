"""The clients: each does one thing after another, at random, and writes down what it is told.

They go on along chains, branch off wherever a turn has ended, stream, hang up and come back, run in the background,
cancel, converse, chat, and leave no trace. Each request goes to whichever server answers. When one dies they pick up at
another, or wait for the next, and have what they were promised.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from catena.sse import ServerSentEvent
from tests.crash.engine import History
from tests.crash.told import (
    TERMINAL,
    Asked,
    Deleted,
    Ended,
    Heard,
    Named,
    Notebook,
    Refused,
    Silent,
    answer_of,
)
from tests.light import Answer, ask, exchange

__all__ = ["Load", "Servers"]

_DEEPEST: Final = 24
_PARENTS: Final = 200
_ENDS: Final = tuple(f"response.{status}" for status in TERMINAL)


class Servers(Protocol):
    """What clients talk to: one server or several."""

    async def somewhere(self) -> str:
        """Where a server answers, as soon as one does."""
        ...


class _Away(ConnectionError):
    """A server answers, but its store does not: what was promised is asked for again."""


class _Talk(NamedTuple):
    """A conversation, and its last turn."""

    id: str
    tip: str | None = None


class Load:
    """So many clients at once, until `stop`. What they were told is in `notebook`."""

    def __init__(self, servers: Servers, notebook: Notebook, *, clients: int, seed: int) -> None:
        self._servers = servers
        self._notebook = notebook
        self._stopping = asyncio.Event()
        self._parents: list[tuple[str, int]] = []
        self._clients = [_Client(self, number, Random(seed * 1000 + number)) for number in range(clients)]
        self._tasks = [asyncio.create_task(client.live()) for client in self._clients]

    async def stop(self, within: float) -> Sequence[str]:
        """Let every client finish what it is at. Returns what those ask who still wait by then, and are left alone.

        Raises what a client raised.
        """
        self._stopping.set()
        _, waiting = await asyncio.wait(self._tasks, timeout=within)
        self.check()
        for task in waiting:
            task.cancel()
        await asyncio.wait(self._tasks)
        pairs = zip(self._clients, self._tasks, strict=True)
        return [client.asking for client, task in pairs if task in waiting]

    def check(self) -> None:
        """Raise what a client raised, if one did."""
        for task in self._tasks:
            if task.done():
                task.result()


class _Client:
    def __init__(self, load: Load, number: int, random: Random) -> None:
        self._load = load
        self._somewhere = load._servers.somewhere
        self._note = load._notebook.note
        self._random = random
        self._name = f"client {number}"
        self._count = 0
        self._depth = 0
        self._talk: _Talk | None = None
        self.asking = ""

    async def live(self) -> None:
        deeds: dict[Callable[[], Awaitable[None]], int] = {
            self._plain: 5,
            self._streamed: 5,
            self._in_background: 3,
            self._streamed_in_background: 4,
            self._cancelled: 2,
            self._conversed: 4,
            self._chatted: 3,
            self._chatted_in_a_stream: 3,
            self._without_a_trace: 2,
            self._deleted: 1,
        }
        while not self._load._stopping.is_set():
            (deed,) = self._random.choices(list(deeds), list(deeds.values()))
            try:
                await deed()
            except ConnectionError:
                await self._pause(0.01)
            await self._pause(0.02)

    async def _pause(self, longest: float) -> None:
        await asyncio.sleep(self._random.uniform(0, longest))

    # What they do

    async def _plain(self) -> None:
        asked, body = self._ask_responses()
        reply = await self._post("/v1/responses", body)
        if self._accepted(asked, reply):
            self._ended(asked, reply.json())

    async def _streamed(self) -> None:
        asked, body = self._ask_responses(streamed=True)
        await self._listen(asked, body)

    async def _streamed_in_background(self) -> None:
        asked, body = self._ask_responses(streamed=True, background=True)
        await self._listen(asked, body)

    async def _in_background(self) -> None:
        await self._queue(*self._ask_responses(background=True))

    async def _conversed(self) -> None:
        talk = self._talk or await self._new_talk()
        # Until the end of this turn is told: what is uncertain is not gone on with.
        self._talk = None
        if talk is None:
            return
        streamed, background = self._random.random() < 0.5, self._random.random() < 0.5
        asked, body = self._ask_responses(streamed=streamed, background=background, talk=talk)
        if streamed:
            await self._listen(asked, body)
        elif background:
            await self._queue(asked, body)
        else:
            reply = await self._post("/v1/responses", body)
            if self._accepted(asked, reply):
                self._ended(asked, reply.json())

    async def _new_talk(self) -> _Talk | None:
        reply = await self._post("/v1/conversations", {})
        if reply.status != 200:
            self._note(Refused("a conversation", reply.status, reply.body.decode()))
            return None
        return _Talk(reply.json()["id"])

    async def _cancelled(self) -> None:
        asked, body = self._ask_responses(background=True)
        reply = await self._post("/v1/responses", body)
        if not self._accepted(asked, reply):
            return
        response_id = reply.json()["id"]
        self._note(Named(asked.text, response_id))
        await self._pause(0.4)
        await self._persist(lambda: self._cancel(asked, response_id))

    async def _cancel(self, asked: Asked, response_id: str) -> None:
        reply = await self._post(f"/v1/responses/{response_id}/cancel", None)
        if self._kept(asked, reply):
            self._ended(asked, reply.json())

    async def _without_a_trace(self) -> None:
        asked, body = self._ask_responses(stored=False)
        reply = await self._post("/v1/responses", body)
        if self._accepted(asked, reply):
            self._ended(asked, reply.json())

    async def _deleted(self) -> None:
        asked, body = self._ask_responses()
        reply = await self._post("/v1/responses", body)
        if not self._accepted(asked, reply):
            return
        turn_id = reply.json()["id"]
        reply = await ask(await self._somewhere(), "DELETE", f"/v1/responses/{turn_id}")
        if self._accepted(asked, reply):
            self._note(Deleted(asked.text, turn_id))

    async def _chatted(self) -> None:
        asked, body = self._ask_chat()
        reply = await self._post("/v1/chat/completions", body)
        if self._accepted(asked, reply):
            completion = reply.json()
            answer = completion["choices"][0]["message"]["content"] or ""
            self._chat_ended(asked, completion["id"], answer)

    async def _chatted_in_a_stream(self) -> None:
        asked, body = self._ask_chat(streamed=True)
        words: list[str] = []
        completion_id, heard = "", 0
        async with exchange(await self._somewhere(), "POST", "/v1/chat/completions", body) as opened:
            if opened.status != 200:
                self._note(Refused(asked.text, opened.status, (await opened.body()).decode()))
                return
            async for event in opened.events():
                if event.data == b"[DONE]":
                    self._chat_ended(asked, completion_id, "".join(words))
                    return
                chunk = msgspec.json.decode(event.data)
                if "error" in chunk:
                    self._note(Refused(asked.text, 200, event.data.decode()))
                    return
                completion_id = chunk["id"]
                heard += 1
                words += [choice["delta"].get("content") or "" for choice in chunk["choices"]]
            self._note(Silent(completion_id, heard))

    # What they say

    def _ask_responses(
        self,
        *,
        streamed: bool = False,
        background: bool = False,
        stored: bool = True,
        talk: _Talk | None = None,
    ) -> tuple[Asked, dict[str, Any]]:
        text, parent = self._words(), talk.tip if talk is not None else self._parent()
        asked = Asked(
            text=text,
            messages=[("user", text)],
            parent=parent,
            stored=stored,
            streamed=streamed,
            background=background,
            conversation=talk.id if talk is not None else None,
        )
        self._note(asked)
        body = {"model": "m", "input": text, "stream": streamed, "background": background, "store": stored}
        if talk is not None:
            return asked, {**body, "conversation": talk.id}
        return asked, _continuing(body, parent)

    def _ask_chat(self, *, streamed: bool = False) -> tuple[Asked, dict[str, Any]]:
        text, parent = self._words(), self._parent()
        messages: History = [("system", "Be brief."), ("user", text)] if parent is None else [("user", text)]
        listed = self._random.random() < 0.5
        asked = Asked(
            text=text, messages=messages, parent=parent, door="chat", listed=listed, streamed=streamed
        )
        self._note(asked)
        spoken = [{"role": role, "content": content} for role, content in messages]
        body = {"model": "m", "messages": spoken, "stream": streamed}
        return asked, _continuing({**body, "store": True} if listed else body, parent)

    def _words(self) -> str:
        self._count += 1
        self.asking = f"{self._name} asks {self._count}"
        return self.asking

    def _parent(self) -> str | None:
        """Any turn that is known to have ended, or none: a new root."""
        parents = self._load._parents
        if not parents or self._random.random() < 0.15:
            return None
        parent, self._depth = self._random.choice(parents)
        return parent

    # What they hear

    async def _post(self, path: str, body: Any) -> Answer:
        return await ask(await self._somewhere(), "POST", path, body)

    def _accepted(self, asked: Asked, reply: Answer) -> bool:
        if reply.status != 200:
            self._note(Refused(asked.text, reply.status, reply.body.decode()))
        return reply.status == 200

    def _kept(self, asked: Asked, reply: Answer) -> bool:
        """The same for what was promised: where it cannot be given at the moment, that is asked for again."""
        if not self._accepted(asked, reply) and reply.status == 503:
            raise _Away
        return reply.status == 200

    def _ended(self, asked: Asked, response: dict[str, Any]) -> None:
        self._note(
            Ended(
                text=asked.text,
                id=response["id"],
                status=response["status"],
                answer=answer_of(response),
                response=response,
            )
        )
        if asked.conversation is not None:
            added = response["status"] in ("completed", "incomplete")
            self._talk = _Talk(asked.conversation, response["id"] if added else asked.parent)
        else:
            self._remember(asked, response["id"])

    def _chat_ended(self, asked: Asked, completion_id: str, answer: str) -> None:
        self._note(Ended(text=asked.text, id=completion_id, status="completed", answer=answer))
        self._remember(asked, completion_id)

    def _remember(self, asked: Asked, turn_id: str) -> None:
        """From now on this turn may be continued, by any client."""
        depth = 1 if asked.parent is None else self._depth + 1
        if asked.stored and depth < _DEEPEST:
            self._load._parents.append((turn_id, depth))
            del self._load._parents[:-_PARENTS]

    # Streams, which break and are picked up

    async def _listen(self, asked: Asked, body: dict[str, Any]) -> None:
        """Follow a new stream to its end, whatever comes in between."""
        heard = _Place()
        hang_up_after = self._random.choice((None, None, self._random.randrange(1, 30)))
        server = await self._somewhere()
        try:
            async with exchange(server, "POST", "/v1/responses", body) as opened:
                if opened.status != 200:
                    self._note(Refused(asked.text, opened.status, (await opened.body()).decode()))
                    return
                async for event in opened.events():
                    self._hear(asked, event, heard, server)
                    if heard.number == hang_up_after:
                        break
        except ConnectionError:
            if not heard.id:
                raise  # it never had an id, so it was promised nothing
        if heard.ended or not heard.id:
            return
        if self._random.random() < 0.2:
            await self._poll(asked, heard.id)
        else:
            await self._persist(lambda: self._resume(asked, heard))

    async def _resume(self, asked: Asked, heard: _Place) -> None:
        path = f"/v1/responses/{heard.id}?stream=true&starting_after={heard.number}"
        server = await self._somewhere()
        async with exchange(server, "GET", path) as opened:
            if opened.status != 200:
                self._kept(asked, Answer(opened.status, opened.headers, await opened.body()))
                return
            async for event in opened.events():
                self._hear(asked, event, heard, server)
        if not heard.ended:
            self._note(Silent(heard.id, heard.number))

    def _hear(self, asked: Asked, event: ServerSentEvent, heard: _Place, server: str) -> None:
        told = msgspec.json.decode(event.data)
        if told["type"] == "response.created":
            heard.id = told["response"]["id"]
            self._note(Named(asked.text, heard.id))
        heard.number = told["sequence_number"]
        self._note(Heard(heard.id, heard.number, msgspec.Raw(event.data), server))
        if told["type"] in _ENDS:
            heard.ended = True
            self._ended(asked, told["response"])

    async def _queue(self, asked: Asked, body: dict[str, Any]) -> None:
        """Have it run in the background, and wait for its end."""
        reply = await self._post("/v1/responses", body)
        if self._accepted(asked, reply):
            response_id = reply.json()["id"]
            self._note(Named(asked.text, response_id))
            await self._poll(asked, response_id)

    async def _poll(self, asked: Asked, response_id: str) -> None:
        async def once() -> None:
            while True:
                reply = await ask(await self._somewhere(), "GET", f"/v1/responses/{response_id}")
                if not self._kept(asked, reply):
                    return
                response = reply.json()
                if response["status"] in TERMINAL:
                    self._ended(asked, response)
                    return
                await self._pause(0.1)

        await self._persist(once)

    async def _persist(self, what: Callable[[], Awaitable[None]]) -> None:
        """Do it again with the next server, as often as one dies in the middle."""
        while True:
            try:
                return await what()
            except ConnectionError:
                await self._pause(0.05)


class _Place:
    """How far a client has heard a stream."""

    def __init__(self) -> None:
        self.id = ""
        self.number = -1
        self.ended = False


def _continuing(body: dict[str, Any], parent: str | None) -> dict[str, Any]:
    return body if parent is None else {**body, "previous_response_id": parent}
