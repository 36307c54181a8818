"""`catena chat`: a talk in the terminal, or line by line through pipes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final

import typer

from catena.cli.chat_history import history_path, remember, remembered
from catena.cli.entries import about, ago, show_tree, summary, tokens
from catena.cli.harmless import as_json, clean, said
from catena.cli.looking import complete_id
from catena.cli.messages import lines_of
from catena.cli.options import AsJson
from catena.cli.remote import DEFAULT_URL, Refused, Remote, Unreachable, Url, asked_of, named
from catena.cli.talk import Answer, Talk
from catena.cli.terminal import console, errors, stop
from catena.cli.transcripts import Format, format_of, steps_of, written

__all__ = ["chat"]

_PROMPT: Final = "> "
_HELP: Final = """\
/branch [TURN]  go on from an earlier turn, by its number or id; without one, list the turns
/undo           go back before the last turn; it stays in the tree
/model [NAME]   ask another model from now on; without a name, list them
/tree           show the tree with its branches
/save FILE      write the chain down: .md, .jsonl, or .json for messages
/new            begin a new tree
/help           this list
/quit           end (as Ctrl-D does); Ctrl-C stops an answer and keeps what was said"""


class _Quit(Exception):
    """The talk is over."""


def chat(
    message: Annotated[
        str | None, typer.Argument(help="The first question; else they are read line by line.")
    ] = None,
    *,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="ID", help="Go on from this response.", autocompletion=complete_id),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="By default that of --from, or the server's first.")
    ] = None,
    instructions: Annotated[str | None, typer.Option(help="What every answer is told to heed.")] = None,
    json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Talk to a model; the server remembers. In a talk, /help lists what else there is."""
    with asked_of(url) as remote:
        tip = named(remote, start) if start is not None else None
        talk = Talk(remote, model or _model(remote, tip), tip=tip, instructions=instructions)
        session = Session(talk, json=json)
        try:
            for line in _lines(message):
                session.take(line)
        except _Quit:
            pass


def _model(remote: Remote, tip: str | None) -> str:
    if tip is not None:
        model = remote.path(tip)[-1].model
        if model:
            return model
    models = remote.models()
    if not models:
        stop("The server lists no models: say which one to ask with --model NAME.")
    return models[0]


def _lines(first: str | None) -> Iterator[str]:
    """What is typed, or comes through a pipe."""
    typed = sys.stdin.isatty() and console.is_terminal
    if first is not None:
        yield first
    if not typed:
        if first is None:
            yield from (line for line in sys.stdin if line.strip())
        return
    path = history_path()
    remembered(path)
    while True:
        try:
            line = input(_PROMPT)
        except KeyboardInterrupt:
            typer.echo()
            continue
        except EOFError:
            typer.echo()
            return
        remember(path)
        if line.strip():
            yield line


