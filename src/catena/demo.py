"""A tour in one command: chains, branches, mixed models, and what one is told when something is wrong.

Everything goes through the doors that users have: a server on a free port and the drop-in client.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from openai import APIStatusError
from rich.console import Console
from rich.markup import escape
from rich.text import Text
from rich.tree import Tree

from catena import OpenAI
from catena.config import Config, ServerSettings, StoreSettings
from catena.http_server import HttpServer, bind, event_loop
from catena.provision import provide
from catena.server import open_app

__all__ = ["main"]

_KEY: Final = "sk-catena-demo"
_READ_ONLY_KEY: Final = "sk-catena-demo-read-only"

console = Console(highlight=False)


class Family:
    """The turns that were made, to be shown as the trees that they are."""

    def __init__(self) -> None:
        self._roots: list[Tree] = []
        self._nodes: dict[str, Tree] = {}

    def add(self, turn: Any, question: str, answer: str, parent: str | None = None) -> None:
        label = Text.from_markup(
            f"[bold]{escape(question)}[/] → {escape(answer)}  [dim]{turn.model} {turn.id[:18]}…[/]"
        )
        label.no_wrap, label.overflow = True, "ellipsis"
        if parent is None:
            self._nodes[turn.id] = Tree(label)
            self._roots.append(self._nodes[turn.id])
        else:
            self._nodes[turn.id] = self._nodes[parent].add(label)

    def show(self) -> None:
        for root in self._roots:
            console.print(root)


def main() -> None:
    """Run the tour."""
    with tempfile.TemporaryDirectory(prefix="catena-demo-") as folder:
        config = Config(
            server=ServerSettings(port=0, api_key=_KEY, read_only_api_key=_READ_ONLY_KEY),
            store=StoreSettings(database=str(Path(folder) / "demo.sqlite3")),
        )
        provide(config, console)
        with running(config) as url:
            family = Family()
            client = OpenAI(base_url=url, api_key=_KEY)
            _chat(client, family)
            asyncio.run(_concurrently(client, family))
            _responses(client, family)
            console.rule("Lineage")
            family.show()
            _troubles(url)
    console.print("\nThat was Catena. Start your own: [bold]make serve[/]\n")


@contextlib.contextmanager
def running(config: Config) -> Iterator[str]:
    """A server in a thread of its own; its base URL."""
    listening = bind(config)
    ready, servers, failures = threading.Event(), [], []

    async def serve() -> None:
        async with open_app(config) as app:
            server = HttpServer(app)
            servers.append(server)
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            await server.ready.wait()
            ready.set()
            await serving

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=event_loop) as runner:
                runner.run(serve())
        except Exception as error:  # told by the main thread
            failures.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="catena-demo-server")
    thread.start()
    ready.wait()
    try:
        if failures:
            raise SystemExit(f"catena: {failures[0]}")
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    finally:
        for server in servers:
            server.should_exit = True
        thread.join()
        listening.close()


def _say(question: str, answer: str) -> None:
    console.print(f"  [cyan]you[/]    {escape(question)}")
    console.print(f"  [green]model[/]  {escape(answer.strip())}\n")


def _chat(client: OpenAI, family: Family) -> None:
    console.rule("Two chat turns, linked by previous_response_id")
    first = "Hello, who won the 2024 Olympics?"
    response1 = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": first}])
    answer1 = response1.choices[0].message.content or ""
    _say(first, answer1)
    second = "Can you give more details about the gold medalists?"
    response2 = client.chat.completions.create(
        model="gpt-4o",
        previous_response_id=response1.id,
        messages=[{"role": "user", "content": second}],
    )
    answer2 = response2.choices[0].message.content or ""
    _say(second, answer2)
    family.add(response1, first, _short(answer1))
    family.add(response2, second, _short(answer2), response1.id)


async def _concurrently(client: OpenAI, family: Family) -> None:
    console.rule("Two chains at once, with asyncio")

    async def chain(fact: str, question: str) -> None:
        response1 = await client.chat.completions.acreate(
            model="gpt-4o-mini", messages=[{"role": "user", "content": fact}]
        )
        response2 = await client.chat.completions.acreate(
            model="gpt-4o-mini",
            previous_response_id=response1.id,
            messages=[{"role": "user", "content": question}],
        )
        answers = [each.choices[0].message.content or "" for each in (response1, response2)]
        _say(f"{fact} … {question}", answers[1])
        family.add(response1, fact, _short(answers[0]))
        family.add(response2, question, _short(answers[1]), response1.id)

    await asyncio.gather(
        chain("I live in Lisbon.", "Which city do I live in?"),
        chain("My sister's name is Ingrid.", "What is my sister's name?"),
    )


def _responses(client: OpenAI, family: Family) -> None:
    console.rule("The same with client.responses.create: a chain, a branch, another model in the middle")
    fact, question = "My name is Ada.", "What is my name?"
    root = client.responses.create(model="gpt-4o", input=fact)
    _say(fact, root.output_text)
    family.add(root, fact, _short(root.output_text))
    steps = [
        ("gpt-4o", question, "goes on"),
        ("gpt-4o", "Write one line of greeting for me, with my name.", "branches off from the first turn"),
        ("gpt-4o-mini", question, "the branch, on another model name"),
    ]
    parents = [root.id, root.id]
    for model, text, what in steps:
        parent = parents[-1]
        turn = client.responses.create(model=model, input=text, previous_response_id=parent)
        console.print(f"  [dim]{what} ({model})[/]")
        _say(text, turn.output_text)
        family.add(turn, text, _short(turn.output_text), parent)
        parents.append(root.id if parent == root.id and len(parents) == 2 else turn.id)


def _troubles(url: str) -> None:
    console.rule("When something is wrong")
    known = OpenAI(base_url=url, api_key=_KEY)
    limited = OpenAI(base_url=url, api_key=_READ_ONLY_KEY)
    hello: Any = [{"role": "user", "content": "Hello"}]
    gone = "resp_" + "0" * 50
    cases: dict[str, Any] = {
        "An ID that is not found": lambda: known.chat.completions.create(
            model="gpt-4o", previous_response_id=gone, messages=hello
        ),
        "A key without permission": lambda: limited.responses.create(model="gpt-4o", input="Hello"),
        "An endpoint that does not take the parameter": lambda: known.embeddings.create(
            model="gpt-4o", input="Hello", extra_body={"previous_response_id": gone}
        ),
    }
    for what, call in cases.items():
        try:
            call()
        except APIStatusError as error:
            console.print(f"  [bold]{what}[/]\n  [red]{error.status_code} {type(error).__name__}[/]")
            console.print(f"  {escape(str(error.body['message']))}\n" if isinstance(error.body, dict) else "")
        else:
            raise SystemExit(f"catena: {what}: it was expected to fail, and did not")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 48 else line[:47] + "…"


if __name__ == "__main__":
    main()
