"""`catena replay`: what was asked along a chain, asked of another model.

Each turn's own input is sent again, with its instructions, tools and settings. What came back from tools is given to
the calls that the new model makes, by the names of the tools; where it calls something else, the replay ends.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from catena.cli.entries import about, tokens
from catena.cli.harmless import as_json, clean, one_line, said
from catena.cli.looking import Id
from catena.cli.messages import lines_of
from catena.cli.options import AsJson
from catena.cli.remote import DEFAULT_URL, Remote, Url, asked_of, named
from catena.cli.replies import Context, Response, Usage
from catena.cli.terminal import console, errors, stop
from catena.cli.transcripts import Step, steps_of

__all__ = ["replay"]

_SETTINGS: Final = {
    "max_output_tokens": None,
    "parallel_tool_calls": True,
    "reasoning": {"effort": None, "summary": None},
    "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "top_p": 1.0,
}
"""The settings that a response tells, and what it tells where none was given."""


class Replayed(msgspec.Struct, frozen=True):
    """A turn as it was, and as it is now; `seconds` is how long the new one took."""

    before: Step
    after: Response
    seconds: float


class CannotGoOn(Exception):
    """The new model called for what nobody answered before."""


def replay(
    response_id: Id,
    *,
    model: Annotated[str, typer.Option("--model", help="The model that is to answer now.")],
    from_turn: Annotated[
        int, typer.Option("--from-turn", min=1, help="Branch off before this turn; 1 makes a new tree.")
    ] = 1,
    json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Ask another model what was asked along a chain, and compare the answers."""
    with asked_of(url) as remote:
        response_id = named(remote, response_id)
        steps = _asked(steps_of(remote, response_id))
        if from_turn > len(steps):
            stop(f"--from-turn {from_turn}: the chain has {len(steps)} turns.")
        parent = steps[from_turn - 2].entry.id if from_turn > 1 else None
        replayed, why = _replayed(remote, steps[from_turn - 1 :], model, parent)
    _show(replayed, json=json)
    if why is not None:
        stop(why)


def _asked(steps: Iterable[Step]) -> list[Step]:
    """The turns in which a model was asked. What was put into a conversation by hand comes with the next of them."""
    asked: list[Step] = []
    by_hand: list[dict[str, Any]] = []
    for step in steps:
        if step.entry.endpoint == "conversation":
            by_hand += step.turn.input
        else:
            given = [*by_hand, *step.turn.input]
            asked.append(Step(step.entry, msgspec.structs.replace(step.turn, input=given)))
            by_hand = []
    return asked


def _replayed(
    remote: Remote, steps: Sequence[Step], model: str, parent: str | None
) -> tuple[list[Replayed], str | None]:
    done: list[Replayed] = []
    open_calls: list[dict[str, Any]] = []
    outputs = _outputs(steps)
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task(escape(clean(f"asking {model}")), total=len(steps))
        for step in steps:
            try:
                given = _input(step.turn, outputs, open_calls)
            except CannotGoOn as error:
                return done, str(error)
            if given:
                began = time.monotonic()
                answer = remote.create(_body(remote, step, given, model, parent))
                done.append(Replayed(step, answer, time.monotonic() - began))
                if answer.status not in ("completed", "incomplete"):
                    return done, clean(answer.error.message if answer.error is not None else answer.status)
                parent = answer.id
                open_calls = [item for item in answer.output if str(item.get("type", "")).endswith("_call")]
            progress.advance(task)
    return done, None


def _body(
    remote: Remote, step: Step, given: Sequence[Mapping[str, Any]], model: str, parent: str | None
) -> dict[str, Any]:
    body: dict[str, Any] = {"model": model, "input": given, "previous_response_id": parent}
    if step.entry.endpoint == "responses":
        stored = remote.response(step.entry.id)
        body |= {name: stored[name] for name, default in _SETTINGS.items() if stored.get(name) != default}
    if isinstance(step.turn.instructions, str):
        body["instructions"] = step.turn.instructions
    return {**body, "tools": step.turn.tools} if step.turn.tools else body


def _input(
    turn: Context, outputs: Mapping[str, deque[Any]], open_calls: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """What a turn is asked: its messages, behind what answers the calls that wait."""
    answers = []
    for call in open_calls:
        name = str(call.get("name", call.get("type")))
        known = outputs.get(name)
        if not known:
            raise CannotGoOn(clean(f"It calls {name} more often than before: there is no output to give."))
        answers.append({**known.popleft(), "call_id": call["call_id"]})
    messages = [_anew(item) for item in turn.input if item.get("type", "message") == "message"]
    return [*answers, *messages]


def _outputs(steps: Sequence[Step]) -> dict[str, deque[Any]]:
    """What came of the calls of each tool, in their order."""
    names: dict[str, str] = {}
    found: dict[str, deque[Any]] = defaultdict(deque)
    for step in steps:
        for item in step.turn.input:
            if str(item.get("type", "")).endswith("_output") and item.get("call_id") in names:
                found[names[item["call_id"]]].append(_anew(item))
        for item in step.turn.output:
            if str(item.get("type", "")).endswith("_call") and "call_id" in item:
                names[item["call_id"]] = str(item.get("name", item["type"]))
    return found


def _anew(item: Mapping[str, Any]) -> dict[str, Any]:
    """The item without what belongs to the turn that it was in."""
    return {name: value for name, value in item.items() if name not in ("id", "status") and value is not None}


def _show(replayed: Sequence[Replayed], *, json: bool) -> None:
    if json:
        typer.echo(as_json([_told(each) for each in replayed]))
        return
    if not console.is_terminal:
        for each in replayed:
            old, new = each.before.entry, each.after
            fields = (old.id, new.id, new.status, f"{each.seconds:.1f}", _words(new))
            typer.echo("\t".join(one_line(field) for field in fields))
        return
    console.print(_table(replayed))
    if replayed:
        console.print(said(f"The new chain ends in {replayed[-1].after.id}"), soft_wrap=True)


def _told(each: Replayed) -> dict[str, Any]:
    return {
        "before": each.before.entry,
        "after": {
            "id": each.after.id,
            "status": each.after.status,
            "model": each.after.model,
            "usage": each.after.spent,
            "output": each.after.output,
        },
        "seconds": round(each.seconds, 3),
    }


def _table(replayed: Sequence[Replayed]) -> Table:
    table = Table(show_lines=True, expand=True)
    for name, ratio in (("turn", None), ("before", 1), ("now", 1)):
        table.add_column(name, ratio=ratio)
    for number, each in enumerate(replayed, 1):
        old, new = each.before.entry, each.after
        head = said(about(old.model, tokens(old.usage)) + "\n", "dim")
        now = said(about(new.model, tokens(new.spent), f"{each.seconds:.1f} s") + "\n", "dim")
        words = "\n".join(line.text for line in lines_of(each.before.turn.output))
        table.add_row(str(number), head + said(words), now + said(_words(new)))
    old_sum = _total([each.before.entry.usage for each in replayed])
    new_sum = _total([each.after.spent for each in replayed])
    table.add_row(
        "all", tokens(old_sum), f"{tokens(new_sum)} · {sum(each.seconds for each in replayed):.1f} s"
    )
    return table


def _words(response: Response) -> str:
    return "\n".join(line.text for line in lines_of(response.output))


def _total(spent: Iterable[Usage | None]) -> Usage:
    known = [usage for usage in spent if usage is not None]
    return Usage(
        input_tokens=sum(usage.input_tokens for usage in known),
        output_tokens=sum(usage.output_tokens for usage in known),
        cached_tokens=sum(usage.cached_tokens for usage in known),
    )