class Session:
    """A talk with somebody who reads it here."""

    def __init__(self, talk: Talk, *, json: bool = False) -> None:
        self._talk = talk
        self._json = json
        self._shown = Shown(quiet=json)
        self._commands: Mapping[str, Callable[[str], None]] = {
            "/branch": self._branch,
            "/help": lambda _: typer.echo(_HELP),
            "/model": self._model,
            "/new": self._new,
            "/quit": self._quit,
            "/save": self._save,
            "/tree": self._tree,
            "/undo": self._undo,
        }

    def take(self, line: str) -> None:
        """Do what a line says, or ask it. An error ends a talk through pipes, and is only told in a terminal."""
        word, _, rest = line.strip().partition(" ")
        try:
            if not line.startswith("/"):
                self._ask(line.strip())
            elif word in self._commands:
                self._commands[word](rest.strip())
            else:
                _note(f"There is no {word}; /help lists what there is.")
        except (Refused, Unreachable) as error:
            if not console.is_terminal:
                raise
            errors.print(said(str(error), "red"))

    def _ask(self, question: str) -> None:
        self._shown.begin()
        answer = self._talk.ask(question, self._shown.hear)
        self._shown.end()
        self._tell(answer)

    def _tell(self, answer: Answer) -> None:
        response = answer.response
        if self._json:
            if response is not None:
                typer.echo(as_json(_told(answer), indent=0))
            return
        if response is None or (answer.stopped and not response.output):
            _note("Stopped before anything was said.")
            return
        if response.status == "failed":
            raise Refused(502, response.error.message if response.error is not None else "The answer failed.")
        if console.is_terminal:
            how = "stopped" if answer.stopped else "" if response.status == "completed" else response.status
            _note(about(how, response.model, tokens(response.spent), f"{answer.seconds:.1f} s", response.id))

    def _branch(self, place: str) -> None:
        path = self._talk.remote.path(self._talk.tip) if self._talk.tip is not None else []
        if not place:
            for number, entry in enumerate(path, 1):
                typer.echo(f"{number:>3}  {clean(summary(entry))}  ({ago(entry.created_at)})")
        elif place.isdigit() and 1 <= int(place) <= len(path):
            self._go_to(path[int(place) - 1].id)
        elif place.isdigit():
            _note(f"There is no turn {place}: the chain has {len(path)}.")
        else:
            self._go_to(self._talk.remote.path(place)[-1].id)

    def _go_to(self, response_id: str) -> None:
        self._talk.tip = response_id
        _note(f"The next question branches off after {summary(self._talk.remote.path(response_id)[-1])}")

    def _undo(self, _: str) -> None:
        if not self._talk.back():
            _note("There is nothing to undo.")
        elif self._talk.tip is None:
            _note("The next question begins a new tree.")
        else:
            self._go_to(self._talk.tip)

    def _model(self, name: str) -> None:
        if name:
            self._talk.model = name
        else:
            for each in self._talk.remote.models():
                typer.echo(clean(each))
        _note(f"Asking {self._talk.model}")

    def _tree(self, _: str) -> None:
        if self._talk.tip is None:
            _note("Nothing was said yet.")
            return
        shape, entries = self._talk.remote.tree(self._talk.tip)
        show_tree(shape, entries, self._talk.tip)

    def _save(self, name: str) -> None:
        if not name or self._talk.tip is None:
            _note("Expected the name of a file: /save talk.md" if not name else "Nothing was said yet.")
            return
        path = Path(name).expanduser()
        form = format_of(path.name) or Format.MARKDOWN
        text = written(list(steps_of(self._talk.remote, self._talk.tip)), form)
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            _note(f"{name}: {error.strerror}")
            return
        _note(f"Written to {path}")

    def _new(self, _: str) -> None:
        self._talk.tip = None
        _note("The next question begins a new tree.")

    def _quit(self, _: str) -> None:
        raise _Quit


class Shown:
    """An answer on the standard output, piece by piece. Thoughts and calls are shown to people only."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._kind = ""
        self._held = ""

    def begin(self) -> None:
        self._kind = self._held = ""

    def hear(self, kind: str, text: str) -> None:
        if self._quiet or (kind != "text" and not console.is_terminal):
            return
        if self._kind not in ("", kind):
            typer.echo()
        self._kind = kind
        # Half of a line end may come first.
        text = self._held + text
        self._held = "\r" if text.endswith("\r") else ""
        harmless = clean(text.removesuffix("\r"))
        if kind == "text":
            typer.echo(harmless, nl=False)
        else:
            console.print(said(harmless, "dim" if kind == "thought" else "cyan"), end="", soft_wrap=True)
        sys.stdout.flush()

    def end(self) -> None:
        if self._kind:
            typer.echo()


def _told(answer: Answer) -> dict[str, object]:
    response = answer.response
    assert response is not None
    said_lines = [line.text for line in lines_of(response.output) if line.role == "assistant"]
    return {
        "id": response.id,
        "status": response.status,
        "model": response.model,
        "text": "\n".join(said_lines),
        "usage": response.spent,
    }


def _note(text: str) -> None:
    errors.print(said(text, "dim"))
